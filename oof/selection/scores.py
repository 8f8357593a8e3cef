"""Scores by name: in-sample and cross-fitted, and the paired gain of one over another.

In-sample is on the rows that chose the numbers. Cross-fitted chooses them, thresholds included, on the other folds; it
estimates a blend of single-fold models on rows like these. A second-order leak remains, because the other folds'
members were trained on this fold's rows, so it is never called unbiased.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from oof import OOFError
from oof.blends.blend_registry import Blend, Numbers
from oof.blends.calibration import Finish, apply_finish, fit_finish
from oof.blends.problem import Problem
from oof.metrics.functions import Array, Truth
from oof.metrics.metric_registry import Metric
from oof.metrics.thresholds import fit_thresholds, judged
from oof.metrics.weighted_metrics import counted
from oof.selection.bootstrap import Resamples, resampled, standard_error

Decided = npt.NDArray[np.int64] | Array


@dataclass(frozen=True)
class Score:
    """A metric on all rows (`pooled`, the one that decides) and beside it by fold.

    A fold on which the metric is undefined is None and left out of mean and deviation (sample, None below two folds).
    """

    pooled: float
    by_fold: list[float | None]
    mean: float | None
    deviation: float | None


@dataclass(frozen=True, eq=False)
class Fitted:
    """Numbers chosen on some rows: predictions `own` of those, and `other` of the rows where `held` is true."""

    numbers: Numbers
    own: Array
    held: npt.NDArray[np.bool_]
    other: Array


@dataclass(frozen=True, eq=False)
class Blended:
    """Predictions (rows, columns) and, shaped as the metric takes them, `decided`: labels or the predictions.

    `numbers`, `finishes` and `thresholds` are those of the fit: one for in-sample, one per fold, in order, for
    cross-fitted.
    """

    predictions: Array
    decided: Decided
    numbers: list[Numbers]
    finishes: list[Finish | None]
    thresholds: list[list[float] | None]


class Gain(NamedTuple):
    """How much better the new one is, positive is better whatever the metric's direction, and its standard error."""

    gain: float
    standard_error: float


def score(metric: Metric, truth: Truth, decided: Decided, fold: npt.NDArray[np.int64]) -> Score:
    """Score what the metric takes (labels for a label metric) on all rows and by fold, in the folds' order."""
    value = counted(metric, truth, decided)
    by_fold = [value((fold == one).astype(np.float64)) for one in np.unique(fold)]
    known = [found for found in by_fold if found is not None]
    return Score(
        pooled=metric.function(truth, decided),
        by_fold=by_fold,
        mean=float(np.mean(known)) if known else None,
        deviation=float(np.std(known, ddof=1)) if len(known) > 1 else None,
    )


def fit_all(rule: Blend, problem: Problem) -> list[Fitted]:
    """One fit on all rows, applied to the same: the numbers for the submission, a score that flatters."""
    numbers = rule.fit(problem)
    predictions = rule.apply(numbers, problem.take_all())
    return [Fitted(numbers, predictions, np.ones(len(problem), dtype=bool), predictions)]


def fit_folds(rule: Blend, problem: Problem) -> list[Fitted]:
    """A fit without each fold in turn, applied to that fold. Raises OOFError with fewer than two folds."""
    if len(problem.folds) < 2:
        raise OOFError(f"a cross-fitted score needs at least two folds, there is only fold {problem.folds[0]}")
    fits = []
    for fold in problem.folds:
        held = problem.fold == fold
        numbers = rule.fit(problem.rows(~held))
        predictions = rule.apply(numbers, problem.take_all())
        fits.append(Fitted(numbers, predictions[~held], held, predictions[held]))
    return fits


def blended(problem: Problem, fits: Sequence[Fitted], *, finish: bool, thresholds: bool = True) -> Blended:
    """The held rows of each fit put together; finish and thresholds are fitted on each one's own rows, if at all."""
    task, metric = problem.task, problem.metric
    predictions = np.empty((len(problem), *fits[0].other.shape[1:]))
    decided: Decided = predictions
    finishes: list[Finish | None] = []
    cuts: list[list[float] | None] = []
    for one in fits:
        alone = len(fits) == 1
        truth = problem.truth if alone else problem.truth[~one.held]
        finishes.append(fit_finish(metric, task, truth, one.own) if finish else None)
        cuts.append(fit_thresholds(metric, task, truth, apply_finish(finishes[-1], one.own)) if thresholds else None)
        found = apply_finish(finishes[-1], one.other)
        predictions[one.held] = found
        if metric.needs == "labels":
            labels = judged(metric, task, found, cuts[-1])
            if decided is predictions:
                decided = np.empty((len(problem), *labels.shape[1:]), dtype=labels.dtype)
            decided[one.held] = labels
    return Blended(predictions, decided, [one.numbers for one in fits], finishes, cuts)


def in_sample(rule: Blend, problem: Problem) -> Blended:
    """A blend fitted on all rows and applied to them."""
    return blended(problem, fit_all(rule, problem), finish=False)


def cross_fitted(rule: Blend, problem: Problem) -> Blended:
    """Each fold predicted by numbers and thresholds chosen on the others; OOFError with fewer than two folds."""
    return blended(problem, fit_folds(rule, problem), finish=False)


def paired_gain(metric: Metric, truth: Truth, new: Decided, old: Decided, resamples: Resamples) -> Gain:
    """Gain of `new` over `old` (both as the metric takes them) on the same rows, with a bootstrap standard error.

    Both sides are judged on the same draws. OOFError where too few draws can be judged.
    """
    values = resampled(metric, truth, [new, old], resamples)
    error = standard_error(values[:, 0] - values[:, 1], metric)
    return Gain(float(metric.sign * (metric.function(truth, new) - metric.function(truth, old))), error)
