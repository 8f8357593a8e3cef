"""A weighted metric equals the metric on repeated rows, for every metric and task."""

from functools import partial

import numpy as np
import pytest

from oof import OOFError
from oof.metrics.functions import compute_map_at
from oof.metrics.metric_registry import METRICS, Metric, find_metric
from oof.metrics.thresholds import decide_labels
from oof.metrics.weighted_metrics import WEIGHTED, choose_steady_columns, weight_metric

CELLS = [(name, task) for name, entry in METRICS.items() for task in sorted(entry.tasks)]
CELLS += [("map_at_1", "multiclass"), ("map_at_3", "multiclass")]
cells = pytest.mark.parametrize(("name", "task"), CELLS)


def slow(entry, truth, decided, counts):
    rows = np.repeat(np.arange(len(truth)), counts.astype(int))
    try:
        return entry.function(truth[rows], decided[rows])
    except OOFError:
        return None


def check(entry, truth, decided, every):
    """Each of the counts; how many of them have no value."""
    value, undefined = weight_metric(entry, truth, decided), 0
    for counts in every:
        expected = slow(entry, truth, decided, counts)
        assert value(counts) == (None if expected is None else pytest.approx(expected, rel=1e-9, abs=1e-12))
        undefined += expected is None
    return undefined


def some_counts(rows, seed=0):
    """Each row once, draws, few rows, and one row alone once and thrice."""
    rng = np.random.default_rng(seed)
    draws = [np.bincount(rng.integers(rows, size=size), minlength=rows) for size in (rows, rows, rows // 3 + 1, 3, 2)]
    alone = np.arange(rows) == rng.integers(rows)
    return np.array([np.ones(rows), *draws, alone, 3 * alone], dtype=np.float64)


def constant(truth, p):
    return truth, np.repeat(p[:1], len(p), axis=0)


def sure(truth, p):
    """Zeros and ones; classes keep a sum of one."""
    return truth, (p == p.max(1, keepdims=True)).astype(float) if p.shape[1] == 4 else p.round()


def rare(truth, p):
    """One row of another kind than all others."""
    truth[...] = truth[0]
    truth[-1] = truth[0] + 1 if truth.ndim == 2 and truth.dtype == float else 1 - np.minimum(truth[0], 1)
    return truth, p


ROWS = {
    "drawn": lambda truth, p: (truth, p),
    "ties": lambda truth, p: (truth, (p * 8).round() / 8 + 1 / 16),
    "constant predictions": constant,
    "sure predictions": sure,
    "one row of another kind": rare,
    "one row": lambda truth, p: (truth[:1], p[:1]),
}


@pytest.mark.parametrize("rows", ROWS)
@cells
def test_counted_is_the_metric_on_repeated_rows(name, task, rows, draw):
    entry = find_metric(name, task)
    for seed in range(2):
        truth, P = draw(task, rows=40, seed=seed)
        truth, p = ROWS[rows](truth.copy(), P[2].copy())
        check(entry, truth, decide_labels(task, p) if entry.needs == "labels" else p, some_counts(len(truth), seed))


@cells
def test_rows_that_do_not_count_have_no_value(name, task, draw):
    truth, P = draw(task, rows=20)
    entry = find_metric(name, task)
    assert (
        weight_metric(entry, truth, decide_labels(task, P[0]) if entry.needs == "labels" else P[0])(np.zeros(20))
        is None
    )


@pytest.mark.parametrize("name", ["roc_auc", "average_precision"])
def test_there_is_no_value_exactly_where_the_metric_refuses(name):
    truth, p = np.array([0, 1, 0, 0, 1, 0]), np.linspace(0.2, 0.8, 6)[:, None]
    every = np.array([[1, 0, 1, 0, 0, 1], [0, 2, 0, 0, 1, 0], [0, 1, 1, 0, 0, 0], [0, 0, 0, 1, 0, 0]], dtype=float)
    assert check(METRICS[name], truth, p, every) == {"roc_auc": 3, "average_precision": 2}[name]


@pytest.mark.parametrize("name", [name for name, task in CELLS if task == "multilabel"])
def test_many_labels_some_of_which_rows_lack(name):
    rng = np.random.default_rng(0)
    truth, p = (rng.uniform(size=(60, 28)) < 0.05).astype(int), rng.uniform(size=(60, 28)).round(2)
    truth[:, 3] = 0
    entry = find_metric(name, "multilabel")
    check(entry, truth, decide_labels("multilabel", p) if entry.needs == "labels" else p, some_counts(60))


@pytest.mark.parametrize("name", ["qwk", "mcc", "macro_f1", "balanced_accuracy"])
def test_a_grade_that_truth_or_labels_lack_changes_nothing(name):
    truth, labels = np.array([0, 1, 3, 0, 1, 3]), np.array([0, 2, 3, 1, 1, 2])
    check(find_metric(name, "ordinal"), truth, labels, some_counts(6))
    check(find_metric(name, "ordinal"), truth.clip(max=1), labels.clip(max=1), some_counts(6))


@pytest.mark.parametrize("outlier", [1e4, 1e8, 1e12])
@pytest.mark.parametrize("name", [name for name, task in CELLS if task == "regression"])
def test_a_huge_value_that_is_not_drawn_is_not_felt(name, outlier):
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(50, 1))
    p = truth + rng.normal(size=(50, 1))
    truth[0] = p[0] = outlier
    counts = np.ones(50)
    counts[0] = 0
    value = weight_metric(METRICS[name], truth, p)(counts)
    assert value == pytest.approx(METRICS[name].function(truth[1:], p[1:]), rel=1e-8)


def test_a_column_that_varies_only_where_no_row_counts_is_constant():
    truth, p = np.full((9, 2), 0.1), np.linspace(0, 1, 18).reshape(9, 2)
    truth[0] = 5
    truth[1:, 1] = np.arange(8)
    for name in ("r2", "pearson", "spearman"):
        check(METRICS[name], truth, p, np.array([[0, *[1] * 8], [0, *[2] * 4, *[0] * 4], [1] * 9], dtype=float))


def test_a_metric_of_ones_own_is_asked_with_the_repeated_rows():
    seen = []

    def own(truth, predictions):
        seen.append((truth.tolist(), predictions[:, 0].tolist()))
        if not truth.any():
            raise OOFError("no positive row")
        return float(predictions.mean())

    entry = Metric("own", own, True, "probabilities", frozenset({"binary"}))
    value = weight_metric(entry, np.array([0, 1, 0]), np.array([[0.1], [0.2], [0.3]]))
    assert value(np.array([0.0, 2, 1])) == pytest.approx(0.7 / 3)
    assert value(np.array([1.0, 0, 1])) is None
    assert seen == [([1, 1, 0], [0.2, 0.2, 0.3]), ([0, 0], [0.1, 0.3])]
    labels = Metric("own", lambda truth, given: float((truth == given).mean()), True, "labels", entry.tasks)
    assert weight_metric(labels, np.array([0, 1, 1]), np.array([1, 1, 1]))(np.array([1.0, 1, 2])) == 0.75


def test_every_metric_but_map_at_k_is_quick():
    assert all(entry.confusion or entry.function in WEIGHTED for entry in METRICS.values())
    assert partial(compute_map_at, k=3) not in WEIGHTED


def test_every_draw_scores_the_same_labels():
    """A label with two positive rows was in the mean of some draws only, and the interval went from .707 to .9995."""
    rng = np.random.default_rng(0)
    truth = (rng.random((60, 3)) < [0.5, 0.3, 0.0]).astype(int)
    truth[:2, 2] = 1
    p = rng.random((60, 3))
    metric = METRICS["roc_auc"]
    value = weight_metric(metric, truth, p, same_columns=True)
    counts = np.ones(60)
    assert value(counts) == pytest.approx(metric.function(truth, p))
    counts[:2] = 0
    assert value(counts) is None
    assert weight_metric(metric, truth, p)(counts) is not None


def test_labels_that_most_draws_lack_are_in_none():
    columns = [np.arange(50) < positives for positives in (20, 5, 1, 1, 0)]
    assert choose_steady_columns(columns) == [True, True, False, True, False]
    assert choose_steady_columns(columns[:2]) == [True, True]
