"""Solutions as hosts give them: parts, rows that are not scored, fewer rows, the form of the sample."""

import pandas as pd
import pytest

from submissions import SubmissionError
from submissions.formats import SubmissionFormat
from submissions.host_form import HostForm
from submissions.solution import Solution, read_solution

BINARY = SubmissionFormat("id", "binary", "probabilities", ["label"], ["0", "1"])
LABELS = SubmissionFormat("id", "multilabel", "probabilities", ["a", "b"])
WIDE = HostForm("wide", "id", ["label"])


def read(table: dict[str, list[str]], form: HostForm = WIDE, format: SubmissionFormat = BINARY) -> Solution:
    targets = ["label"] if format is BINARY else ["a", "b"]
    return read_solution(pd.DataFrame(table), form, format, targets, ["r1", "r2", "r3"])


def test_public_and_private_parts_are_told_and_ignored_rows_left_out() -> None:
    solution = read({"id": ["r1", "r2", "r3"], "label": ["0", "1", "1"], "Usage": ["Public", "Private", "Ignored"]})
    assert solution.frame["label"].tolist() == ["0", "1"]
    assert solution.usage is not None
    assert (solution.usage.tolist(), solution.ignored) == (["public", "private"], 1)
    with pytest.raises(SubmissionError, match=r"column Usage must say Public, .* Got 'test' instead"):
        read({"id": ["r1"], "label": ["0"], "Usage": ["test"]})


def test_rows_of_minus_one_are_not_scored() -> None:
    solution = read({"id": ["r1", "r2"], "a": ["-1", "0"], "b": ["-1", "1"]}, format=LABELS)
    assert (solution.frame["id"].tolist(), solution.ignored) == (["r2"], 1)
    with pytest.raises(SubmissionError, match="the solution has no row that is scored"):
        read({"id": ["r1"], "label": ["-1"]})


def test_the_answers_may_have_another_name_and_the_form_of_the_sample() -> None:
    assert read({"ID": ["r1", "r2"], "answer": ["0", "1"]}).frame["label"].tolist() == ["0", "1"]
    long = HostForm("long", "id", ["a", "b"], "p")
    table = {"id": ["r1_a", "r1_b"], "p": ["1", "0"], "Usage": ["Private", "Private"]}
    solution = read(table, long, LABELS)
    assert solution.frame.to_dict("list") == {"id": ["r1"], "a": ["1"], "b": ["0"]}
    assert solution.usage is not None
    assert solution.usage.tolist() == ["private"]
    lists = HostForm("list", "id", ["a", "b"], "labels")
    assert read({"id": ["r1"], "answer": ["a b"]}, lists, LABELS).frame["b"].tolist() == ["1"]


def test_a_solution_without_the_target_is_refused() -> None:
    with pytest.raises(SubmissionError, match="the solution has no column label; its columns are id, x, y"):
        read({"id": ["r1"], "x": ["0"], "y": ["1"]})


WORDS = SubmissionFormat("id", "binary", "probabilities", ["label"], ["ham", "spam"])
THREE = SubmissionFormat("id", "multiclass", "probabilities", ["x", "y", "z"], ["x", "y", "z"])


@pytest.mark.parametrize(
    ("format", "table", "labels"),
    [
        (WORDS, {"ham": ["1", "0"]}, ["ham", "spam"]),
        (WORDS, {"Spam": ["1", "0"]}, ["spam", "ham"]),
        (WORDS, {"ham": ["0", "1"], "spam": ["1", "0"]}, ["spam", "ham"]),
        (WORDS, {"answer": ["ham", "spam"]}, ["ham", "spam"]),
        (THREE, {"Y": ["1", "0"], "x": ["0", "0"], "z": ["0", "1"]}, ["y", "z"]),
        (THREE, {"LABEL": ["x", "z"]}, ["x", "z"]),
        (BINARY, {"label": ["0.67", "0.2"]}, ["1", "0"]),
    ],
)
def test_a_solution_in_the_samples_form_says_the_same(
    format: SubmissionFormat, table: dict[str, list[str]], labels: list[str]
) -> None:
    """A column `no` of ones was read as the answer yes, and the score was that of the opposite."""
    frame = pd.DataFrame({"id": ["r1", "r2"], **table}, dtype=str)
    solution = read_solution(frame, WIDE, format, ["label"], ["r1", "r2"])
    assert solution.frame["label"].tolist() == labels


def test_columns_match_in_another_case_and_stand_in_the_order_of_the_predictions() -> None:
    """Codes of classes are places: in the solution's own order the score was that of other classes."""
    found = read({"id": ["r1"], "B": ["1"], "A": ["0"]}, format=LABELS).frame
    assert (list(found.columns), found.iloc[0].tolist()) == (["id", "a", "b"], ["r1", "0", "1"])
    columns = ["one_x", "one_y", "one_z"]
    one_hot = SubmissionFormat("id", "multiclass", "probabilities", columns, columns)
    table = pd.DataFrame({"id": ["r1"], "ONE_Z": ["1"], "ONE_X": ["0"], "ONE_Y": ["0"]}, dtype=str)
    wide = read_solution(table, WIDE, one_hot, columns, ["r1"]).frame
    assert wide.iloc[0].tolist() == ["r1", "0", "0", "1"]


def test_an_id_in_several_parts_is_refused() -> None:
    long = HostForm("long", "id", ["a", "b"], "p")
    table = {"id": ["r1_a", "r1_b"], "p": ["1", "0"], "Usage": ["Private", "Public"]}
    with pytest.raises(SubmissionError, match="the rows of id r1 are in several parts of the solution's Usage"):
        read(table, long, LABELS)
    with pytest.raises(SubmissionError, match="the solution has no row for id r1 and b: all rows of an id are needed"):
        read({"id": ["r1_a"], "p": ["1"]}, long, LABELS)
