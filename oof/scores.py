"""Scores by name: in-sample, cross-fitted, and the paired gain of one blend over another.

In-sample is on the rows that chose the numbers. Cross-fitted chooses them, thresholds included, on the other folds; it
estimates a blend of single-fold models on rows like these. A second-order leak remains, because the other folds'
members were trained on this fold's rows, so it is never called unbiased.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from oof import OOFError
from oof.blends import Blend, Numbers
from oof.confusion import quick
from oof.decide import decide, fit_thresholds
from oof.measures import Array, Truth
from oof.metrics import Metric


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
class Blended:
    """Predictions (rows, columns) and, shaped as the metric takes them, `decided`: labels or the predictions.

    `numbers` and `thresholds` are those of the fit: one for in-sample, one per fold, in order, for cross-fitted.
    """

    predictions: Array
    decided: npt.NDArray[np.int64] | Array
    numbers: list[Numbers]
    thresholds: list[list[float] | None]


class Gain(NamedTuple):
    """How much better the new one is, positive is better whatever the metric's direction, and its standard error."""

    gain: float
    standard_error: float


def score(metric: Metric, truth: Truth, decided: Array | npt.NDArray[np.int64], fold: npt.NDArray[np.int64]) -> Score:
    """Score what the metric takes (labels for a label metric) on all rows and by fold, in the folds' order."""
    by_fold = [_or_none(metric, truth[fold == one], decided[fold == one]) for one in np.unique(fold)]
    known = [value for value in by_fold if value is not None]
    return Score(
        pooled=metric.function(truth, decided),
        by_fold=by_fold,
        mean=float(np.mean(known)) if known else None,
        deviation=float(np.std(known, ddof=1)) if len(known) > 1 else None,
    )


def in_sample(blend: Blend, P: Array, truth: Truth, task: str, metric: Metric) -> Blended:
    """Fit on all rows and apply to the same: the numbers for the submission, a score that flatters."""
    numbers = blend.fit(P, truth, task, metric)
    predictions = blend.apply(numbers, P)
    thresholds = fit_thresholds(metric, task, truth, predictions)
    return Blended(predictions, _decided(metric, task, predictions, thresholds), [numbers], [thresholds])


def cross_fitted(
    blend: Blend, P: Array, truth: Truth, fold: npt.NDArray[np.int64], task: str, metric: Metric
) -> Blended:
    """Predict each fold by numbers and thresholds chosen on the other folds. Raises OOFError with fewer than two."""
    folds = np.unique(fold)
    if len(folds) < 2:
        raise OOFError(f"a cross-fitted score needs at least two folds, there is only fold {folds[0]}")
    pieces = []
    predictions = np.empty(P.shape[1:])
    for one in folds:
        held = fold == one
        fitted = in_sample(blend, P[:, ~held], truth[~held], task, metric)
        predictions[held] = blend.apply(fitted.numbers[0], P[:, held])
        decided = _decided(metric, task, predictions[held], fitted.thresholds[0])
        pieces.append((held, decided, fitted))
    together = np.empty((len(truth), *pieces[0][1].shape[1:]), dtype=pieces[0][1].dtype)
    for held, decided, _ in pieces:
        together[held] = decided
    numbers = [fitted.numbers[0] for _, _, fitted in pieces]
    return Blended(predictions, together, numbers, [fitted.thresholds[0] for _, _, fitted in pieces])


def paired_gain(
    metric: Metric,
    truth: Truth,
    new: Array | npt.NDArray[np.int64],
    old: Array | npt.NDArray[np.int64],
    component: npt.NDArray[np.int64] | None,
    repeats: int = 200,
    seed: int = 0,
) -> Gain:
    """Gain of `new` over `old` (both as the metric takes them) on the same rows, with a bootstrap standard error.

    Whole components (rows that must stay together; None: single rows) are drawn, both sides on the same draw (Efron
    and Tibshirani 1993). Draws on which the metric is undefined are left out; OOFError if fewer than two are left.
    """
    rng = np.random.default_rng(seed)
    labels = np.arange(len(truth)) if component is None else np.unique(component, return_inverse=True)[1]
    order = np.argsort(labels, kind="stable")
    sizes = np.bincount(labels)
    starts = np.cumsum(sizes) - sizes
    gains = []
    for _ in range(repeats):
        drawn = rng.integers(len(sizes), size=len(sizes))
        # rows of the drawn components, one component after the other
        offsets = np.arange(sizes[drawn].sum()) - np.repeat(np.cumsum(sizes[drawn]) - sizes[drawn], sizes[drawn])
        rows = order[np.repeat(starts[drawn], sizes[drawn]) + offsets]
        drawn_truth = truth[rows]
        better, worse = _or_none(metric, drawn_truth, new[rows]), _or_none(metric, drawn_truth, old[rows])
        if better is not None and worse is not None:
            gains.append(metric.sign * (better - worse))
    if len(gains) < 2:
        raise OOFError(f"{metric.name} is undefined on resampled rows; too few rows or groups for a standard error")
    gain = metric.sign * (metric.function(truth, new) - metric.function(truth, old))
    return Gain(float(gain), float(np.std(gains, ddof=1)))


def _decided(
    metric: Metric, task: str, predictions: Array, thresholds: list[float] | None
) -> npt.NDArray[np.int64] | Array:
    return decide(task, predictions, thresholds) if metric.needs == "labels" else predictions


def _or_none(metric: Metric, truth: Truth, decided: Array | npt.NDArray[np.int64]) -> float | None:
    """The metric, or None on rows where it is undefined (one class only for an AUC)."""
    try:
        return quick(metric.confusion, truth, decided) if metric.confusion else metric.function(truth, decided)
    except OOFError:
        return None
