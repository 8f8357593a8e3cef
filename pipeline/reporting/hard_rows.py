"""The section on rows worth reading: those with the largest loss, and labels that may be wrong."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from oof.metrics.functions import EPSILON, compute_roc_auc, compute_true_probability
from oof.metrics.thresholds import compute_expected_grade
from oof.types import Array
from pipeline.reporting.report_inputs import ReportInputs

MOST_ROWS = 15
TEXT_LENGTH = 300  # characters of a text that are shown
TRUTH_HEADINGS = {"regression": "Value", "ordinal": "Grade", "multilabel": "Labels"}
SIZE_HEADINGS = {
    "regression": "Error, in standard deviations of the target",
    "ordinal": "Error, in grades",
    "multilabel": "Log loss, mean over labels",
}
LOWEST_AUC = 0.6  # below, a disagreement with the label says nothing about the label
# Share of doubtful labels above which most doubts are mistakes of the model: Northcutt, Athalye and Mueller (2021)
# found about 3 % of wrong labels in well-known test sets
HIGHEST_SHARE = 0.1
Question = tuple[Sequence[str], Array, np.ndarray]


@dataclass(frozen=True)
class HardRow:
    """A training row with its truth and the ensemble's prediction in words; `size` is its loss, error or margin."""

    id: str
    fold: int
    text: str
    truth: str
    prediction: str
    size: float


def find_worst_rows(inputs: ReportInputs) -> list[HardRow]:
    """Return the rows with the largest loss: log loss, or the error of a value or a grade."""
    loss = _compute_losses(inputs)
    rows = np.argsort(-loss, kind="stable")[:MOST_ROWS].tolist()
    return [
        describe_row(inputs, row, _describe_truth(inputs, row), _describe_prediction(inputs, row), loss[row])
        for row in rows
    ]


def name_headings(inputs: ReportInputs) -> tuple[str, str]:
    """Return the headings of the truth of rows and of their `size`."""
    task = inputs.run.competition.spec.task
    size = SIZE_HEADINGS.get(task, "Log loss")
    if task == "regression" and len(inputs.run.competition.targets.columns) > 1:
        size = "Error, mean over targets, each in its standard deviations"
    return TRUTH_HEADINGS.get(task, "Class"), size


def describe_row(inputs: ReportInputs, at: int, truth: str, prediction: str, size: float) -> HardRow:
    """Return a row of the problem, by its position, in words."""
    place = int(inputs.gathered.rows.positions[at])
    text = shorten_text(" / ".join(inputs.run.competition.texts[place]))
    fold = int(inputs.problem.fold[at])
    return HardRow(inputs.run.competition.ids[place], fold, text, truth, prediction, float(size))


def shorten_text(text: str, length: int = TEXT_LENGTH) -> str:
    """Return a text on one line, cut to `length` characters."""
    line = " ".join(text.split())
    return line if len(line) <= length else f"{line[: length - 1]}…"


def _compute_losses(inputs: ReportInputs) -> Array:
    task, truth, P = inputs.run.competition.spec.task, inputs.problem.truth, inputs.ensemble
    if task == "regression":
        spread = truth.std(0)
        loss: Array = np.abs(truth - P) / np.where(spread > 0, spread, 1)
    elif task == "ordinal":
        loss = np.abs(truth - compute_expected_grade(P))
    else:
        loss = -np.log(compute_true_probability(truth, P).clip(EPSILON))
    mean: Array = loss.reshape(len(truth), -1).mean(1)
    return mean


def _describe_truth(inputs: ReportInputs, at: int) -> str:
    targets, task, truth = inputs.run.competition.targets, inputs.run.competition.spec.task, inputs.problem.truth[at]
    if task == "regression":
        return _format_values(targets.columns, truth)
    if task == "multilabel":
        return ", ".join(name for name, one in zip(targets.columns, truth, strict=True) if one) or "none"
    return targets.classes[int(truth)]


def _describe_prediction(inputs: ReportInputs, at: int) -> str:
    targets, task, P = inputs.run.competition.targets, inputs.run.competition.spec.task, inputs.ensemble[at]
    if task == "regression":
        return _format_values(targets.columns, P)
    if task == "multilabel":
        return ", ".join(f"{name} ({p:.2f})" for name, p in zip(targets.columns, P, strict=True) if p >= 0.5) or "none"
    if task == "binary":
        return f"{targets.classes[int(P[0] >= 0.5)]} ({max(P[0], 1 - P[0]):.2f})"
    return f"{targets.classes[int(P.argmax())]} ({P.max() / P.sum():.2f})"


def _format_values(names: Sequence[str], values: Array) -> str:
    if len(names) == 1:
        return f"{values[0]:.4g}"
    return ", ".join(f"{name} {value:.4g}" for name, value in zip(names, values, strict=True))


@dataclass(frozen=True)
class DoubtfulLabels:
    """`count` of `labels` are in doubt; `rows` are those with the largest margins, or none if the model is `weak`.

    `right` is the share of labels that are the model's most probable class, `common` the share of the most frequent
    class (of each label), `auc` the mean area under the curve of one class against the rest, weighted by rows.
    """

    count: int
    labels: int
    rows: list[HardRow]
    right: float
    common: float
    auc: float

    @property
    def weak(self) -> bool:
        """True if the model is hardly better than chance."""
        return self.auc < LOWEST_AUC

    @property
    def many(self) -> bool:
        """True if more labels are in doubt than are likely to be wrong."""
        return self.count > HIGHEST_SHARE * self.labels


def find_doubtful_labels(inputs: ReportInputs) -> DoubtfulLabels | None:
    """Return labels in doubt; None for a task without classes.

    Confident learning in its simple form (Northcutt, Jiang and Chuang 2021): a class is confident where its probability
    reaches its mean over the rows with that label. A label is in doubt where the most probable confident class is
    another; here it must also be more probable than the label. The rows with the largest difference come first.
    """
    questions = _split_into_questions(inputs)
    if not questions:
        return None
    doubts: list[tuple[float, int, str, str]] = []  # margin, row, label and more probable class
    for names, P, labels in questions:
        rows, others = _find_doubtful_rows(P, labels)
        for row, other in zip(rows.tolist(), others.tolist(), strict=True):
            label = int(labels[row])
            margin = float(P[row, other] - P[row, label])
            words = [f"{names[k]} ({P[row, k]:.2f})" for k in (label, other)]
            doubts.append((margin, row, *words))
    doubts.sort(key=lambda doubt: (-doubt[0], doubt[1]))
    shown = [describe_row(inputs, row, label, other, margin) for margin, row, label, other in doubts[:MOST_ROWS]]
    right, common, auc = np.mean([_measure_model(P, labels) for _, P, labels in questions], axis=0).tolist()
    count = sum(len(labels) for _, _, labels in questions)
    return DoubtfulLabels(len(doubts), count, shown, right, common, auc)


def _measure_model(P: Array, labels: np.ndarray) -> tuple[float, float, float]:
    """Return the share of labels that are the most probable class, that of the most frequent one, and the mean AUC."""
    counts = np.bincount(labels, minlength=P.shape[1])
    present = [k for k, count in enumerate(counts) if 0 < count < len(labels)]
    areas = [compute_roc_auc(labels == k, P[:, [k]]) for k in present]
    auc = float(np.average(areas, weights=counts[present])) if present else 0.5
    return float((P.argmax(1) == labels).mean()), float(counts.max() / len(labels)), auc


def _split_into_questions(inputs: ReportInputs) -> list[Question]:
    """Return class names, probabilities (rows, classes) and labels (rows,), once or for each label; none for values."""
    targets, truth, P = inputs.run.competition.targets, inputs.problem.truth, inputs.ensemble
    task = inputs.run.competition.spec.task
    if task == "regression":
        return []
    if task in ("binary", "multilabel"):
        named = [targets.classes] if task == "binary" else [(f"not {name}", name) for name in targets.columns]
        pairs = zip(named, P.T, truth.reshape(P.shape).T, strict=True)
        return [(names, np.column_stack([1 - p, p]), labels) for names, p, labels in pairs]
    return [(targets.classes, P / P.sum(1, keepdims=True), truth)]


def _find_doubtful_rows(P: Array, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions of the rows in doubt, and the class that each is more probably of."""
    means = [P[labels == k, k].mean() if (labels == k).any() else np.inf for k in range(P.shape[1])]
    confident = np.where(np.array(means) <= P, P, -1.0)
    best = confident.argmax(1)
    of_label = P[np.arange(len(P)), labels]
    rows = np.flatnonzero((best != labels) & (confident.max(1) > of_label))
    return rows, best[rows]
