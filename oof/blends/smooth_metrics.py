"""Smooth forms with gradients of metrics that look at order or at one threshold, and so have none.

Each row is shared between the two nearest of a grid of knots, in proportion to its distance; then the metric is a
smooth function of two histograms of each column, one of all rows and one of credit (positives, or the ranks of the
truth), and the chain rule gives the gradient. The knots are quantiles of the equal mean, so no scale is preferred.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp, softmax
from scipy.stats import rankdata

from oof.blends.problem import Problem
from oof.metrics.confusion import MatrixMetric
from oof.types import Array

KNOTS = 1024
CELLS = 2**14
SHARPNESS = 500.0  # how much the best threshold outweighs one that is worse by a point of the metric

Differentiated = tuple[float, Array, Array]  # value of two histograms (knots,), derivative by each
SmoothMetric = Callable[[Array], tuple[float, Array]]  # of predictions (rows, columns): value, derivative by each
HistogramMetric = Callable[[Array, Array], Differentiated]  # of credit and of all rows


class KnotScale(NamedTuple):
    """Even cells from `low`, `width` wide; a prediction in a cell has the place `offset + cell * rise` among `knots`.

    The place is piecewise linear between even cells, for speed.
    """

    low: float
    width: float
    offsets: Array
    rises: Array
    knots: int


def smooth_metric(problem: Problem) -> SmoothMetric | None:
    """Return the metric, larger is better, and its gradient, in a smooth form if needed; None if there is none."""
    metric, sign = problem.metric, problem.metric.sign
    if gradient := metric.gradient:
        return lambda combined: (
            sign * metric.function(problem.truth, combined),
            sign * gradient(problem.truth, combined),
        )
    if problem.task == "ordinal" and metric.name == "qwk":
        return lambda combined: _compute_concordance(problem.truth, combined)
    function = _choose_function(problem)
    if function is None or problem.task in ("multiclass", "ordinal"):
        return None
    return _smooth_by_histograms(problem, function)


def _choose_function(problem: Problem) -> HistogramMetric | None:
    metric = problem.metric
    if confusion := metric.confusion:
        return lambda credit, rows: _compute_soft_threshold(confusion, credit, rows)
    by_name = {
        "roc_auc": _compute_rank_sum,
        "spearman": _compute_rank_sum,
        "average_precision": _compute_average_precision,
    }
    return by_name.get(metric.name)


def _smooth_by_histograms(problem: Problem, function: HistogramMetric) -> SmoothMetric:
    """Return the mean over columns of a function of histograms; a column with one kind of rows is left out."""
    truth = problem.truth.reshape(len(problem), -1)
    kept = np.flatnonzero(np.ptp(truth, axis=0) > 0)
    mean = problem.combine_members(np.full(problem.member_count, 1 / problem.member_count))
    members = map(problem.get_member, range(problem.member_count))  # one copy of some rows at a time
    ranges = np.array([(member.min(0), member.max(0)) for member in members])  # (members, 2, columns)
    low = ranges[:, 0].min(0)
    high = ranges[:, 1].max(0)
    scales = {column: _build_scale(mean[:, column], float(low[column]), float(high[column])) for column in kept}
    credit = {column: _compute_credit(truth[:, column], problem.task) for column in kept}

    def evaluate(combined: Array) -> tuple[float, Array]:
        total = 0.0
        gradient = np.zeros_like(combined)
        for column in kept:
            value, gradient[:, column] = _evaluate_column(function, combined[:, column], credit[column], scales[column])
            total += value
        return total / max(len(kept), 1), gradient if len(kept) < 2 else gradient / len(kept)

    return evaluate


def _compute_credit(truth: Array, task: str) -> Array:
    if task != "regression":
        return truth.astype(np.float64)
    ranks = rankdata(truth) / len(truth)
    credit: Array = (ranks - ranks.mean()) / ranks.var()
    return credit


def _build_scale(values: Array, low: float, high: float) -> KnotScale:
    count = min(KNOTS, max(len(values) // 4, 256))
    knots = np.unique(np.concatenate([[low], np.quantile(values, np.linspace(0, 1, count)), [high]]))
    width = max((high - low) / CELLS, 1e-300)
    places = np.interp(low + width * np.arange(CELLS + 2), knots, np.arange(len(knots)))
    rises = np.diff(places)
    return KnotScale(low, width, places[:-1] - rises * np.arange(CELLS + 1), rises, len(knots))


def _evaluate_column(function: HistogramMetric, p: Array, credit: Array, scale: KnotScale) -> tuple[float, Array]:
    """Return value and derivative by each prediction (rows,) of one column."""
    cell = (p - scale.low) / scale.width
    lower = cell.astype(np.int64)
    rise = scale.rises.take(lower, mode="clip")
    place = cell * rise
    place += scale.offsets.take(lower, mode="clip")
    size = scale.knots + 1
    left = np.minimum(place.astype(np.int64), size - 2)
    place -= left  # the share of the next knot
    of_credit = _share_between_knots(left, place, credit, size)
    of_rows = _share_between_knots(left, place, None, size)
    value, by_credit, by_rows = function(of_credit, of_rows)
    steps = np.diff(by_credit).take(left)
    steps *= credit
    steps += np.diff(by_rows).take(left)
    steps *= rise
    steps /= scale.width * len(p)
    return value, steps


def _share_between_knots(left: Array, share: Array, credit: Array | None, size: int) -> Array:
    """Return the histogram (knots,) of rows, or of their credit, shared between neighbours, as a mean over rows."""
    whole = np.bincount(left, credit, size)
    moved = np.bincount(left, share if credit is None else share * credit, size)  # to the next knot
    histogram: Array = (whole - moved) / len(left)
    histogram[1:] += moved[:-1] / len(left)
    return histogram


def _sum_below(histogram: Array) -> Array:
    """Return the sum below each knot, with half of what lies on it."""
    below: Array = np.cumsum(histogram) - histogram / 2
    return below


def _compute_rank_sum(credit: Array, rows: Array) -> Differentiated:
    """Return the mean of credit times rank; AUC (credit 1 for positives) and Spearman are linear functions of it."""
    total = credit.sum()
    below = _sum_below(rows)
    above = total - _sum_below(credit)
    scale = total * (1 - total) if total > 1e-9 else 1.0  # the centred ranks of a regression sum to nothing
    return float(credit @ below - total**2 / 2) / scale, below / scale, above / scale


def _compute_average_precision(credit: Array, rows: Array) -> Differentiated:
    """Return the mean over positives of the precision among all rows that rank as high."""
    positives = credit.sum()
    positives_above = positives - _sum_below(credit)
    called = rows.sum() - _sum_below(rows)
    is_empty = called <= 0  # above all rows, where a single positive would have precision one
    called = np.where(is_empty, 1.0, called)
    precision = np.where(is_empty, 1.0, positives_above / called)
    by_credit = precision + _sum_below(credit / called)
    by_rows = -_sum_below(credit * precision / called)
    return float(credit @ precision) / positives, by_credit / positives, by_rows / positives


def _compute_soft_threshold(confusion: MatrixMetric, credit: Array, rows: Array) -> Differentiated:
    """Return a label metric at its best threshold, as a soft maximum over all thresholds."""
    hit = credit.sum() - _sum_below(credit)  # from each knot on
    called = rows.sum() - _sum_below(rows)

    def evaluate(hit: Array, called: Array) -> Array:
        missed = credit.sum() - hit
        false_positives = called - hit
        cells = np.stack([rows.sum() - called - missed, false_positives, missed, hit], axis=-1).clip(0)
        return confusion(cells.reshape(-1, 2, 2))

    values = evaluate(hit, called)
    step = 1e-6
    share = softmax(SHARPNESS * values)
    by_hit = share * (evaluate(hit + step, called) - evaluate(hit - step, called)) / (2 * step)
    by_called = share * (evaluate(hit, called + step) - evaluate(hit, called - step)) / (2 * step)
    return float(logsumexp(SHARPNESS * values)) / SHARPNESS, _sum_below(by_hit), _sum_below(by_called)


def _compute_concordance(truth: Array, combined: Array) -> tuple[float, Array]:
    """Return Lin's concordance (1989) of the expected grade with the truth: quadratic kappa without the rounding."""
    grades = np.arange(combined.shape[1], dtype=np.float64)
    size = combined.sum(1)
    expected = combined @ grades / size
    error = expected - truth
    spread = expected - truth.mean()
    above = (error**2).mean()
    below = truth.var() + (spread**2).mean()
    if below == 0:
        return 0.0, np.zeros_like(combined)
    by_expected = -2 * (error * below - above * spread) / below**2 / len(truth)
    return float(1 - above / below), by_expected[:, None] * (grades - expected[:, None]) / size[:, None]
