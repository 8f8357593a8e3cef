import numpy as np

from folds.checks import list_valid_folds, select_train_rows, select_valid_rows

FOLD = np.array([-1, 0, 1, 2, 0, 1, 2])


def test_train_is_the_complement_of_valid() -> None:
    for k in list_valid_folds(FOLD, "kfold"):
        assert np.array_equal(select_train_rows(FOLD, k, "kfold"), ~select_valid_rows(FOLD, k))


def test_rows_of_fold_minus_one_are_train_and_never_valid() -> None:
    assert list_valid_folds(FOLD, "kfold") == [0, 1, 2]
    assert all(select_train_rows(FOLD, k, kind)[0] for k in (0, 1, 2) for kind in ("kfold", "time"))


def test_time_trains_on_earlier_folds_alone() -> None:
    assert list_valid_folds(FOLD, "time") == [1, 2]
    assert FOLD[select_train_rows(FOLD, 1, "time")].tolist() == [-1, 0, 0]
    assert FOLD[select_train_rows(FOLD, 2, "time")].tolist() == [-1, 0, 1, 0, 1]
