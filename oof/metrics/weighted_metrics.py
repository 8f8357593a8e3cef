"""Metrics of rows that count several times, or not at all: what a bootstrap asks thousands of times.

`counted(metric, truth, decided)` does once what does not depend on the counts (sorting, above all) and returns a
function of them. It gives what the metric gives on the rows repeated so often.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from oof import OOFError
from oof.metrics import functions
from oof.metrics.functions import EPSILON
from oof.metrics.metric_registry import Metric
from oof.types import Array, Counts, Decided, Labels, Mask, Truth

FLAT = 1e-6  # of a spread below this share of the squares, rounding leaves too little

WeightedMetric = Callable[[Counts], float | None]  # None where the metric is undefined on such rows


def weight_metric(metric: Metric, truth: Truth, decided: Decided) -> WeightedMetric:
    """The metric as a function of how often each row counts; `decided` is what the metric takes."""
    if metric.confusion is not None:
        return _weight_label_metric(metric.confusion, truth, decided)
    made = WEIGHTED.get(metric.function)
    return made(truth, decided) if made else _repeat_rows(metric.function, truth, decided)


def _repeat_rows(function: Callable[[Truth, Any], float], truth: Truth, decided: Decided) -> WeightedMetric:
    def value(counts: Counts) -> float | None:
        rows = np.repeat(np.arange(len(truth)), counts.astype(np.int64))
        if not len(rows):
            return None
        try:
            return function(truth[rows], decided[rows])
        except OOFError:
            return None

    return value


def _weight_label_metric(of: Callable[[Array], Array], truth: Truth, labels: Labels) -> WeightedMetric:
    """By confusion matrices (..., true, predicted), one a label for multilabel."""
    pairs = [(truth, labels)] if truth.ndim == 1 else list(zip(truth.T, labels.T, strict=True))
    classes = 2 if truth.ndim == 2 else int(max(truth.max(), labels.max(), 1)) + 1
    cells = [true.astype(np.int64) * classes + given for true, given in pairs]

    def value(counts: Counts) -> float | None:
        if not counts.any():
            return None
        counted = [np.bincount(cell, counts, classes**2).astype(np.float64) for cell in cells]
        matrices = np.stack(counted).reshape(-1, classes, classes)
        return float(of(matrices).mean())

    return value


def _weight_mean_loss(loss: Callable[[Truth, Array], Array], root: bool = False) -> Any:
    """A metric that is the mean over columns of the mean loss (rows, columns or 1), or of its root."""

    def made(truth: Truth, predictions: Array) -> WeightedMetric:
        losses = loss(truth, predictions)

        def value(counts: Counts) -> float | None:
            total = counts.sum()
            if not total:
                return None
            means = counts @ losses / total
            return float(np.sqrt(means).mean() if root else means.mean())

        return value

    return made


def _compute_log_losses(truth: Truth, predictions: Array) -> Array:
    lost: Array = -np.log(functions.compute_true_probability(truth, predictions).clip(EPSILON))
    means: Array = lost.reshape(len(truth), -1).mean(1, keepdims=True)
    return means


def _compute_square_errors(truth: Truth, predictions: Array) -> Array:
    errors: Array = predictions - truth
    squares: Array = errors**2
    return squares


def _compute_mean_square_errors(truth: Truth, predictions: Array) -> Array:
    means: Array = _compute_square_errors(truth, predictions).mean(1, keepdims=True)
    return means


def _compute_absolute_errors(truth: Truth, predictions: Array) -> Array:
    errors: Array = np.abs(predictions - truth).mean(1, keepdims=True)
    return errors


def _weight_r2(truth: Truth, predictions: Array) -> WeightedMetric:
    squares, around = _compute_square_errors(truth, predictions), truth - truth.mean(0)
    exact = _repeat_rows(functions.compute_r2, truth, predictions)

    def value(counts: Counts) -> float | None:
        total = counts.sum()
        if not total:
            return None
        square, lost = counts @ around**2, counts @ squares
        spread = square - (counts @ around) ** 2 / total
        return exact(counts) if (spread <= FLAT * square).any() else float((1 - lost / spread).mean())

    return value


def _weight_pearson(truth: Truth, predictions: Array) -> WeightedMetric:
    a, b = truth - truth.mean(0), predictions - predictions.mean(0)
    exact = _repeat_rows(functions.compute_pearson, truth, predictions)
    return lambda counts: _compute_correlation(a, b, counts, exact)


def _weight_spearman(truth: Truth, predictions: Array) -> WeightedMetric:
    known, given = _SortedColumns(truth), _SortedColumns(predictions)
    exact = _repeat_rows(functions.compute_spearman, truth, predictions)
    return lambda counts: _compute_correlation(known.under(counts), given.under(counts), counts, exact)


def _compute_correlation(a: Array, b: Array, counts: Counts, exact: WeightedMetric) -> float | None:
    """The mean over columns, which are centred; `exact` is asked where one hardly varies on the rows that count."""
    total = counts.sum()
    if not total:
        return None
    mean_a, mean_b, square_a, square_b = counts @ a / total, counts @ b / total, counts @ a**2, counts @ b**2
    spread_a, spread_b = square_a - total * mean_a**2, square_b - total * mean_b**2
    if (spread_a <= FLAT * square_a).any() or (spread_b <= FLAT * square_b).any():
        return exact(counts)
    together = counts @ (a * b) - total * mean_a * mean_b
    return float((together / np.sqrt(spread_a * spread_b)).mean())


class _SortedColumns:
    """Columns sorted once; `under` gives mean ranks (rows, columns) when rows count several times."""

    def __init__(self, values: Array) -> None:
        self.codes = np.stack([np.unique(column, return_inverse=True)[1] for column in values.T], axis=1)

    def under(self, counts: Counts) -> Array:
        ranks = np.empty(self.codes.shape)
        for at, code in enumerate(self.codes.T):
            size = np.bincount(code, counts)
            ranks[:, at] = (np.cumsum(size) - size / 2)[code]
        return ranks


def _weight_order_metric(function: Callable[[Array, Array], Array]) -> Any:
    """The mean over columns of a function of positives and rows in each group of equal predictions, highest first."""

    def made(truth: Truth, predictions: Array) -> WeightedMetric:
        columns = [_group_by_prediction(hit, p) for hit, p in functions.iterate_columns(truth, predictions)]

        def value(counts: Counts) -> float | None:
            found = []
            for order, starts, hit in columns:
                rows = counts[order]
                positives = rows * hit
                if starts is not None:
                    positives, rows = np.add.reduceat(positives, starts), np.add.reduceat(rows, starts)
                found.append(function(positives, rows))
            known = [float(one) for one in found if not np.isnan(one)]
            return float(np.mean(known)) if known else None

        return value

    return made


def _group_by_prediction(hit: Mask, p: Array) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp] | None, Array]:
    order = np.argsort(-p, kind="stable")
    new = np.append(True, np.diff(p[order]) != 0)
    return order, None if new.all() else np.flatnonzero(new), hit[order].astype(np.float64)


def _compute_auc(positives: Array, rows: Array) -> Any:
    negatives = rows - positives
    pairs = positives.sum() * negatives.sum()
    above = np.cumsum(positives) - positives / 2
    return negatives @ above / pairs if pairs else np.nan


def _compute_average_precision(positives: Array, rows: Array) -> Any:
    total, called = positives.sum(), np.cumsum(rows)
    precision = np.cumsum(positives) / np.maximum(called, 1)
    return positives @ precision / total if total else np.nan


WEIGHTED: dict[Any, Callable[[Truth, Array], WeightedMetric]] = {
    functions.compute_log_loss: _weight_mean_loss(_compute_log_losses),
    functions.compute_rmse: _weight_mean_loss(_compute_mean_square_errors, root=True),
    functions.compute_mcrmse: _weight_mean_loss(_compute_square_errors, root=True),
    functions.compute_mae: _weight_mean_loss(_compute_absolute_errors),
    functions.compute_r2: _weight_r2,
    functions.compute_pearson: _weight_pearson,
    functions.compute_spearman: _weight_spearman,
    functions.compute_roc_auc: _weight_order_metric(_compute_auc),
    functions.compute_average_precision: _weight_order_metric(_compute_average_precision),
}
