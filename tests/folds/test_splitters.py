import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedKFold

from folds import FoldError
from folds.checks import list_valid_folds, select_train_rows, select_valid_rows
from folds.splitters import SPLITTERS, split_rows

TASKS = ("binary", "multiclass", "multilabel", "regression", "ordinal")
CASES = [
    (kind, task)
    for kind in SPLITTERS
    for task in TASKS
    if (task == "multilabel") == kind.startswith("multilabel") or kind in ("kfold", "group", "predefined", "time")
    if not kind.startswith("multilabel") or task == "multilabel"
]


def table(task: str, rows: int, seed: int) -> dict[str, Any]:
    """A competition in small: skewed classes, rare labels, tied values, a third of the rows in shared components."""
    rng = np.random.default_rng(seed)
    component = np.where(rng.random(rows) < 1 / 3, rng.integers(0, max(rows // 6, 1), rows), rows + np.arange(rows))
    classes = np.minimum(rng.geometric(0.4, rows) - 1, 5)
    truth = {
        "binary": (rng.random(rows) < 0.3).astype(int),
        "multiclass": classes,
        "ordinal": np.minimum(classes, 4),
        "multilabel": (rng.random((rows, 8)) < np.geomspace(0.01, 0.5, 8)).astype(int),
        "regression": np.round(rng.normal(size=(rows, 2)) * [1, 100], 1),
    }[task]
    component = np.unique(component, return_inverse=True)[1]
    return {
        "task": task,
        "truth": truth,
        "component": component,
        "time": rng.integers(0, rows, rows),
        "predefined": component % 3,
    }


@pytest.mark.parametrize(("kind", "task"), CASES)
@given(rows=st.integers(60, 200), count=st.integers(2, 5), seed=st.integers(0, 2**32 - 1), external=st.booleans())
@settings(max_examples=8, deadline=None, derandomize=True)
def test_train_and_valid_never_share_a_component(
    kind: str, task: str, rows: int, count: int, seed: int, external: bool
) -> None:
    data = table(task, rows, seed)
    only = np.arange(rows) % 20 == 7 if external else None
    fold = split_rows(kind, count=count, seed=seed, train_only=only, **data)
    assert fold.shape == (rows,)
    assert fold.dtype == np.int64
    if only is not None:
        assert (fold[only] == -1).all()
    shares = 3 if kind == "predefined" else count
    assert np.array_equal(np.setdiff1d(fold, [-1]), np.arange(shares))
    assert list_valid_folds(fold, kind) == list(range(1 if kind == "time" else 0, shares))
    for k in list_valid_folds(fold, kind):
        train, valid = select_train_rows(fold, k, kind), select_valid_rows(fold, k)
        assert train.any()
        assert valid.any()
        assert not np.intersect1d(data["component"][train], data["component"][valid]).size


@pytest.mark.parametrize("kind", ["stratified", "kfold", "group", "stratified_group"])
def test_the_seed_decides(kind: str) -> None:
    data = table("multiclass", 200, 0)
    one, same, other = (split_rows(kind, count=4, seed=seed, **data) for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_the_seed_decides_for_multilabel() -> None:
    data = table("multilabel", 200, 0)
    one, same, other = (split_rows("multilabel", count=4, seed=seed, **data) for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_stratified_folds_are_as_even_as_those_of_scikit_learn() -> None:
    truth = table("multiclass", 997, 3)["truth"]
    fold = split_rows("stratified", count=5, seed=0, task="multiclass", truth=truth, component=np.arange(997))
    reference = np.empty(997, dtype=int)
    for k, (_, valid) in enumerate(StratifiedKFold(5, shuffle=True, random_state=0).split(truth, truth)):
        reference[valid] = k
    for code in np.unique(truth):
        ours, theirs = (np.sort(np.bincount(f[truth == code], minlength=5)) for f in (fold, reference))
        assert np.array_equal(ours, theirs)


def test_a_class_rarer_than_the_folds_is_spread() -> None:
    truth = np.array([0] * 40 + [1] * 3 + [2])
    fold = split_rows("stratified", count=5, seed=0, task="multiclass", truth=truth, component=np.arange(44))
    assert len(set(fold[truth == 1])) == 3
    grouped = split_rows("stratified_group", count=5, seed=0, task="multiclass", truth=truth, component=np.arange(44))
    assert len(set(grouped)) == 5


@pytest.mark.parametrize("kind", ["stratified", "stratified_group"])
def test_classes_that_are_all_rarer_than_the_folds_still_split(kind: str) -> None:
    truth = np.arange(12) // 2
    fold = split_rows(kind, count=4, seed=0, task="multiclass", truth=truth, component=np.arange(12))
    assert np.bincount(fold).tolist() == [3, 3, 3, 3]


def test_regression_is_stratified_by_bins() -> None:
    truth = np.random.default_rng(0).normal(size=(500, 1))

    def spread(kind: str) -> float:
        """Deviation of the folds' means, averaged over seeds."""
        folds = [
            split_rows(kind, count=5, seed=seed, task="regression", truth=truth, component=np.arange(500))
            for seed in range(10)
        ]
        return float(np.mean([np.std([truth[fold == k].mean() for k in range(5)]) for fold in folds]))

    assert spread("stratified") < spread("kfold") / 2


def test_no_target_decides_the_bins_by_its_scale() -> None:
    truth = np.random.default_rng(0).normal(size=(400, 2))
    plain, scaled = (
        split_rows("stratified", count=5, seed=0, task="regression", truth=y, component=np.arange(400))
        for y in (truth, truth * [1, 1000])
    )
    assert np.array_equal(plain, scaled)


def test_equal_values_share_a_bin() -> None:
    truth = np.repeat([0.0, 1.0], [300, 100])[:, None]
    fold = split_rows("stratified", count=5, seed=0, task="regression", truth=truth, component=np.arange(400))
    assert np.bincount(fold[truth[:, 0] == 1]).tolist() == [20] * 5


def test_multilabel_spreads_a_rare_label() -> None:
    rng = np.random.default_rng(0)
    truth = (rng.random((400, 6)) < 0.2).astype(int)
    truth[:, 0] = 0
    truth[rng.choice(400, 10, replace=False), 0] = 1
    fold = split_rows("multilabel", count=5, seed=0, task="multilabel", truth=truth, component=np.arange(400))
    assert np.bincount(fold[truth[:, 0] == 1], minlength=5).tolist() == [2] * 5


def test_multilabel_of_one_label_splits() -> None:
    truth = (np.arange(40) % 4 == 0).astype(int)[:, None]
    fold = split_rows("multilabel", count=5, seed=0, task="multilabel", truth=truth, component=np.arange(40))
    assert np.bincount(fold[truth[:, 0] == 1]).tolist() == [2] * 5


def test_predefined_folds_come_back_as_given() -> None:
    given_folds = np.array(["0", "1", "2", "-1", "1.0"], dtype=object)
    fold = split_rows(
        "predefined", count=5, seed=0, task="binary", truth=np.zeros(5), component=np.arange(5), predefined=given_folds
    )
    assert fold.tolist() == [0, 1, 2, -1, 1]


def time_split(time: Any, count: int = 3, component: Any = None) -> Any:
    component = np.arange(len(time)) if component is None else np.array(component)
    return split_rows(
        "time", count=count, seed=0, task="binary", truth=np.zeros(len(time)), component=component, time=time
    )


@pytest.mark.parametrize(
    "time",
    [
        np.array([3, 1, 2, 6, 5, 4]),
        np.array(["3", "1", "2", "10", "9", "8.5"], dtype=object),
        np.array(["2024-01-03", "2024-01-01", "2024-01-02", "2025", "2024-01-05T10:00", "2024-01-05"], dtype=object),
        np.array(["2024-01-03", "2024-01-01", "2024-01-02", "2024-09-01", "2024-02-02", "2024-02-01"], dtype="M8[s]"),
    ],
)
def test_blocks_follow_time(time: Any) -> None:
    assert time_split(time).tolist() == [1, 0, 0, 2, 2, 1]


def test_equal_times_stay_in_one_block() -> None:
    assert time_split(np.array([1, 2, 2, 2, 2, 2, 2, 2, 3])).tolist() == [0, *[1] * 7, 2]
    assert time_split(np.array([1, 1, 1, 1, 1, 1, 1, 2, 3])).tolist() == [*[0] * 7, 1, 2]


def test_a_component_stands_at_its_latest_time() -> None:
    assert time_split(np.arange(6), component=[0, 1, 2, 3, 4, 0]).tolist() == [2, 0, 0, 1, 1, 2]


def test_duplicates_of_train_only_rows_are_train_only() -> None:
    component = np.array([0, 0, *range(1, 11)])
    only = np.arange(12) == 0
    fold = split_rows("kfold", count=2, seed=0, task="binary", truth=np.zeros(12), component=component, train_only=only)
    assert np.flatnonzero(fold == -1).tolist() == [0, 1]
    assert np.bincount(fold[2:]).tolist() == [5, 5]


@pytest.mark.parametrize(
    ("kind", "task", "changes", "message"),
    [
        ("stratifed", "binary", {}, "folds.kind must be one of stratified, kfold, .* Got stratifed instead"),
        ("multilabel", "ordinal", {}, "splits multilabel tasks; use stratified for task ordinal"),
        ("kfold", "binary", {"count": 13}, "folds.count is 13 but only 12 rows can be split independently"),
        ("group", "binary", {"component": np.arange(12) // 4}, "folds.count is 4 but only 3 rows"),
        ("kfold", "binary", {"train_only": np.arange(12) > 1}, "folds.count is 4 but only 2 rows"),
        ("time", "binary", {}, "folds.time must name a column"),
        ("time", "binary", {"time": np.arange(12) // 4}, "folds.time has only 3 distinct times"),
        ("time", "binary", {"time": np.array(["last week"] * 12)}, "or ISO 8601 dates. Got 'last week' instead"),
        ("time", "binary", {"time": np.array([np.nan, *range(11)])}, "Got 'nan' instead"),
        ("predefined", "binary", {}, "folds.column must name the column"),
        ("predefined", "binary", {"predefined": np.array([0.5] * 12)}, r"integers from -1 on. Got .*0\.5"),
        ("predefined", "binary", {"predefined": np.array([-2] * 12)}, "integers from -1 on. Got .*-2"),
        ("predefined", "binary", {"predefined": np.array(["a"] * 12, dtype=object)}, "Got 'a' instead"),
        ("predefined", "binary", {"predefined": np.zeros(12)}, "at least two folds"),
    ],
)
def test_an_impossible_split_is_refused(kind: str, task: str, changes: dict[str, Any], message: str) -> None:
    truth = np.zeros((12, 3), dtype=int) if task == "multilabel" else np.arange(12) % 2
    arguments: dict[str, Any] = {"count": 4, "seed": 0, "task": task, "truth": truth, "component": np.arange(12)}
    with pytest.raises(FoldError, match=message):
        split_rows(kind, **(arguments | changes))


def test_groups_are_stratified_whatever_their_classes() -> None:
    """scikit-learn below 1.8 gave shares of the positive class between .2 and .4 here."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(200), rng.integers(2, 8, 200))
    rates = rng.beta(1, 2, 200)
    truth = (rng.random(len(groups)) < rates[groups]).astype(int)
    folds = []
    for seed in range(3):
        fold = split_rows("stratified_group", count=5, seed=seed, task="binary", truth=truth, component=groups)
        shares = [truth[fold == k].mean() for k in range(5)]
        assert max(shares) - min(shares) < 0.02
        assert all(len(set(fold[groups == group])) == 1 for group in range(200))
        folds.append(fold)
    assert (folds[0] != folds[1]).any()
    assert (folds[1] != folds[2]).any()


def test_the_package_of_multilabel_folds_is_asked_for_where_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "iterstrat.ml_stratifiers", None)
    truth = np.eye(2, dtype=int)[np.arange(12) % 2]
    with pytest.raises(FoldError, match="needs a package: pip install iterative-stratification"):
        split_rows("multilabel", count=2, seed=0, task="multilabel", truth=truth, component=np.arange(12))
    assert set(split_rows("kfold", count=2, seed=0, task="multilabel", truth=truth, component=np.arange(12))) == {0, 1}


def test_predefined_folds_keep_their_names() -> None:
    named = np.array([1, 2, 5] * 4)
    fold = split_rows(
        "predefined", count=5, seed=0, task="binary", truth=np.arange(12) % 2, component=np.arange(12), predefined=named
    )
    assert np.array_equal(fold, named)
    assert list_valid_folds(fold, "predefined") == [1, 2, 5]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("kind", ["group", "kfold", "stratified"])
def test_large_components_are_dealt_first(kind: str, seed: int) -> None:
    """By the number of groups, the largest fold of 100 Zipf-sized groups held 35 % of the rows."""
    rng = np.random.default_rng(seed)
    component = np.unique(np.minimum(rng.zipf(1.5, 1000), 100), return_inverse=True)[1]
    truth = rng.integers(0, 2, component.max() + 1)[component]
    fold = split_rows(kind, count=5, seed=seed, task="binary", truth=truth, component=component)
    largest = np.bincount(component).max()
    assert np.bincount(fold).max() <= max(200 + 5, largest * (1 if kind != "stratified" else 1.5))


def test_multilabel_groups_keep_labels_and_groups() -> None:
    rng = np.random.default_rng(0)
    component = np.sort(rng.integers(0, 100, 600))
    component = np.unique(component, return_inverse=True)[1]
    truth = (rng.random((600, 3)) < rng.random((component.max() + 1, 3))[component] * [0.1, 0.4, 1.0]).astype(int)
    fold = split_rows("multilabel_group", count=5, seed=1, task="multilabel", truth=truth, component=component)
    assert all(len(np.unique(fold[component == one])) == 1 for one in range(component.max() + 1))
    shares = np.array([truth[fold == k].sum(axis=0) for k in range(5)]) / truth.sum(axis=0)
    assert (np.abs(shares - 0.2) < 0.05).all()
    assert np.abs(np.bincount(fold) - 120).max() <= 20


def test_stratifying_rows_of_several_labels_means_their_labels() -> None:
    data = table("multilabel", 200, 0)
    for kind, meant in (("stratified", "multilabel"), ("stratified_group", "multilabel_group")):
        assert np.array_equal(split_rows(kind, count=3, seed=1, **data), split_rows(meant, count=3, seed=1, **data))
