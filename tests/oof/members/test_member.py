"""Parts are joined to members by id; an incomplete member is rejected."""

import numpy as np
import pandas as pd
import pytest

from oof import OOFError
from oof.members.member import join_parts, write_member
from oof.members.rows import select_rows

IDS = ["a", "b", "c", "d", "e"]
FOLD = np.array([0, 1, 0, 1, -1])


def part(rows, fold, seed=0):
    frame = pd.DataFrame({"id": list(rows), "fold": fold, "seed": seed, "y": list(rows.values())})
    return frame.astype({"id": "str", "y": float})


def member(parts, test_parts=(), folds=(0, 1)):
    return join_parts("m", parts, list(test_parts), select_rows(IDS, FOLD, list(folds)), ["y"])


def test_rows_come_in_the_order_of_the_folds_file_whatever_the_parts_order():
    made = member([part({"d": 4, "b": 2}, 1), part({"c": 3, "a": 1}, 0)])
    assert made.ids.tolist() == ["a", "b", "c", "d"]
    assert made.oof[:, 0].tolist() == [1, 2, 3, 4]
    assert made.fold.tolist() == [0, 1, 0, 1]
    assert made.test is None
    assert made.verified


def test_seeds_are_averaged_and_each_must_cover():
    zero, one = part({"a": 1, "c": 3}, 0, seed=0), part({"a": 3, "c": 5}, 0, seed=1)
    assert member([zero, one], folds=[0]).oof[:, 0].tolist() == [2, 4]
    with pytest.raises(OOFError, match=r"member m, seed 1: no OOF prediction for id 'c' of fold 0 \(1 rows in all\)"):
        member([zero, part({"a": 3}, 0, seed=1)], folds=[0])


def test_parts_of_other_folds_are_ignored():
    made = member([part({"a": 1, "c": 3}, 0), part({"b": 2}, 1)], folds=[0])
    assert made.ids.tolist() == ["a", "c"]


def test_a_gap_inside_a_fold_is_refused_naming_the_first_id():
    with pytest.raises(OOFError, match=r"no OOF prediction for id 'c' of fold 0 .*; every row of folds 0, 1 needs one"):
        member([part({"a": 1}, 0), part({"b": 2, "d": 4}, 1)])


def test_a_missing_fold_is_refused():
    with pytest.raises(OOFError, match="no OOF prediction for id 'b' of fold 1"):
        member([part({"a": 1, "c": 3}, 0)])
    with pytest.raises(OOFError, match="no OOF prediction for id 'a' of fold 0"):
        member([part({"b": 1, "d": 3}, 1)], folds=[0])


def test_a_foreign_fold_is_refused_naming_the_id_and_both_folds():
    with pytest.raises(OOFError, match="id 'c' is predicted as fold 1, the folds file has it in fold 0"):
        member([part({"a": 1}, 0), part({"b": 2, "c": 3, "d": 4}, 1)])


def test_a_row_that_always_trains_has_no_oof():
    with pytest.raises(OOFError, match="id 'e' is predicted as fold 0, the folds file has it in fold -1"):
        member([part({"a": 1, "c": 3, "e": 5}, 0)], folds=[0])
    with pytest.raises(OOFError, match="unknown fold -1; available in the folds file: 0, 1"):
        member([part({"a": 1, "c": 3}, 0)], folds=[-1])


def test_an_unknown_row_is_refused():
    with pytest.raises(OOFError, match="id 'z' is no training row"):
        member([part({"a": 1, "c": 3, "z": 5}, 0)], folds=[0])


def test_a_repeated_row_is_refused():
    with pytest.raises(OOFError, match="id 'a' is predicted twice"):
        member([part({"a": 1, "c": 3}, 0), part({"a": 1}, 0)], folds=[0])


def test_no_part_at_all_is_refused():
    with pytest.raises(OOFError, match="no fit is finished"):
        member([])


def test_test_predictions_stay_one_slice_per_fold_model():
    parts = [part({"a": 1, "c": 3}, 0, s) for s in (0, 1)] + [part({"b": 2, "d": 4}, 1, s) for s in (0, 1)]
    tests = [
        part({"t": 1, "u": 2}, 0, 0),
        part({"u": 4, "t": 3}, 0, 1),
        part({"t": 10, "u": 20}, 1, 0),
        part({"t": 10, "u": 40}, 1, 1),
    ]
    made = member(parts, tests)
    assert made.test_ids.tolist() == ["t", "u"]
    assert made.test[..., 0].tolist() == [[2, 3], [10, 30]]
    with pytest.raises(OOFError, match="no test predictions of fold 1, seed 1"):
        member(parts, tests[:3])
    with pytest.raises(OOFError, match="test id 'v' is not in the test predictions of every fit"):
        member(parts, [*tests[:3], part({"t": 1, "u": 2, "v": 3}, 1, 1)])


def test_the_files_hold_the_oof_and_the_test_mean(tmp_path):
    parts = [part({"a": 1, "c": 3}, 0), part({"b": 2, "d": 4}, 1)]
    made = member(parts, [part({"t": 1}, 0), part({"t": 2}, 1)])
    write_member(tmp_path / "m.parquet", tmp_path / "m.test.parquet", made)
    oof, test = pd.read_parquet(tmp_path / "m.parquet"), pd.read_parquet(tmp_path / "m.test.parquet")
    assert oof.to_dict("list") == {"id": ["a", "b", "c", "d"], "fold": [0, 1, 0, 1], "y": [1.0, 2.0, 3.0, 4.0]}
    assert test.to_dict("list") == {"id": ["t"], "y": [1.5]}


def test_without_test_predictions_there_is_no_test_file(tmp_path):
    made = member([part({"a": 1, "c": 3}, 0)], folds=[0])
    write_member(tmp_path / "m.parquet", tmp_path / "m.test.parquet", made)
    assert [path.name for path in tmp_path.iterdir()] == ["m.parquet"]
