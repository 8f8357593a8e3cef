"""External members are joined by id, or rejected with one sentence."""

import numpy as np
import pandas as pd
import pytest

from oof import OOFError
from oof.members.external import read_external_member
from oof.members.member import write_member
from oof.members.rows import select_rows

IDS = ["1", "02", "NA", "4", "x"]
FOLD = np.array([0, 1, 0, 1, -1])
TEST_IDS = np.array(["t", "u"], dtype=object)


def as_text(path):
    """A table with every cell as text, a missing one empty."""
    table = pd.read_csv(path, dtype=str, keep_default_na=False) if path.suffix == ".csv" else pd.read_parquet(path)
    return table.astype(object).where(table.notna(), "").astype(str)


GOOD = {"id": ["NA", "4", "1", "02"], "fold": [0, 1, 0, 1], "a": [0.3, 0.4, 0.1, 0.2], "b": [0.7, 0.6, 0.9, 0.8]}
TEST = {"id": ["u", "t"], "a": [0.25, 0.5], "b": [0.75, 0.5]}


@pytest.fixture(params=["csv", "parquet"])
def read(request, tmp_path):
    """read(oof=..., test=..., task=...) -> Member, from files of both formats."""

    def reading(oof=GOOD, test=TEST, task="multiclass", folds=(0, 1)):
        paths = [tmp_path / f"mate.{request.param}", tmp_path / f"mate.test.{request.param}"]
        for path, table in zip(paths, (oof, test), strict=True):
            frame = pd.DataFrame(table)
            if request.param == "csv":
                frame.to_csv(path, index=False)
            else:
                frame.to_parquet(path)
        return read_external_member(
            "mate",
            *paths,
            read=as_text,
            wanted=select_rows(IDS, FOLD, list(folds)),
            columns=["a", "b"],
            task=task,
            test_ids=TEST_IDS,
        )

    return reading


def test_rows_are_joined_by_id_not_by_position(read):
    member = read()
    assert member.ids.tolist() == ["1", "02", "NA", "4"]
    assert member.oof[:, 0].tolist() == [0.1, 0.2, 0.3, 0.4]
    assert member.test_ids.tolist() == TEST_IDS.tolist()
    assert member.test[0, :, 0].tolist() == [0.5, 0.25]
    assert member.verified


def test_without_a_fold_column_the_member_is_unverified(read):
    member = read({key: value for key, value in GOOD.items() if key != "fold"})
    assert not member.verified
    assert member.fold.tolist() == [0, 1, 0, 1]


def test_only_the_wanted_folds_need_to_be_there(read):
    part = {key: [value[0], value[2]] for key, value in GOOD.items()}
    assert read(part, folds=[0]).ids.tolist() == ["1", "NA"]
    with pytest.raises(OOFError, match=r"mate\.\w+: no OOF prediction for id '02' of fold 1 \(2 rows in all\)"):
        read(part)


def test_probabilities_rounded_in_the_file_sum_to_one_afterwards(read):
    member = read({**GOOD, "b": [0.7004, 0.6, 0.9, 0.8]})
    assert member.oof.sum(1) == pytest.approx(1, abs=1e-15)


def test_an_external_member_reads_the_files_of_write_member(read, tmp_path):
    member = read()
    paths = tmp_path / "ours.parquet", tmp_path / "ours.test.parquet"
    write_member(*paths, member)
    again = read_external_member(
        "ours",
        *paths,
        read=as_text,
        wanted=select_rows(IDS, FOLD, [0, 1]),
        columns=["a", "b"],
        task="ordinal",
        test_ids=TEST_IDS,
    )
    assert (again.oof == member.oof).all()
    assert (again.test == member.test).all()


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"fold": [0, 1, 0, 2]}, "mate.* id '02' is predicted as fold 2, the folds file has it in fold 1"),
        ({"fold": [0, 1, 0, np.inf]}, "mate.* the fold of id '02' is not a whole number"),
        ({"fold": [0, 1, 0, 1e300]}, "mate.* the fold of id '02' is not a whole number"),
        ({"fold": [0, 1, 0, 1.5]}, "mate.* the fold of id '02' is not a whole number"),
        ({"id": ["NA", "4", "1", "2"]}, "mate.* id '2' is no training row of the folds file"),
        ({"id": ["NA", "4", "NA", "02"]}, "mate.* id 'NA' is predicted twice"),
        ({"a": [0.3, 0.4, np.nan, 0.2]}, "mate.* id '1', column 'a', is not a finite number"),
        ({"a": [0.3, np.inf, 0.1, 0.2]}, "mate.* id '4', column 'a', is not a finite number"),
        ({"a": ["0.3", "0.4", "0.1", "high"]}, "mate.* id '02', column 'a', is not a finite number"),
        ({"a": [0.3, 0.4, -0.1, 0.2]}, r"mate.* id '1', column 'a', is not in \[0, 1\]"),
        ({"b": [0.7, 0.6, 0.7, 0.8]}, r"mate.* the probabilities of id '1' sum to 0\.8, not 1"),
    ],
)
def test_a_wrong_oof_is_refused_naming_the_row(read, changed, sentence):
    with pytest.raises(OOFError, match=sentence):
        read({**GOOD, **changed})


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"id": ["u", "v"]}, r"mate\.test.* id 'v' is no row of the test table"),
        ({"id": ["u", "u"]}, r"mate\.test.* id 'u' is predicted twice"),
        ({"a": [0.25, None]}, r"mate\.test.* id 't', column 'a', is not a finite number"),
    ],
)
def test_wrong_test_predictions_are_refused_naming_the_row(read, changed, sentence):
    with pytest.raises(OOFError, match=sentence):
        read(test={**TEST, **changed})
    with pytest.raises(OOFError, match=r"mate\.test.* no prediction for test id 't'"):
        read(test={key: value[:1] for key, value in TEST.items()})


def test_a_missing_column_is_named_with_those_found(read):
    with pytest.raises(OOFError, match="the column 'b' is missing; needed: id, a, b; found: id, fold, a"):
        read({key: value for key, value in GOOD.items() if key != "b"})
    with pytest.raises(OOFError, match="the column 'id' is missing"):
        read({key: value for key, value in GOOD.items() if key != "id"})


def test_values_of_a_regression_may_be_anything_finite(read):
    assert read({**GOOD, "a": [30, -4, 1, 2]}, task="regression").oof[2, 0] == 30


def test_labels_need_not_sum_to_one(read):
    assert read({**GOOD, "a": [0.9, 0.9, 0.9, 0.9]}, task="multilabel").oof[0].tolist() == [0.9, 0.9]
