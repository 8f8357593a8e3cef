"""Labels decided from predictions, and the thresholds they are decided by.

Binary and multilabel: positive where p >= threshold. Multiclass: the most probable class. Ordinal: cut points on the
expected grade, the sum of grade times probability. Without cut points that is the expected grade rounded: it has the
least squared error, and quadratic kappa punishes squared errors (the most probable grade shrinks to the common ones,
the median ignores how far away the tails are).
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from oof.metrics.confusion import score_by_confusion
from oof.metrics.metric_registry import Metric
from oof.types import Array, Decided, Labels, Truth

CANDIDATES = 200  # cut points tried per grade
TIE = 1e-12

Positions = npt.NDArray[np.intp]


def decide_labels(task: str, predictions: Array, thresholds: Sequence[float] | None = None) -> Labels:
    """Return labels shaped as the truth: (rows,) codes, or (rows, labels) 0/1 for multilabel.

    `thresholds` are one for binary, one per label for multilabel, and classes - 1 rising cut points for ordinal; None
    is .5 and the rounded expected grade. Multiclass has none.
    """
    if task == "multiclass":
        most_probable: Labels = predictions.argmax(1)
        return most_probable
    if task == "ordinal":
        cuts = get_default_cuts(predictions) if thresholds is None else np.array(thresholds)
        return np.searchsorted(cuts, compute_expected_grade(predictions), side="right").astype(np.int64)
    limits = np.full(predictions.shape[1], 0.5) if thresholds is None else np.array(thresholds)
    labels: Labels = (predictions >= limits).astype(np.int64)
    return labels[:, 0] if task == "binary" else labels


def prepare_for_metric(
    metric: Metric, task: str, predictions: Array, thresholds: Sequence[float] | None = None
) -> Decided:
    """Return what a metric takes: labels decided from the predictions for a label metric, else the predictions."""
    return decide_labels(task, predictions, thresholds) if metric.needs == "labels" else predictions


def fit_thresholds(metric: Metric, task: str, truth: Truth, predictions: Array) -> list[float] | None:
    """Return the thresholds that are best for a label metric on these rows.

    Exact for binary and for each label: every cut between two neighbouring predictions is tried, ties go to the one
    nearest .5. Ordinal cut points are found by a coordinate search. None for other metrics and for multiclass.
    """
    if metric.confusion is None or task == "multiclass":
        return None
    if task == "ordinal":
        return _fit_cuts(metric, truth, predictions)
    columns = truth.reshape(predictions.shape)
    return [find_best_threshold(metric, t, p)[0] for t, p in zip(columns.T, predictions.T, strict=True)]


def score_at_best_thresholds(metric: Metric, task: str, truth: Truth, predictions: Array) -> float:
    """Return a label metric at the thresholds that are best on these rows, as a search over weights needs it.

    Ordinal uses the rounded grade: fitting cut points for every candidate would cost more than it gains.
    """
    if metric.confusion is None:
        return metric.function(truth, decide_labels(task, predictions))
    if task in ("binary", "multilabel"):
        columns = truth.reshape(predictions.shape)
        pairs = zip(columns.T, predictions.T, strict=True)
        return float(np.mean([find_best_threshold(metric, t, p, limit=CANDIDATES)[1] for t, p in pairs]))
    return score_by_confusion(metric.confusion, truth, decide_labels(task, predictions))


def find_best_threshold(metric: Metric, truth: Truth, p: Array, limit: int | None = None) -> tuple[float, float]:
    """Return the threshold on one column that is best for a label metric with a `confusion`, and the metric there.

    With `limit`, about that many cuts are tried, evenly spread over the distinct values.
    """
    assert metric.confusion is not None
    order = np.argsort(p)
    ranked = p[order]
    hit = truth[order] == 1
    starts = np.flatnonzero(np.diff(ranked, prepend=-np.inf))  # a cut lies before the first row of each distinct value
    if limit is not None and len(starts) > limit:
        starts = starts[:: len(starts) // limit]
    below = np.concatenate([starts, [len(p)]])  # rows called negative
    missed = np.concatenate([[0], np.cumsum(hit)])[below]
    positives = int(hit.sum())
    true_negative = below - missed
    false_positive = len(p) - positives - true_negative
    matrix = np.stack([true_negative, false_positive, missed, positives - missed], axis=-1).reshape(-1, 2, 2)
    values = metric.sign * metric.confusion(matrix.astype(np.float64))
    high = ranked[starts[1:]]
    low = ranked[starts[1:] - 1]
    middle = np.where((low + high) / 2 > low, (low + high) / 2, high)  # the middle of adjacent floats is the lower one
    # a cut that no row reaches, well above the largest value: one just above it could let slightly higher rows pass
    never = (ranked[-1] + 1) / 2 if ranked[-1] < 1 else np.nextafter(ranked[-1], np.inf)
    cuts = np.concatenate([[min(ranked[0], 0.0)], middle, [never]])
    tied = np.flatnonzero(values >= values.max() - TIE)
    best = tied[np.argmin(np.abs(cuts[tied] - 0.5))]
    return float(cuts[best]), float(metric.sign * values[best])


def compute_expected_grade(predictions: Array) -> Array:
    """Return the sum of grade times probability, (rows,)."""
    grade: Array = predictions @ np.arange(predictions.shape[1], dtype=np.float64) / predictions.sum(1)
    return grade


def get_default_cuts(predictions: Array) -> Array:
    """Return the cut points .5, 1.5, ... that round the expected grade."""
    return np.arange(predictions.shape[1] - 1) + 0.5


def _fit_cuts(metric: Metric, truth: Truth, predictions: Array) -> list[float]:
    """Search from two starts: rounding, and the cuts that give each grade its share of the truth."""
    assert metric.confusion is not None
    classes = predictions.shape[1]
    grade = compute_expected_grade(predictions)
    shares = np.cumsum(np.bincount(truth, minlength=classes))[:-1] / len(truth)
    by_share = np.quantile(grade, shares)
    spread = np.quantile(grade, np.linspace(0, 1, CANDIDATES))
    cuts = np.unique(np.concatenate([get_default_cuts(predictions), by_share, spread]))
    cell = np.searchsorted(cuts, grade, side="right")  # rows of cells 0..j-1 lie below cut j-1
    table = np.zeros((len(cuts) + 1, classes))
    np.add.at(table, (cell, truth), 1)
    below = np.cumsum(table, axis=0)
    rounded, shared = (
        _improve_cuts(metric, below, np.searchsorted(cuts, start))
        for start in (get_default_cuts(predictions), by_share)
    )
    best = rounded if rounded[0] + TIE >= shared[0] else shared
    return [float(cut) for cut in cuts[best[1]]]


def _improve_cuts(metric: Metric, below: Array, start: Positions) -> tuple[float, Positions]:
    """Move one cut at a time to its best place between its neighbours until none moves; return value and cuts."""
    assert metric.confusion is not None
    cuts = start.copy()
    best = float(metric.sign * metric.confusion(_build_matrices(below, cuts[None]))[0])
    moved = True
    while moved:
        moved = False
        for number in range(len(cuts)):
            low = cuts[number - 1] if number else 0
            high = cuts[number + 1] if number + 1 < len(cuts) else len(below) - 2
            trials = np.repeat(cuts[None], high - low + 1, axis=0)
            trials[:, number] = np.arange(low, high + 1)
            values = metric.sign * metric.confusion(_build_matrices(below, trials))
            if values.max() > best + TIE:
                cuts = trials[values.argmax()]
                best = float(values.max())
                moved = True
    return best, cuts


def _build_matrices(below: Array, trials: Positions) -> Array:
    """Return confusion matrices (trials, true, predicted) of cut positions (trials, classes - 1)."""
    edges = np.concatenate([below[trials], np.repeat(below[-1:][None], len(trials), axis=0)], axis=1)
    return np.diff(edges, axis=1, prepend=0).transpose(0, 2, 1)
