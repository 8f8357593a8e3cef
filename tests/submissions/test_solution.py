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
