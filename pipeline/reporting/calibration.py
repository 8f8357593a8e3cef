"""The section on predictions: calibration of probabilities, residuals of values, and the confusion matrix."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from oof.metrics.confusion import build_confusion_matrix
from oof.metrics.thresholds import decide_labels
from oof.types import Array, Truth
from pipeline.reporting.report_inputs import ReportInputs
from pipeline.reporting.svg_figure import (
    ACROSS,
    COLOURS,
    Figure,
    add_panels,
    choose_font_size,
    draw_figure,
    name_cells,
    shade_cell,
    shorten_label,
)

MOST_TARGETS = 6  # panels of residuals
MOST_CLASSES = 12  # classes in a confusion matrix
BINS = 10
POINTS = 600  # of a target that are drawn
RANK_BLENDS = {"rank_mean"}  # blends whose output is no probability
SUBJECTS = {
    "binary": "the probability of class {}",
    "multilabel": "the probabilities of all labels together",
    "multiclass": "the probability of the class that was chosen",
}


@dataclass(frozen=True)
class Reliability:
    """Calibration by bins of equal width: `counts`, mean `predicted` probability and `observed` share, each (bins,).

    Both means are NaN in empty bins. `error` is the expected calibration error (Guo et al. 2017): the mean distance
    between them, weighted by counts. `subject` says which probabilities these are.
    """

    subject: str
    counts: np.ndarray
    predicted: Array
    observed: Array
    error: float


@dataclass(frozen=True)
class Residuals:
    """Residuals (truth minus prediction) of one target.

    `points` (rows, 2) are predictions and residuals of some rows; `means` (bins, 2) are over all rows, in bins of as
    many rows each.
    """

    name: str
    points: Array
    means: Array


def compute_reliability(inputs: ReportInputs) -> Reliability | None:
    """Return the calibration; None for a task or a blend without probabilities."""
    task = inputs.run.competition.spec.task
    if task not in SUBJECTS or (inputs.blend and inputs.blend.method in RANK_BLENDS):
        return None
    probabilities, happened = _list_events(task, inputs.ensemble, inputs.problem.truth)
    bins = np.minimum((probabilities * BINS).astype(np.int64), BINS - 1)
    counts = np.bincount(bins, minlength=BINS)
    filled = np.where(counts > 0, counts, np.nan)
    predicted = np.bincount(bins, probabilities, BINS) / filled
    observed = np.bincount(bins, happened, BINS) / filled
    error = float(np.nansum(counts * np.abs(predicted - observed)) / counts.sum())
    return Reliability(
        subject=SUBJECTS[task].format(*inputs.run.competition.targets.classes[1:]),
        counts=counts,
        predicted=predicted,
        observed=observed,
        error=error,
    )


def _list_events(task: str, predictions: Array, truth: Truth) -> tuple[Array, Array]:
    """Return probabilities (events,), and 1 for each event that happened."""
    if task == "multiclass":
        chosen = predictions.argmax(1)
        return (predictions.max(1) / predictions.sum(1)).clip(0, 1), (chosen == truth).astype(np.float64)
    return predictions.ravel().clip(0, 1), truth.ravel().astype(np.float64)


def compute_confusion(inputs: ReportInputs) -> Array | None:
    """Return counts (true, predicted) by the default decision; None for a task without one class per row."""
    task, classes = inputs.run.competition.spec.task, inputs.run.competition.targets.classes
    if not classes:
        return None
    return build_confusion_matrix(inputs.problem.truth, decide_labels(task, inputs.ensemble), len(classes))


def list_confused_pairs(matrix: Array, classes: list[str], most: int) -> list[tuple[str, str, int, float]]:
    """Return the most frequent confusions: true class, predicted class, rows, share of the true class."""
    wrong = matrix * (1 - np.eye(len(matrix)))
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    pairs = [divmod(int(position), len(matrix)) for position in order]
    found = []
    for true, predicted in pairs:
        count = int(wrong[true, predicted])
        if count:
            found.append((classes[true], classes[predicted], count, float(count / matrix[true].sum())))
    return found


def compute_residuals(inputs: ReportInputs) -> list[Residuals]:
    """Return the residuals of each target; none for a task that is not a regression."""
    if inputs.run.competition.spec.task != "regression":
        return []
    columns = inputs.run.competition.targets.columns
    targets = zip(columns, inputs.ensemble.T, inputs.problem.truth.T, strict=True)
    return [_summarise_residuals(name, predicted, truth) for name, predicted, truth in targets]


def _summarise_residuals(name: str, predicted: Array, truth: Array) -> Residuals:
    pairs = np.column_stack([predicted, truth - predicted])[np.argsort(predicted, kind="stable")]
    evenly = np.unique(np.linspace(0, len(pairs) - 1, POINTS).astype(np.int64))
    means = [part.mean(0) for part in np.array_split(pairs, BINS) if len(part)]
    return Residuals(name, pairs[evenly], np.array(means))


def draw_reliability(reliability: Reliability) -> Figure:
    """Draw the observed share by predicted probability, with the number of predictions below."""
    middle = (np.arange(BINS) + 0.5) / BINS

    def draw(figure: Any) -> None:
        above, below = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": [3, 1]})
        above.plot([0, 1], [0, 1], color=COLOURS["soft"], linewidth=0.8, linestyle="--", label="perfect")
        above.plot(reliability.predicted, reliability.observed, "o-", color=COLOURS["one"], label="observed")
        above.set(ylabel="share that happened", xlim=(0, 1), ylim=(-0.03, 1.03))
        above.legend(loc="upper left")
        below.bar(middle, reliability.counts, width=0.9 / BINS, color=COLOURS["one"])
        below.set(xlabel="predicted probability", ylabel="predictions")
        for axes in (above, below):
            axes.grid(linewidth=0.5)
            axes.set_axisbelow(True)

    text = (
        f"Shown for {reliability.subject}. Probability and observed share differ by {reliability.error:.3f} on "
        f"average, weighted by counts (expected calibration error, Guo et al. 2017). Below the dashed line predictions "
        f"are too high, above it too low."
    )
    columns = zip(reliability.counts, reliability.predicted, reliability.observed, strict=True)
    rows = [
        [f"{number / BINS:.1f} to {(number + 1) / BINS:.1f}", int(count), float(predicted), float(observed)]
        for number, (count, predicted, observed) in enumerate(columns)
    ]
    header = ["probability", "predictions", "mean predicted", "share that happened"]
    return draw_figure("reliability", "Calibration", text, draw, height=4.2, header=header, rows=rows)


def draw_residuals(residuals: Sequence[Residuals]) -> Figure:
    """Draw truth minus prediction against the prediction, a panel for each target."""
    shown = residuals[:MOST_TARGETS]

    def draw(figure: Any) -> None:
        for panel, target in zip(add_panels(figure, len(shown), shared=False), shown, strict=True):
            panel.axhline(0, color=COLOURS["soft"], linewidth=0.8)
            panel.plot(*target.points.T, ".", color=COLOURS["six"], markersize=3, alpha=0.6)
            panel.plot(*target.means.T, "o-", color=COLOURS["two"], markersize=4)
            panel.set_title(shorten_label(target.name))
        figure.supxlabel("prediction", fontsize=9, color=COLOURS["soft"])
        figure.supylabel("truth minus prediction", fontsize=9, color=COLOURS["soft"])

    text = (
        "Light dots are rows, sampled evenly along the predictions where there are many; dark ones are means of all "
        "rows by tenths. Where the dark line rises, predictions vary too little; where it falls, too much."
    )
    rows = [[target.name, *map(float, mean)] for target in shown for mean in target.means]
    height = 2.2 * math.ceil(len(shown) / ACROSS) + 0.6 + 0.8 * (len(shown) == 1)
    header = ["target", "mean prediction", "mean residual"]
    return draw_figure("residuals", "Residuals", text, draw, height=height, header=header, rows=rows)


def draw_confusion(matrix: Array, classes: Sequence[str]) -> Figure:
    """Draw the confusion matrix; of many classes those with the most errors."""
    errors = matrix.sum(1) + matrix.sum(0) - 2 * np.diag(matrix)
    kept = np.sort(np.argsort(-errors, kind="stable")[:MOST_CLASSES])
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    names = [shorten_label(classes[number], 18) for number in kept]
    font_size = choose_font_size(len(names))

    def draw(figure: Any) -> None:
        axes = figure.add_subplot()
        for row, column in np.ndindex(len(kept), len(kept)):
            cell = kept[row], kept[column]
            shade_cell(axes, column, row, float(shares[cell]), COLOURS["one" if row == column else "two"])
            axes.text(column, row, f"{int(matrix[cell]):,}", ha="center", va="center", fontsize=font_size)
        name_cells(axes, names, names)
        axes.set(xlabel="predicted", ylabel="true")
        axes.xaxis.set_label_position("top")

    text = (
        "Rows of each true class by the class predicted, the darker the larger their share of the true class; blue is "
        "right, orange is wrong."
    )
    if len(kept) < len(classes):
        text += f" The {MOST_CLASSES} of {len(classes)} classes with the most errors."
    rows = [[classes[row], *(int(matrix[row, column]) for column in kept)] for row in kept]
    header = ["true class", *(classes[number] for number in kept)]
    height = min(0.34 * len(kept) + 1.3, 7.0)
    return draw_figure("confusion", "Confusion matrix", text, draw, height=height, header=header, rows=rows)
