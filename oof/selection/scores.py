"""In-sample and cross-fitted predictions of a blend, their scores, and the paired gain of one over another.

An in-sample score is on the rows that the numbers were fitted on. A cross-fitted one fits them, thresholds included, on
the other folds; it estimates a blend of single-fold models on rows like these. A second-order leak remains, because the
other folds' members were trained on this fold's rows, so it is never called unbiased.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from oof import OOFError
from oof.blends.blend_registry import Blend
from oof.blends.calibration import apply_finish, fit_finish
from oof.blends.problem import Problem
from oof.metrics.metric_registry import Metric
from oof.metrics.thresholds import fit_thresholds, prepare_for_metric
from oof.metrics.weighted_metrics import weight_metric
from oof.selection.bootstrap import BootstrapDraws, compute_standard_error, score_draws
from oof.types import Array, Decided, IntArray, Mask, Numbers, Truth


@dataclass(frozen=True)
class Score:
    """A metric on all rows (`pooled`, by which candidates are compared) and by fold.

    A fold on which the metric is undefined is None and left out of `mean` and of the sample standard `deviation`, which
    is None below two folds.
    """

    pooled: float
    by_fold: list[float | None]
    mean: float | None
    deviation: float | None


@dataclass(frozen=True, eq=False)
class BlendFit:
    """Numbers fitted on some rows, their `predictions` of these, and those of the rows where `held_out` is true."""

    numbers: Numbers
    predictions: Array
    held_out: Mask
    held_out_predictions: Array


@dataclass(frozen=True, eq=False)
class BlendedPredictions:
    """Predictions (rows, columns) and `decided`, what the metric takes: labels, or the predictions themselves.

    `numbers`, `finishes` and `thresholds` hold one entry per fit: a single one in-sample, one per fold cross-fitted.
    """

    predictions: Array
    decided: Decided
    numbers: list[Numbers]
    finishes: list[Numbers | None]
    thresholds: list[list[float] | None]


class Gain(NamedTuple):
    """How much better one is than another, positive in either direction of the metric, and its standard error."""

    gain: float
    standard_error: float


def compute_score(metric: Metric, truth: Truth, decided: Decided, fold: IntArray) -> Score:
    """Score what the metric takes (labels for a label metric) on all rows and by fold, in the folds' order."""
    evaluate = weight_metric(metric, truth, decided)
    by_fold = [evaluate((fold == number).astype(np.float64)) for number in np.unique(fold)]
    defined = [value for value in by_fold if value is not None]
    return Score(
        pooled=metric.function(truth, decided),
        by_fold=by_fold,
        mean=float(np.mean(defined)) if defined else None,
        deviation=float(np.std(defined, ddof=1)) if len(defined) > 1 else None,
    )


def fit_all(rule: Blend, problem: Problem) -> list[BlendFit]:
    """Fit on all rows and apply to the same: the numbers for the submission, with an optimistic score."""
    numbers = rule.fit(problem)
    predictions = rule.apply(numbers, problem.take_predictions())
    return [BlendFit(numbers, predictions, np.ones(len(problem), dtype=bool), predictions)]


def fit_folds(rule: Blend, problem: Problem) -> list[BlendFit]:
    """Fit without each fold in turn and apply to that fold. Raises OOFError with fewer than two folds."""
    if len(problem.folds) < 2:
        raise OOFError(f"a cross-fitted score needs at least two folds, there is only fold {problem.folds[0]}")
    fits = []
    for fold in problem.folds:
        held_out = problem.fold == fold
        numbers = rule.fit(problem.select_rows(~held_out))
        predictions = rule.apply(numbers, problem.take_predictions())
        fits.append(BlendFit(numbers, predictions[~held_out], held_out, predictions[held_out]))
    return fits


def combine_fits(
    problem: Problem, fits: Sequence[BlendFit], *, finish: bool, thresholds: bool = True
) -> BlendedPredictions:
    """Put the held-out rows of all fits together; finish and thresholds, if any, are fitted on the rows of each fit."""
    task, metric = problem.task, problem.metric
    predictions = np.empty((len(problem), *fits[0].held_out_predictions.shape[1:]))
    decided: Decided = predictions
    finishes: list[Numbers | None] = []
    cuts: list[list[float] | None] = []
    for fit in fits:
        truth = problem.truth if len(fits) == 1 else problem.truth[~fit.held_out]
        fold_finish = fit_finish(metric, task, truth, fit.predictions) if finish else None
        fitted = apply_finish(fold_finish, fit.predictions)
        finishes.append(fold_finish)
        cuts.append(fit_thresholds(metric, task, truth, fitted) if thresholds else None)
        held_out = apply_finish(fold_finish, fit.held_out_predictions)
        predictions[fit.held_out] = held_out
        if metric.needs == "labels":
            labels = prepare_for_metric(metric, task, held_out, cuts[-1])
            if decided is predictions:
                decided = np.empty((len(problem), *labels.shape[1:]), dtype=labels.dtype)
            decided[fit.held_out] = labels
    return BlendedPredictions(predictions, decided, [fit.numbers for fit in fits], finishes, cuts)


def predict_in_sample(rule: Blend, problem: Problem) -> BlendedPredictions:
    """Fit a blend on all rows and apply it to them."""
    return combine_fits(problem, fit_all(rule, problem), finish=False)


def predict_cross_fitted(rule: Blend, problem: Problem) -> BlendedPredictions:
    """Predict each fold by numbers and thresholds fitted on the others. Raises OOFError with fewer than two folds."""
    return combine_fits(problem, fit_folds(rule, problem), finish=False)


def compute_paired_gain(metric: Metric, truth: Truth, new: Decided, old: Decided, draws: BootstrapDraws) -> Gain:
    """Return the gain of `new` over `old` (both as the metric takes them), with a bootstrap standard error.

    Both are scored on the same draws. Raises OOFError if the metric is defined on fewer than two draws.
    """
    values = score_draws(metric, truth, [new, old], draws)
    error = compute_standard_error(values[:, 0] - values[:, 1], metric)
    return Gain(float(metric.sign * (metric.function(truth, new) - metric.function(truth, old))), error)
