import json
from pathlib import Path

import numpy as np
import pytest

from folds import FoldError
from folds.fold_file import align_folds, read_folds, read_provenance, verify_provenance, write_folds, write_provenance

IDS = ["007", "NA", "a,b", "ü"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "folds.csv"
    write_folds(path, IDS, np.array([0, 1, -1, 1]))
    return path


def test_folds_come_back_by_id_in_any_order(path: Path) -> None:
    assert align_folds(read_folds(path), IDS, path).tolist() == [0, 1, -1, 1]
    assert align_folds(read_folds(path), IDS[::-1], path).tolist() == [1, -1, 1, 0]


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([*IDS, "x", "y"], r"folds.csv has no row for id x \(2 such ids\)"),
        (IDS[1:], r"folds.csv has a row for id 007, which the table lacks \(1 such ids\)"),
        ([*IDS, "NA"], "the table has more than one row for id NA"),
    ],
)
def test_another_table_is_refused(path: Path, ids: list[str], message: str) -> None:
    with pytest.raises(FoldError, match=message):
        align_folds(read_folds(path), ids, path)


def test_a_repeated_id_in_the_file_is_refused(path: Path) -> None:
    write_folds(path, ["a", "a"], np.array([0, 1]))
    with pytest.raises(FoldError, match=r"folds.csv has more than one row for id a"):
        align_folds(read_folds(path), ["a"], path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not a fold file"),
        (b"id,fold\n1,2,3\n", "is not a fold file"),
        (b"id,fold\n\xff,1\n", "is not a fold file"),
        (b'id,fold\n"1,2\n', "is not a fold file"),
        (b"id,text\n1,2\n", "must have the columns id and fold. Got id, text instead"),
        (b"id,fold\n1,0\n2,", "an integer from -1 on. Got ''"),
        (b"id,fold\n1,0.5\n", "an integer from -1 on. Got '0.5'"),
        (b"id,fold\n1,-2\n", "an integer from -1 on. Got '-2'"),
    ],
)
def test_a_truncated_or_foreign_fold_file_is_refused(path: Path, content: bytes, message: str) -> None:
    path.write_bytes(content)
    with pytest.raises(FoldError, match=message):
        read_folds(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FoldError, match="does not exist"):
        read_folds(tmp_path / "folds.csv")
    with pytest.raises(FoldError, match="does not exist"):
        read_provenance(tmp_path / "folds.json")


def test_provenance_comes_back(tmp_path: Path) -> None:
    provenance = {"kind": "group", "count": 5, "group": "Ärztin", "time": None}
    write_provenance(tmp_path / "folds.json", provenance)
    assert read_provenance(tmp_path / "folds.json") == provenance
    verify_provenance(provenance, provenance)


@pytest.mark.parametrize(("content", "message"), [("[1]", "JSON object. Got list"), ('{"kind": ', "not valid JSON")])
def test_foreign_provenance_is_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "folds.json").write_text(content)
    with pytest.raises(FoldError, match=message):
        read_provenance(tmp_path / "folds.json")


def test_each_key_that_differs_is_named_with_both_values() -> None:
    made = json.loads('{"kind": "kfold", "count": 5, "seed": 42, "group": null, "rows": "abc"}')
    with pytest.raises(FoldError) as error:
        verify_provenance(made, {"kind": "kfold", "count": 3, "seed": 42, "group": "author"})
    assert str(error.value) == (
        "folds.count is 5 in this run but 3 in the config; folds.group is null in this run but author in the config; "
        "restore it or use another `run:` name"
    )
    with pytest.raises(FoldError, match="the training rows are not those that the folds were made from"):
        verify_provenance(made, {"rows": "def"})


def test_a_key_that_the_run_lacks_differs() -> None:
    with pytest.raises(FoldError, match=r"folds.together is null in this run but duplicates in the config"):
        verify_provenance({}, {"together": "duplicates"})
