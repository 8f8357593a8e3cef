"""Whether predictions can be believed: probabilities against what happened, residuals, and classes taken for others."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from oof.metrics.confusion import counts
from oof.metrics.functions import Array, Truth
from oof.metrics.thresholds import decide
from pipeline.reporting.sources import Sources
from pipeline.reporting.svg_figure import (
    ACROSS,
    COLOURS,
    Picture,
    add_panels,
    label,
    letter_size,
    name_cells,
    picture,
    shade_cell,
)

TARGETS = 6  # panels of residuals
CLASSES = 12  # classes in a confusion matrix

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


def draw_reliability(found: Reliability) -> Picture:
    """Share of what happened by predicted probability, with the number of predictions below."""
    middle = (np.arange(BINS) + 0.5) / BINS

    def draw(figure: Any) -> None:
        above, below = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": [3, 1]})
        above.plot([0, 1], [0, 1], color=COLOURS["soft"], linewidth=0.8, linestyle="--", label="perfect")
        above.plot(found.predicted, found.observed, "o-", color=COLOURS["one"], label="observed")
        above.set(ylabel="share that happened", xlim=(0, 1), ylim=(-0.03, 1.03))
        above.legend(loc="upper left")
        below.bar(middle, found.counts, width=0.9 / BINS, color=COLOURS["one"])
        below.set(xlabel="predicted probability", ylabel="predictions")
        for axes in (above, below):
            axes.grid(linewidth=0.5)
            axes.set_axisbelow(True)

    text = f"Shown for {found.of}. Probability and observed share are {found.error:.3f} apart on average, weighted by "
    text += (
        "counts (expected calibration error, Guo et al. 2017). Below the dashed line predictions are too high, above "
    )
    text += "it too low."
    columns = zip(found.counts, found.predicted, found.observed, strict=True)
    rows = [
        [f"{at / BINS:.1f} to {(at + 1) / BINS:.1f}", int(n), float(p), float(o)]
        for at, (n, p, o) in enumerate(columns)
    ]
    header = ["probability", "predictions", "mean predicted", "share that happened"]
    return picture("reliability", "Calibration", text, draw, height=4.2, header=header, rows=rows)


def draw_residuals(found: Sequence[Residuals]) -> Picture:
    """Truth minus prediction against the prediction, a panel for each target."""
    shown = found[:TARGETS]

    def draw(figure: Any) -> None:
        for panel, one in zip(add_panels(figure, len(shown), shared=False), shown, strict=True):
            panel.axhline(0, color=COLOURS["soft"], linewidth=0.8)
            panel.plot(*one.points.T, ".", color=COLOURS["six"], markersize=3, alpha=0.6)
            panel.plot(*one.means.T, "o-", color=COLOURS["two"], markersize=4)
            panel.set_title(label(one.name))
        figure.supxlabel("prediction", fontsize=9, color=COLOURS["soft"])
        figure.supylabel("truth minus prediction", fontsize=9, color=COLOURS["soft"])

    text = "Light dots are rows, evenly picked along the predictions where there are many; dark ones are means of all "
    text += (
        "rows by tenths. Where the dark line rises, predictions are drawn too far together; where it falls, not enough."
    )
    rows = [[one.name, *map(float, mean)] for one in shown for mean in one.means]
    height = 2.2 * math.ceil(len(shown) / ACROSS) + 0.6 + 0.8 * (len(shown) == 1)
    header = ["target", "mean prediction", "mean residual"]
    return picture("residuals", "Residuals", text, draw, height=height, header=header, rows=rows)


def draw_confusion(matrix: Array, classes: Sequence[str]) -> Picture:
    """Rows of a true class by the class predicted; the classes with the most errors where there are many."""
    errors = matrix.sum(1) + matrix.sum(0) - 2 * np.diag(matrix)
    kept = np.sort(np.argsort(-errors, kind="stable")[:CLASSES])
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    names = [label(classes[at], 18) for at in kept]

    def draw(figure: Any) -> None:
        axes = figure.add_subplot()
        for row, column in np.ndindex(len(kept), len(kept)):
            at = kept[row], kept[column]
            shade_cell(axes, column, row, float(shares[at]), COLOURS["one" if row == column else "two"])
            axes.text(column, row, f"{int(matrix[at]):,}", ha="center", va="center", fontsize=letter_size(len(names)))
        name_cells(axes, names, names)
        axes.set(xlabel="predicted", ylabel="true")
        axes.xaxis.set_label_position("top")

    text = "Rows of each true class by the class predicted, the deeper the larger their share of the true class; blue "
    text += "is right, orange is wrong."
    if len(kept) < len(classes):
        text += f" The {CLASSES} of {len(classes)} classes with the most errors."
    rows = [[classes[row], *(int(matrix[row, column]) for column in kept)] for row in kept]
    header = ["true class", *(classes[at] for at in kept)]
    height = min(0.34 * len(kept) + 1.3, 7.0)
    return picture("confusion", "Confusion matrix", text, draw, height=height, header=header, rows=rows)
