import numpy as np

from folds.checks import (
    describe_chain,
    describe_moved_rows,
    describe_rare_classes,
    describe_split_duplicates,
    describe_uneven_folds,
)
from folds.components import find_components
from folds.duplicates import link_duplicates


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


def test_the_text_that_chains_groups_is_named() -> None:
    texts = ["thanks" if row % 6 == 0 else f"text {row}" for row in range(60)]
    groups = [f"g{row // 6}" for row in range(60)]
    links = link_duplicates(texts, {"text": texts})
    component = find_components(60, links, groups)
    [sentence] = describe_chain(texts, groups, links, component, 5)
    assert sentence.startswith(
        "the text 'thanks' is in 10 groups; such texts chain 60 of 60 rows, which must share a fold"
    )
    assert "folds.together: null" in sentence
    assert describe_chain(texts, groups, [], find_components(60, [], groups), 5) == []


def test_uneven_folds_are_told() -> None:
    fold = np.array([0] * 30 + [1] * 10 + [-1] * 5)
    assert describe_uneven_folds(fold, np.arange(45)) == [
        "folds hold 10 to 30 rows, because up to 1 rows must share a fold"
    ]
    assert describe_uneven_folds(np.arange(40) % 3, np.arange(40)) == []
