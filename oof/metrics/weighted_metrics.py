"""Metrics of rows that count several times, or not at all, as a bootstrap needs them thousands of times.

`weight_metric` does once what does not depend on the counts (above all sorting) and returns a function of the counts.
Its value is that of the metric on rows repeated as often as they count.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from oof import OOFError
from oof.metrics import confusion, functions
from oof.metrics.confusion import MatrixMetric
from oof.metrics.functions import EPSILON
from oof.metrics.metric_registry import Metric
from oof.types import Array, Counts, Decided, Labels, Mask, Truth

MOST_LACKING = 0.5  # expected number of columns that a draw lacks
FLAT = 1e-6  # of a spread below this share of the squares, rounding leaves too few digits

WeightedMetric = Callable[[Counts], float | None]  # None where the metric is undefined on such rows
Weigh = Callable[[Truth, Array], WeightedMetric]
Order = tuple[npt.NDArray[np.intp], npt.NDArray[np.intp] | None, Array]


def weight_metric(metric: Metric, truth: Truth, decided: Decided, *, same_columns: bool = False) -> WeightedMetric:
    """Return the metric as a function of the counts (rows,); `decided` is what the metric takes.

    A mean over columns leaves out those that are undefined on the rows that count. With `same_columns` it is the mean
    over the same ones whatever the counts, or undefined: `choose_steady_columns`.
    """
    if metric.confusion is not None:
        return _weight_label_metric(metric.confusion, truth, decided)
    if same_columns and metric.function in ORDER_METRICS:
        return _weight_order_metric(ORDER_METRICS[metric.function], same_columns=True)(truth, decided)
    weigh = WEIGHTED.get(metric.function)
    return weigh(truth, decided) if weigh else _repeat_rows(metric.function, truth, decided)


def _repeat_rows(function: Callable[[Truth, Any], float], truth: Truth, decided: Decided) -> WeightedMetric:
    """Return the function of repeated rows: exact for every metric, and slow."""

    def compute(counts: Counts) -> float | None:
        rows = np.repeat(np.arange(len(truth)), counts.astype(np.int64))
        if not len(rows):
            return None
        try:
            return function(truth[rows], decided[rows])
        except OOFError:
            return None

    return compute


def _weight_label_metric(derive: MatrixMetric, truth: Truth, labels: Labels) -> WeightedMetric:
    """Use confusion matrices (..., true, predicted), one per label for multilabel."""
    pairs = [(truth, labels)] if truth.ndim == 1 else list(zip(truth.T, labels.T, strict=True))
    classes = 2 if truth.ndim == 2 else int(max(truth.max(), labels.max(), 1)) + 1
    cells = [true.astype(np.int64) * classes + predicted for true, predicted in pairs]

    def compute(counts: Counts) -> float | None:
        if not counts.any():
            return None
        tables = [np.bincount(cell, counts, classes**2).astype(np.float64) for cell in cells]
        matrices = np.stack(tables).reshape(-1, classes, classes)
        return float(derive(matrices).mean())

    return compute


def _weight_mean_loss(compute_loss: Callable[[Truth, Array], Array], root: bool = False) -> Weigh:
    """Return a metric that is the mean over columns of the mean loss (rows, columns or 1), or of its root."""

    def weigh(truth: Truth, predictions: Array) -> WeightedMetric:
        losses = compute_loss(truth, predictions)

        def compute(counts: Counts) -> float | None:
            total = counts.sum()
            if not total:
                return None
            means = counts @ losses / total
            return float(np.sqrt(means).mean() if root else means.mean())

        return compute

    return weigh


def _compute_log_losses(truth: Truth, predictions: Array) -> Array:
    losses: Array = -np.log(functions.compute_true_probability(truth, predictions).clip(EPSILON))
    means: Array = losses.reshape(len(truth), -1).mean(1, keepdims=True)
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


def _compute_matches(truth: Truth, labels: Array) -> Array:
    matches: Array = (truth == labels).all(axis=1, keepdims=True).astype(np.float64)
    return matches


def _weight_r2(truth: Truth, predictions: Array) -> WeightedMetric:
    squares = _compute_square_errors(truth, predictions)
    centred = truth - truth.mean(0)
    compute_exactly = _repeat_rows(functions.compute_r2, truth, predictions)

    def compute(counts: Counts) -> float | None:
        total = counts.sum()
        if not total:
            return None
        square, lost = counts @ centred**2, counts @ squares
        spread = square - (counts @ centred) ** 2 / total
        return compute_exactly(counts) if (spread <= FLAT * square).any() else float((1 - lost / spread).mean())

    return compute


def _weight_pearson(truth: Truth, predictions: Array) -> WeightedMetric:
    a, b = truth - truth.mean(0), predictions - predictions.mean(0)
    compute_exactly = _repeat_rows(functions.compute_pearson, truth, predictions)
    return lambda counts: _compute_correlation(a, b, counts, compute_exactly)


def _weight_spearman(truth: Truth, predictions: Array) -> WeightedMetric:
    a, b = _SortedColumns(truth), _SortedColumns(predictions)
    compute_exactly = _repeat_rows(functions.compute_spearman, truth, predictions)
    return lambda counts: _compute_correlation(a.rank(counts), b.rank(counts), counts, compute_exactly)


def _compute_correlation(a: Array, b: Array, counts: Counts, compute_exactly: WeightedMetric) -> float | None:
    """Return the mean over centred columns; computed exactly where one hardly varies on the rows that count."""
    total = counts.sum()
    if not total:
        return None
    mean_a, mean_b, square_a, square_b = counts @ a / total, counts @ b / total, counts @ a**2, counts @ b**2
    spread_a, spread_b = square_a - total * mean_a**2, square_b - total * mean_b**2
    if (spread_a <= FLAT * square_a).any() or (spread_b <= FLAT * square_b).any():
        return compute_exactly(counts)
    covariance = counts @ (a * b) - total * mean_a * mean_b
    return float((covariance / np.sqrt(spread_a * spread_b)).mean())


class _SortedColumns:
    """Columns sorted once; `rank` returns mean ranks (rows, columns) of rows that count several times."""

    def __init__(self, values: Array) -> None:
        self.codes = np.stack([np.unique(column, return_inverse=True)[1] for column in values.T], axis=1)

    def rank(self, counts: Counts) -> Array:
        ranks = np.empty(self.codes.shape)
        for column, code in enumerate(self.codes.T):
            size = np.bincount(code, counts)
            ranks[:, column] = (np.cumsum(size) - size / 2)[code]
        return ranks


def _weight_order_metric(function: Callable[[Array, Array], Any], *, same_columns: bool = False) -> Weigh:
    """Return the mean over columns of a function of positives and rows by group of equal predictions, highest first."""

    def weigh(truth: Truth, predictions: Array) -> WeightedMetric:
        pairs = list(functions.iterate_columns(truth, predictions))
        steady = choose_steady_columns([hit for hit, _ in pairs]) if same_columns else [True] * len(pairs)
        columns = [_sort_by_prediction(hit, p) for (hit, p), kept in zip(pairs, steady, strict=True) if kept]

        def compute(counts: Counts) -> float | None:
            scores = []
            for order, starts, hit in columns:
                rows = counts[order]
                positives = rows * hit
                if starts is not None:
                    positives, rows = np.add.reduceat(positives, starts), np.add.reduceat(rows, starts)
                scores.append(function(positives, rows))
            defined = [float(score) for score in scores if not np.isnan(score)]
            if not defined or (same_columns and len(defined) < len(scores)):
                return None
            return float(np.mean(defined))

        return compute

    return weigh


def choose_steady_columns(columns: Sequence[Mask]) -> list[bool]:
    """Return which columns of 0/1 (rows,) a bootstrap can score: those that nearly every draw holds both kinds of.

    A draw lacks a kind of m rows with probability exp(-m). A mean over whatever columns a draw happens to hold would be
    another statistic at each draw, so the rarest columns are left out of all, until at most half of the draws lack one.
    """
    rare = np.array([min(np.count_nonzero(hit), len(hit) - np.count_nonzero(hit)) for hit in columns])
    lacking = np.where(rare > 0, np.exp(-rare.astype(np.float64)), 0.0)  # a column of one kind has no value at all
    kept = rare > 0
    for column in np.argsort(rare, kind="stable"):
        if lacking[kept].sum() <= MOST_LACKING:
            break
        kept[column] = False
    return [bool(one) for one in kept]


def _sort_by_prediction(hit: Mask, p: Array) -> Order:
    """Return rows from the highest prediction on, where groups of equal ones start (None without ties), and hits."""
    order = np.argsort(-p, kind="stable")
    is_new = np.append(True, np.diff(p[order]) != 0)
    return order, None if is_new.all() else np.flatnonzero(is_new), hit[order].astype(np.float64)


def _compute_auc(positives: Array, rows: Array) -> Any:
    negatives = rows - positives
    pairs = positives.sum() * negatives.sum()
    above = np.cumsum(positives) - positives / 2
    return negatives @ above / pairs if pairs else np.nan


def _compute_average_precision(positives: Array, rows: Array) -> Any:
    total = positives.sum()
    precision = np.cumsum(positives) / np.maximum(np.cumsum(rows), 1)
    return positives @ precision / total if total else np.nan


ORDER_METRICS: dict[Any, Callable[[Array, Array], Any]] = {
    functions.compute_roc_auc: _compute_auc,
    functions.compute_average_precision: _compute_average_precision,
}
WEIGHTED: dict[Any, Weigh] = {
    functions.compute_log_loss: _weight_mean_loss(_compute_log_losses),
    functions.compute_rmse: _weight_mean_loss(_compute_mean_square_errors, root=True),
    functions.compute_mcrmse: _weight_mean_loss(_compute_square_errors, root=True),
    functions.compute_mae: _weight_mean_loss(_compute_absolute_errors),
    functions.compute_r2: _weight_r2,
    functions.compute_pearson: _weight_pearson,
    functions.compute_spearman: _weight_spearman,
    **{function: _weight_order_metric(score) for function, score in ORDER_METRICS.items()},
    confusion.compute_exact_match: _weight_mean_loss(_compute_matches),
}
