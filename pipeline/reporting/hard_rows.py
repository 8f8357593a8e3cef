"""Single rows to read: those that the ensemble gets most wrong.

Labels that look wrong, and whether the model knows enough to say so.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from oof.metrics.functions import EPSILON, Array, roc_auc, true_probability
from oof.metrics.thresholds import expected_grade
from pipeline.reporting.sources import Sources

MOST, LENGTH = 15, 300
TRUTHS = {"regression": "Value", "ordinal": "Grade", "multilabel": "Labels"}  # what a table calls the truth
SIZES = {  # and what the rows are chosen by
    "regression": "Error, in standard deviations of the target",
    "ordinal": "Error, in grades",
    "multilabel": "Log loss, mean over labels",
}
WEAK = 0.6  # area under the curve below which a disagreement says nothing about the label
MANY = 0.1  # share of labels in doubt that no usual table deserves: Northcutt, Athalye and Mueller 2021 found about 3 %
Question = tuple[Sequence[str], Array, np.ndarray]


@dataclass(frozen=True)
class Row:
    """A training row with its truth and the ensemble's prediction in words; `size` is what it was chosen by."""

    id: str
    fold: int
    text: str
    truth: str
    prediction: str
    size: float


def worst(sources: Sources) -> list[Row]:
    """The rows with the largest loss: negative log probability of the truth, or the error of a value or a grade."""
    loss = _losses(sources)
    order = np.argsort(-loss, kind="stable")[:MOST]
    return [
        described(sources, int(at), _truth(sources, int(at)), _predicted(sources, int(at)), loss[at]) for at in order
    ]


def headings(sources: Sources) -> tuple[str, str]:
    """What a table calls the truth of its rows, and their `size`."""
    task = sources.competition.spec.task
    size = SIZES.get(task, "Log loss")
    if task == "regression" and len(sources.competition.targets.columns) > 1:
        size = "Error, mean over targets, each in its standard deviations"
    return TRUTHS.get(task, "Class"), size


def described(sources: Sources, at: int, truth: str, prediction: str, size: float) -> Row:
    """A row of the problem, by its place in it, in words."""
    place = int(sources.gathered.rows.at[at])
    text = shortened(" / ".join(sources.competition.texts[place]))
    fold = int(sources.problem.fold[at])
    return Row(sources.competition.ids[place], fold, text, truth, prediction, float(size))


def shortened(text: str, length: int = LENGTH) -> str:
    """A text on one line, cut to about so many characters."""
    line = " ".join(text.split())
    return line if len(line) <= length else f"{line[: length - 1]}…"


def _losses(sources: Sources) -> Array:
    task, truth, P = sources.competition.spec.task, sources.problem.truth, sources.ensemble
    if task == "regression":
        spread = truth.std(0)
        loss: Array = np.abs(truth - P) / np.where(spread > 0, spread, 1)
    elif task == "ordinal":
        loss = np.abs(truth - expected_grade(P))
    else:
        loss = -np.log(true_probability(truth, P).clip(EPSILON))
    mean: Array = loss.reshape(len(truth), -1).mean(1)
    return mean


def _truth(sources: Sources, at: int) -> str:
    targets, task, truth = sources.competition.targets, sources.competition.spec.task, sources.problem.truth[at]
    if task == "regression":
        return _values(targets.columns, truth)
    if task == "multilabel":
        return ", ".join(name for name, one in zip(targets.columns, truth, strict=True) if one) or "none"
    return targets.classes[int(truth)]


def _predicted(sources: Sources, at: int) -> str:
    targets, task, P = sources.competition.targets, sources.competition.spec.task, sources.ensemble[at]
    if task == "regression":
        return _values(targets.columns, P)
    if task == "multilabel":
        return ", ".join(f"{name} ({p:.2f})" for name, p in zip(targets.columns, P, strict=True) if p >= 0.5) or "none"
    if task == "binary":
        return f"{targets.classes[int(P[0] >= 0.5)]} ({max(P[0], 1 - P[0]):.2f})"
    return f"{targets.classes[int(P.argmax())]} ({P.max() / P.sum():.2f})"


def _values(names: Sequence[str], values: Array) -> str:
    if len(names) == 1:
        return f"{values[0]:.4g}"
    return ", ".join(f"{name} {value:.4g}" for name, value in zip(names, values, strict=True))


@dataclass(frozen=True)
class Doubts:
    """`count` of `labels` are in doubt, and `rows` show the plainest of them; none of a model that is too `weak`.

    `right` is the share of labels that the model takes for the likeliest, `common` that of the commonest class (of each
    label), `auc` the mean area under the curve of one class against the rest, weighted by the classes' rows.
    """

    count: int
    labels: int
    rows: list[Row]
    right: float
    common: float
    auc: float

    @property
    def weak(self) -> bool:
        """Whether the model is hardly better than chance."""
        return self.auc < WEAK

    @property
    def many(self) -> bool:
        """Whether more labels are in doubt than can well be wrong."""
        return self.count > MANY * self.labels


def doubts(sources: Sources) -> Doubts | None:
    """Labels in doubt; None for a task without classes.

    Confident learning in its simple form (Northcutt, Jiang and Chuang 2021): a class is confident where its probability
    reaches the mean of that class over the rows labelled so. A label is in doubt where the most probable confident
    class is another; here it must be more probable than the label too, and the rows with the largest difference stand
    first.
    """
    questions = _questions(sources)
    if not questions:
        return None
    found: list[tuple[float, int, str, str]] = []
    for names, P, labels in questions:
        places, other = _in_doubt(P, labels)
        margins = P[places, other] - P[places, labels[places]]
        for margin, at, to in zip(margins.tolist(), places.tolist(), other.tolist(), strict=True):
            own = labels[at]
            found.append((margin, at, f"{names[own]} ({P[at, own]:.2f})", f"{names[to]} ({P[at, to]:.2f})"))
    found.sort(key=lambda one: (-one[0], one[1]))
    rows = [described(sources, at, given, likely, margin) for margin, at, given, likely in found[:MOST]]
    right, common, auc = (float(value) for value in np.mean([_known(P, labels) for _, P, labels in questions], axis=0))
    return Doubts(len(found), sum(len(labels) for *_, labels in questions), rows, right, common, auc)


def _known(P: Array, labels: np.ndarray) -> tuple[float, float, float]:
    """Share of labels that are the likeliest class, share of the commonest one, and the mean area under the curve."""
    counts = np.bincount(labels, minlength=P.shape[1])
    told = [k for k, count in enumerate(counts) if 0 < count < len(labels)]
    areas = [roc_auc(labels == k, P[:, [k]]) for k in told]
    auc = float(np.average(areas, weights=counts[told])) if told else 0.5
    return float((P.argmax(1) == labels).mean()), float(counts.max() / len(labels)), auc


def _questions(sources: Sources) -> list[Question]:
    """Class names, probabilities (rows, classes) and labels (rows,): once, or for each label; none for values."""
    targets, truth, P = sources.competition.targets, sources.problem.truth, sources.ensemble
    task = sources.competition.spec.task
    if task == "regression":
        return []
    if task in ("binary", "multilabel"):
        named = [targets.classes] if task == "binary" else [(f"not {name}", name) for name in targets.columns]
        pairs = zip(named, P.T, truth.reshape(P.shape).T, strict=True)
        return [(names, np.column_stack([1 - p, p]), labels) for names, p, labels in pairs]
    return [(targets.classes, P / P.sum(1, keepdims=True), truth)]


def _in_doubt(P: Array, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places of the rows in doubt, and the class that each seems to be of."""
    means = [P[labels == k, k].mean() if (labels == k).any() else np.inf for k in range(P.shape[1])]
    confident = np.where(np.array(means) <= P, P, -1.0)
    best = confident.argmax(1)
    own = P[np.arange(len(P)), labels]
    places = np.flatnonzero((best != labels) & (confident.max(1) > own))
    return places, best[places]
