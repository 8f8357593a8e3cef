"""Predictions judged side by side: the same rows, the same bootstrap draws of whole components.

All gains are positive for the better one, whatever the metric's direction. Intervals say what other rows would do to
the same fits; what other seeds would do is `oof.comparison.seed_noise`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from oof.blends.problem import Problem
from oof.metrics.functions import Array
from oof.metrics.thresholds import judged
from oof.metrics.weighted_metrics import counted

LEVEL = 0.95


@dataclass(frozen=True)
class PairedGain:
    """How much better one is than another, with a 95 % interval; None where too few draws can be judged."""

    gain: float
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class Pair:
    """Two of a group by number, the better one first; the interval holds for all pairs of the group at once."""

    better: int
    worse: int
    gain: PairedGain


@dataclass(frozen=True, eq=False)
class Judged:
    """Predictions by number: their metric `scores` (predictions,), and `values` (draws, predictions) times `sign`.

    Several numbers stand for the mean of their metric, not for the metric of their mean.
    """

    scores: Array
    values: Array
    sign: int

    def mean(self, numbers: Sequence[int]) -> float:
        """The mean metric of some predictions."""
        return float(self.scores[list(numbers)].mean())

    def gain(self, new: Sequence[int], old: Sequence[int]) -> PairedGain:
        """The mean metric of `new` over that of `old`."""
        return PairedGain(self._ahead(new, old), _interval(self._drawn(new) - self._drawn(old)))

    def pairs(self, group: Sequence[Sequence[int]]) -> list[Pair]:
        """All pairs of a group, with intervals that all hold at once in 95 % of draws, however many pairs there are.

        Each is as wide in its own standard errors as the largest deviation among all (Westfall and Young 1993).
        """
        order = sorted(range(len(group)), key=lambda one: -self.sign * self.mean(group[one]))
        numbers = list(combinations(order, 2))  # the better one first
        gains = np.array([self._ahead(group[one], group[two]) for one, two in numbers])
        drawn = np.array([self._drawn(group[one]) - self._drawn(group[two]) for one, two in numbers])  # (pairs, draws)
        drawn = drawn[:, np.isfinite(drawn).all(0)]
        ends: list[tuple[float, float] | None] = [None] * len(gains)
        if drawn.shape[1] > 1:
            errors = drawn.std(1, ddof=1)
            away = np.abs(drawn - gains[:, None]) / np.where(errors > 0, errors, np.inf)[:, None]
            widths = errors * np.quantile(away.max(0), LEVEL)
            ends = [(float(gain - width), float(gain + width)) for gain, width in zip(gains, widths, strict=True)]
        return [
            Pair(better, worse, PairedGain(float(gain), end))
            for (better, worse), gain, end in zip(numbers, gains, ends, strict=True)
        ]

    def _ahead(self, new: Sequence[int], old: Sequence[int]) -> float:
        return self.sign * (self.mean(new) - self.mean(old))

    def _drawn(self, numbers: Sequence[int]) -> Array:
        found: Array = self.values[:, list(numbers)].mean(1)
        return found


def judge(problem: Problem, predictions: Iterable[Array], draws: Iterable[Array]) -> Judged:
    """The problem's metric of each of the predictions (rows, columns), on all rows and at each draw of counts (rows,).

    Predictions are looked at one at a time; label metrics take the default decision.
    """
    metric, scores, functions = problem.metric, [], []
    for one in predictions:
        decided = judged(metric, problem.task, one)
        scores.append(metric.function(problem.truth, decided))
        functions.append(counted(metric, problem.truth, decided))
    values = np.array([[function(counts) for function in functions] for counts in draws], dtype=np.float64)
    return Judged(np.array(scores), metric.sign * values, metric.sign)


def _interval(drawn: Array) -> tuple[float, float] | None:
    known = drawn[np.isfinite(drawn)]
    if len(known) < 2:
        return None
    low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
