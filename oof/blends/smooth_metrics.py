"""Gradients for metrics that look at order or at one threshold, and so have none.

Each row is shared out between the two nearest of a grid of knots, in proportion to how near it lies; then the metric
is a smooth function of two histograms of each column, one of all rows and one of credit (positives, or the ranks of
the truth), and the chain rule does the rest. The knots are quantiles of the equal mean, so no scale is preferred.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp, softmax
from scipy.stats import rankdata

from oof.blends.problem import Problem
from oof.types import Array

KNOTS = 1024
CELLS = 2**14
SHARPNESS = 500.0  # how much the best threshold outweighs those that are worse by a point of the metric

SmoothMetric = Callable[
    [Array], tuple[float, Array]
]  # predictions (rows, columns) -> value, derivative by each prediction
HistogramMetric = Callable[[Array, Array], tuple[float, Array, Array]]  # credit, all rows -> value, derivative by each


class KnotScale(NamedTuple):
    """Even cells from `low` on, `width` wide; in each a place among the `knots` is `offset + cell * rise`."""

    low: float
    width: float
    offsets: Array
    rises: Array
    knots: int


def smooth_metric(problem: Problem) -> SmoothMetric | None:
    """The metric, larger is better, and its gradient, smoothed where it must be; None if there is no such thing."""
    metric, sign = problem.metric, problem.metric.sign
    if gradient := metric.gradient:
        return lambda mixed: (sign * metric.function(problem.truth, mixed), sign * gradient(problem.truth, mixed))
    if problem.task == "ordinal" and metric.name == "qwk":
        return lambda mixed: _compute_concordance(problem.truth, mixed)
    function = _choose_function(problem)
    return (
        _smooth_by_histograms(problem, function) if function and problem.task not in ("multiclass", "ordinal") else None
    )


def _choose_function(problem: Problem) -> HistogramMetric | None:
    metric = problem.metric
    if confusion := metric.confusion:
        return lambda credit, rows: _compute_soft_threshold(confusion, credit, rows)
    return {
        "roc_auc": _compute_rank_sum,
        "spearman": _compute_rank_sum,
        "average_precision": _compute_average_precision,
    }.get(metric.name)


def _smooth_by_histograms(problem: Problem, function: HistogramMetric) -> SmoothMetric:
    """The mean over columns of a function of histograms; a column without two kinds of rows is left out."""
    truth = problem.truth.reshape(len(problem), -1)
    kept = np.flatnonzero(np.ptp(truth, axis=0) > 0)
    mean = problem.combine_members(np.full(problem.member_count, 1 / problem.member_count))
    ends = np.array([(member.min(0), member.max(0)) for member in map(problem.get_member, range(problem.member_count))])
    scales = {at: _build_scale(mean[:, at], float(ends[:, 0, at].min()), float(ends[:, 1, at].max())) for at in kept}
    credit = {at: _compute_credit(truth[:, at], problem.task) for at in kept}

    def slope(mixed: Array) -> tuple[float, Array]:
        total, gradient = 0.0, np.zeros_like(mixed)
        for at in kept:
            value, gradient[:, at] = _evaluate_column(function, mixed[:, at], credit[at], scales[at])
            total += value
        return total / max(len(kept), 1), gradient if len(kept) < 2 else gradient / len(kept)

    return slope


def _compute_credit(truth: Array, task: str) -> Array:
    if task != "regression":
        return truth.astype(np.float64)
    ranks = rankdata(truth) / len(truth)
    credit: Array = (ranks - ranks.mean()) / ranks.var()
    return credit


def _build_scale(values: Array, low: float, high: float) -> KnotScale:
    """Where on the scale of knots a prediction lies: straight lines between even cells, for speed."""
    knots = np.unique(
        np.concatenate([[low], np.quantile(values, np.linspace(0, 1, min(KNOTS, max(len(values) // 4, 256)))), [high]])
    )
    width = max((high - low) / CELLS, 1e-300)
    table = np.interp(low + width * np.arange(CELLS + 2), knots, np.arange(len(knots)))
    rises = np.diff(table)
    return KnotScale(low, width, table[:-1] - rises * np.arange(CELLS + 1), rises, len(knots))


def _evaluate_column(function: HistogramMetric, p: Array, credit: Array, scale: KnotScale) -> tuple[float, Array]:
    """Value and derivative by each prediction (rows,) of one column."""
    cell = (p - scale.low) / scale.width
    lower = cell.astype(np.int64)
    rise = scale.rises.take(lower, mode="clip")
    place = cell * rise
    place += scale.offsets.take(lower, mode="clip")
    size = scale.knots + 1
    left = np.minimum(place.astype(np.int64), size - 2)
    place -= left  # the share of the next knot
    value, by_credit, by_rows = function(
        _share_between_knots(left, place, credit, size), _share_between_knots(left, place, None, size)
    )
    steps = np.diff(by_credit).take(left)
    steps *= credit
    steps += np.diff(by_rows).take(left)
    steps *= rise
    steps /= scale.width * len(p)
    return value, steps


def _share_between_knots(left: Array, share: Array, credit: Array | None, size: int) -> Array:
    """Histogram (knots,) of rows, or of their credit, shared out between neighbours, as a mean over rows."""
    whole = np.bincount(left, credit, size)
    moved = np.bincount(left, share if credit is None else share * credit, size)  # on to the next knot
    total: Array = (whole - moved) / len(left)
    total[1:] += moved[:-1] / len(left)
    return total


def _sum_below(histogram: Array) -> Array:
    """What lies below each knot, half of what lies on it included."""
    below: Array = np.cumsum(histogram) - histogram / 2
    return below


def _compute_rank_sum(credit: Array, rows: Array) -> tuple[float, Array, Array]:
    """Mean of credit times rank: of which AUC (credit is 1 for positives) and Spearman are linear functions."""
    total, below, above = credit.sum(), _sum_below(rows), credit.sum() - _sum_below(credit)
    scale = total * (1 - total) if total > 1e-9 else 1.0  # the ranks of a truth sum to nothing
    return float(credit @ below - total**2 / 2) / scale, below / scale, above / scale


def _compute_average_precision(credit: Array, rows: Array) -> tuple[float, Array, Array]:
    """Mean over positives of the precision among all that rank as high."""
    positives, found, called = credit.sum(), credit.sum() - _sum_below(credit), rows.sum() - _sum_below(rows)
    empty = called <= 0  # above all rows, where a positive alone would have precision one
    called = np.where(empty, 1.0, called)
    precision = np.where(empty, 1.0, found / called)
    per_call, excess = credit / called, credit * precision / called
    by_credit, by_rows = precision + _sum_below(per_call), -_sum_below(excess)
    return float(credit @ precision) / positives, by_credit / positives, by_rows / positives


def _compute_soft_threshold(
    confusion: Callable[[Array], Array], credit: Array, rows: Array
) -> tuple[float, Array, Array]:
    """A label metric at its best threshold, the near best ones taking part."""
    hit, called = credit.sum() - _sum_below(credit), rows.sum() - _sum_below(rows)  # positive from each knot on

    def at(hit: Array, called: Array) -> Array:
        missed, positives = credit.sum() - hit, called - hit
        cells = np.stack([rows.sum() - called - missed, positives, missed, hit], axis=-1).clip(0)
        return confusion(cells.reshape(-1, 2, 2))

    values, step = at(hit, called), 1e-6
    share = softmax(SHARPNESS * values)
    by_hit = share * (at(hit + step, called) - at(hit - step, called)) / (2 * step)
    by_called = share * (at(hit, called + step) - at(hit, called - step)) / (2 * step)
    return float(logsumexp(SHARPNESS * values)) / SHARPNESS, _sum_below(by_hit), _sum_below(by_called)


def _compute_concordance(truth: Array, mixed: Array) -> tuple[float, Array]:
    """Lin's concordance (1989) of the expected grade with the truth: quadratic kappa without the rounding."""
    grades = np.arange(mixed.shape[1], dtype=np.float64)
    size = mixed.sum(1)
    expected = mixed @ grades / size
    error, spread = expected - truth, expected - truth.mean()
    above, below = (error**2).mean(), truth.var() + (spread**2).mean()
    if below == 0:
        return 0.0, np.zeros_like(mixed)
    by_expected = -2 * (error * below - above * spread) / below**2 / len(truth)
    return float(1 - above / below), by_expected[:, None] * (grades - expected[:, None]) / size[:, None]
