"""Predictions scored side by side, on the same rows and the same bootstrap draws of whole components.

All gains are positive for the better one, in either direction of the metric. Intervals say how other rows would change
the scores of the same fits; `oof.comparison.seed_noise` says how other seeds would.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from oof.blends.problem import Problem
from oof.metrics.thresholds import prepare_for_metric
from oof.metrics.weighted_metrics import weight_metric
from oof.types import Array, Counts

LEVEL = 0.95
Interval = tuple[float, float]


@dataclass(frozen=True)
class PairedGain:
    """How much better one is than another, with a 95 % interval; None where too few draws can be scored."""

    gain: float
    interval: Interval | None


@dataclass(frozen=True)
class RankedPair:
    """Two of a group by number, the better one first; the interval holds for all pairs of the group at once."""

    better: int
    worse: int
    gain: PairedGain


@dataclass(frozen=True, eq=False)
class PredictionScores:
    """Numbered predictions: their metric `scores` (predictions,), and `values` (draws, predictions) times `sign`.

    Several numbers stand for the mean of their metrics, not for the metric of their mean.
    """

    scores: Array
    values: Array
    sign: int

    def compute_mean(self, numbers: Sequence[int]) -> float:
        """Return the mean metric of some predictions."""
        return float(self.scores[list(numbers)].mean())

    def compute_gain(self, new: Sequence[int], old: Sequence[int]) -> PairedGain:
        """Return the gain of the mean metric of `new` over that of `old`."""
        return PairedGain(self._subtract(new, old), _compute_interval(self._subtract_draws(new, old)))

    def compare_pairs(self, group: Sequence[Sequence[int]]) -> list[RankedPair]:
        """Compare all pairs of a group, with intervals that all hold at once in 95 % of draws.

        Each interval is as wide in its own standard errors as the largest deviation of all (Westfall and Young 1993).
        """
        order = sorted(range(len(group)), key=lambda number: -self.sign * self.compute_mean(group[number]))
        pairs = list(combinations(order, 2))  # the better one first
        gains = np.array([self._subtract(group[better], group[worse]) for better, worse in pairs])
        drawn = np.array([self._subtract_draws(group[better], group[worse]) for better, worse in pairs])
        intervals = _compute_joint_intervals(gains, drawn[:, np.isfinite(drawn).all(0)])
        return [
            RankedPair(better, worse, PairedGain(float(gain), interval))
            for (better, worse), gain, interval in zip(pairs, gains, intervals, strict=True)
        ]

    def _subtract(self, new: Sequence[int], old: Sequence[int]) -> float:
        return self.sign * (self.compute_mean(new) - self.compute_mean(old))

    def _subtract_draws(self, new: Sequence[int], old: Sequence[int]) -> Array:
        """Return the gain at each draw, (draws,)."""
        gains: Array = self.values[:, list(new)].mean(1) - self.values[:, list(old)].mean(1)
        return gains


def score_predictions(problem: Problem, predictions: Iterable[Array], draws: Iterable[Counts]) -> PredictionScores:
    """Score each of the predictions (rows, columns) on all rows and at each draw of counts (rows,).

    Predictions are taken one at a time; for a label metric they are decided by default thresholds.
    """
    metric, scores, functions = problem.metric, [], []
    for columns in predictions:
        decided = prepare_for_metric(metric, problem.task, columns)
        scores.append(metric.function(problem.truth, decided))
        functions.append(weight_metric(metric, problem.truth, decided, same_columns=True))
    values = np.array([[function(counts) for function in functions] for counts in draws], dtype=np.float64)
    return PredictionScores(np.array(scores), metric.sign * values, metric.sign)


def _compute_interval(drawn: Array) -> Interval | None:
    defined = drawn[np.isfinite(drawn)]
    if len(defined) < 2:
        return None
    low, high = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _compute_joint_intervals(gains: Array, drawn: Array) -> list[Interval | None]:
    """Return an interval for each of `gains` (pairs,) from their values at the draws (pairs, draws)."""
    if drawn.shape[1] < 2:
        return [None] * len(gains)
    errors = drawn.std(1, ddof=1)
    deviations = np.abs(drawn - gains[:, None]) / np.where(errors > 0, errors, np.inf)[:, None]
    widths = errors * np.quantile(deviations.max(0), LEVEL)
    return [(float(gain - width), float(gain + width)) for gain, width in zip(gains, widths, strict=True)]
