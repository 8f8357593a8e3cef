"""The host's tables in their forms: wide, long and lists; ids under other names and in other spellings."""

import pandas as pd
import pytest

from submissions import SubmissionError
from submissions.host_form import HostForm, find_host_form, split_long_id

IDS = ["r1", "r2"]
LABELS = ["toxic", "very_toxic"]


def find(sample: dict[str, list[str]], ids: list[str] = IDS, **given: object) -> tuple[HostForm, pd.DataFrame]:
    frame = pd.DataFrame(sample)
    settings = {"id": "id", "columns": LABELS, "task": "multilabel", **given}
    return find_host_form(frame, test_ids=ids, **settings), frame  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["r1_very_toxic", "r1-very_toxic", "very_toxic|r1", "very_toxic r1"])
def test_a_long_id_holds_an_id_and_a_column(name: str) -> None:
    assert split_long_id(name, {"r1"}, LABELS, id_first=name.startswith("r1")) == ("r1", 1)
    assert split_long_id(name, {"r1"}, LABELS, id_first=not name.startswith("r1"))[1] == -1


def test_ids_and_labels_that_are_both_numbers_are_read_one_way() -> None:
    ids, labels = ["1", "2", "3"], ["1", "2"]
    for id_first in (True, False):
        names = [f"{a}_{b}" if id_first else f"{b}_{a}" for a in ids for b in labels]
        form, frame = find({"id": names, "p": list("abcdef")}, ids, columns=labels)
        assert form.id_first is id_first
        assert form.widen(frame, ids, "the sample").to_dict("list") == {"id": ids, "1": list("ace"), "2": list("bdf")}


def test_a_long_sample_goes_there_and_back() -> None:
    form, frame = find({"id": ["r2_toxic", "r1_toxic", "r1_very_toxic", "r2_very_toxic"], "p": ["1", "2", "3", "4"]})
    wide = form.widen(frame, IDS, "the sample")
    assert wide.to_dict("list") == {"id": ["r2", "r1"], "toxic": ["1", "2"], "very_toxic": ["4", "3"]}
    filled = wide.assign(toxic=[0.1, 0.2], very_toxic=[0.3, 0.4])
    assert form.restore(filled, frame)["p"].tolist() == [0.1, 0.2, 0.4, 0.3]


def test_the_column_of_a_row_may_stand_beside_its_id() -> None:
    rows = {"id": ["r1", "r1", "r2", "r2"], "label": ["toxic", "very_toxic"] * 2, "p": list("1234")}
    form, frame = find(rows)
    wide = form.widen(frame, IDS, "the sample")
    assert wide["very_toxic"].tolist() == ["2", "4"]
    assert form.restore(wide.assign(toxic=[5.0, 6.0], very_toxic=[7.0, 8.0]), frame)["p"].tolist() == [5, 7, 6, 8]


def test_labels_in_a_cell_go_there_and_back() -> None:
    form, frame = find({"id": ["r1", "r2"], "labels": ["Toxic", "toxic very_toxic"]}, columns=["toxic", "very_toxic"])
    wide = form.widen(frame, IDS, "the sample")
    assert wide.to_dict("list") == {"id": IDS, "toxic": ["1", "1"], "very_toxic": ["0", "1"]}
    restored = form.restore(wide.assign(toxic=["0", "1"], very_toxic=["0", "1"]), pd.DataFrame(frame))
    assert restored["labels"].tolist() == ["", "toxic very_toxic"]
    with pytest.raises(SubmissionError, match="the file: rude in labels for id r1 is not among the labels toxic"):
        form.widen(pd.DataFrame({"id": ["r1"], "labels": ["rude"]}), IDS, "the file")


@pytest.mark.parametrize(
    "sample",
    [
        {"ID": ["r1", "r2"], "p": ["0", "1"]},
        {"row": ["r1", "r2"], "p": ["0", "1"]},
        {"Id": ["r2", "r1"], "p": ["r9", "1"]},
    ],
)
def test_the_id_column_is_found_by_its_values(sample: dict[str, list[str]]) -> None:
    form, _ = find(sample, task="binary", columns=["t"])
    assert form.id == next(iter(sample))


def test_ids_of_another_spelling_are_matched_where_asked_for() -> None:
    sample = {"id": ["40.0", "41"], "p": ["0", "0"]}
    with pytest.raises(SubmissionError, match=r"has id 40\.0, the test table 0040: with submission.match_ids: numbers"):
        find(sample, ["0040", "0041"], task="binary", columns=["t"])
    form, frame = find(sample, ["0040", "0041"], task="binary", columns=["t"], by_number=True)
    wide = form.widen(frame, [], "the sample")
    assert wide["id"].tolist() == ["0040", "0041"]
    assert form.restore(wide, frame)["id"].tolist() == ["40.0", "41"]


def test_a_sample_without_ids_is_refused() -> None:
    with pytest.raises(SubmissionError, match="has no id column id; its columns are a, b"):
        find({"a": ["x", "y"], "b": ["0", "0"]})


def test_a_long_table_with_a_row_twice_is_refused() -> None:
    form, _ = find({"id": ["r1_toxic", "r1_very_toxic"], "p": ["1", "2"]})
    twice = pd.DataFrame({"id": ["r1_toxic", "r1_toxic"], "p": ["1", "2"]})
    with pytest.raises(SubmissionError, match="the file has more than one row for id r1 and toxic"):
        form.widen(twice, IDS, "the file")
    with pytest.raises(SubmissionError, match="the file: id r1_rude is no id of the test table with one of toxic"):
        form.widen(pd.DataFrame({"id": ["r1_rude"], "p": ["1"]}), IDS, "the file")
