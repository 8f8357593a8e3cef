"""Whether predictions can be believed: probabilities against what happened, residuals, and classes taken for others."""

from dataclasses import dataclass

import numpy as np

from oof.metrics.confusion import counts
from oof.metrics.functions import Array, Truth
from oof.metrics.thresholds import decide
from pipeline.reporting.sources import Sources

BINS = 10
POINTS = 600  # of a target that are drawn
RANKS = {"rank_mean"}  # blends whose output is no probability
WORDS = {
    "binary": "the probability of class {}",
    "multilabel": "the probabilities of all labels together",
    "multiclass": "the probability of the class that was chosen",
}


@dataclass(frozen=True)
class Reliability:
    """By bins of equal width: `counts`, mean `predicted` probability and `observed` share (bins,), NaN in empty ones.

    `error` is the expected calibration error (Guo et al. 2017): the mean distance of the two, weighted by counts.
    """

    of: str
    counts: np.ndarray
    predicted: Array
    observed: Array
    error: float


@dataclass(frozen=True)
class Residuals:
    """Of one target: some `points` (rows, 2) of prediction and residual, truth minus prediction, and over all rows
    their means (bins, 2) by bins of as many rows each."""

    name: str
    points: Array
    means: Array


def reliability(sources: Sources) -> Reliability | None:
    """None for a task, or a blend, that gives no probabilities to look at."""
    task = sources.competition.spec.task
    if task not in WORDS or (sources.blend or {}).get("method") in RANKS:
        return None
    p, happened = _events(task, sources.ensemble, sources.problem.truth)
    bin_of = np.minimum((p * BINS).astype(np.int64), BINS - 1)
    rows, sums, hits = (np.bincount(bin_of, of, BINS) for of in (np.ones_like(p), p, happened))
    filled = np.where(rows > 0, rows, np.nan)
    predicted, observed = sums / filled, hits / filled
    error = float(np.nansum(rows * np.abs(predicted - observed)) / rows.sum())
    return Reliability(
        WORDS[task].format(*sources.competition.targets.classes[1:]), rows.astype(np.int64), predicted, observed, error
    )


def _events(task: str, predictions: Array, truth: Truth) -> tuple[Array, Array]:
    """Probabilities (events,), and 1 for each that happened."""
    if task == "multiclass":
        chosen = predictions.argmax(1)
        return (predictions.max(1) / predictions.sum(1)).clip(0, 1), (chosen == truth).astype(np.float64)
    return predictions.ravel().clip(0, 1), truth.ravel().astype(np.float64)


def confusion(sources: Sources) -> Array | None:
    """Counts (true, predicted) by the default decision, which no row has chosen; None where rows have no one class."""
    task, classes = sources.competition.spec.task, sources.competition.targets.classes
    if not classes:
        return None
    return counts(sources.problem.truth, decide(task, sources.ensemble), len(classes))


def confused(matrix: Array, classes: list[str], most: int) -> list[tuple[str, str, int, float]]:
    """The pairs most often taken for each other: true class, predicted class, rows, share of the true class."""
    wrong = matrix * (1 - np.eye(len(matrix)))
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    pairs = [divmod(int(at), len(matrix)) for at in order]
    return [
        (classes[true], classes[taken], int(wrong[true, taken]), float(wrong[true, taken] / matrix[true].sum()))
        for true, taken in pairs
        if wrong[true, taken]
    ]


def residuals(sources: Sources) -> list[Residuals]:
    """One for each target of a regression."""
    if sources.competition.spec.task != "regression":
        return []
    columns = sources.competition.targets.columns
    return [
        _residuals(name, p, t) for name, p, t in zip(columns, sources.ensemble.T, sources.problem.truth.T, strict=True)
    ]


def _residuals(name: str, predicted: Array, truth: Array) -> Residuals:
    pairs = np.column_stack([predicted, truth - predicted])[np.argsort(predicted, kind="stable")]
    evenly = np.unique(np.linspace(0, len(pairs) - 1, POINTS).astype(np.int64))
    means = [part.mean(0) for part in np.array_split(pairs, BINS) if len(part)]
    return Residuals(name, pairs[evenly], np.array(means))
