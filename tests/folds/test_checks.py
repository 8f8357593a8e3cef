import numpy as np

from folds.checks import describe_moved_rows, describe_rare_classes, describe_split_duplicates


def test_a_class_rarer_than_the_folds_is_named() -> None:
    truth = np.array([0] * 10 + [1] * 3 + [2])
    fold = np.array([0, 1, 2, 3, 4] * 2 + [0, 2, 3] + [4])
    assert describe_rare_classes(truth, "multiclass", fold, ["joy", "grief", "awe"], "stratified") == [
        "class awe: 1 row, no OOF in folds 0, 1, 2, 3, nothing to train on in fold 4",
        "class grief: 3 rows, no OOF in folds 1, 4",
    ]


def test_a_class_in_train_only_rows_has_no_oof() -> None:
    truth, fold = np.array([0, 0, 0, 0, 1, 1, 1]), np.array([0, 1, 0, 1, -1, -1, -1])
    assert describe_rare_classes(truth, "binary", fold, ["no", "yes"], "kfold") == [
        "class yes: 3 rows, no OOF in folds 0, 1"
    ]


def test_time_looks_for_training_rows_in_earlier_folds() -> None:
    truth, fold = np.array([0, 0, 0, 1, 1, 1]), np.array([0, 1, 2, 1, 2, 2])
    assert describe_rare_classes(truth, "binary", fold, ["no", "yes"], "time") == [
        "class yes: 3 rows, nothing to train on in fold 1"
    ]


def test_labels_are_counted_by_their_ones() -> None:
    truth = np.array([[1, 0], [1, 0], [1, 1], [1, 0]])
    fold = np.array([0, 1, 0, 1])
    assert describe_rare_classes(truth, "multilabel", fold, ["a", "b"], "multilabel") == [
        "label b: 1 row, no OOF in fold 1, nothing to train on in fold 0"
    ]


def test_plenty_everywhere_and_regression_say_nothing() -> None:
    fold = np.arange(20) % 2
    assert describe_rare_classes(np.arange(20) // 2 % 2, "binary", fold, ["0", "1"], "kfold") == []
    assert describe_rare_classes(np.arange(20.0)[:, None], "regression", fold, ["y"], "kfold") == []


def test_long_lists_end_in_a_count() -> None:
    truth = np.arange(30)
    sentences = describe_rare_classes(truth, "multiclass", truth % 2, [str(code) for code in truth], "kfold")
    assert len(sentences) == 21
    assert sentences[-1] == "and 10 more classes"


def test_rows_moved_to_train_are_counted() -> None:
    only = np.array([True, False, False])
    assert describe_moved_rows(np.array([-1, -1, 0]), only)[0].startswith("1 row only trained on")
    assert describe_moved_rows(np.array([-1, 0, 1]), only) == []


def test_duplicates_in_different_folds_are_counted() -> None:
    component = np.array([0, 0, 1, 1, 2])
    assert describe_split_duplicates(np.array([0, 1, 1, 1, 0]), component)[0].startswith(
        "2 rows with a duplicate in another fold"
    )
    assert describe_split_duplicates(np.array([0, -1, 1, 1, 0]), component)[0].startswith("2 rows")
    assert describe_split_duplicates(np.array([-1, -1, 1, 1, 0]), component) == []
