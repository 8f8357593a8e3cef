"""Single rows to read: those that the ensemble gets most wrong, and those whose labels look wrong."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from oof.decide import expected_grade
from oof.measures import EPSILON, Array, true_probability
from pipeline.report.sources import Sources

MOST, LENGTH = 15, 300


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
    return [_row(sources, int(at), _truth(sources, int(at)), _predicted(sources, int(at)), loss[at]) for at in order]


def doubtful(sources: Sources) -> tuple[int, list[Row]]:
    """How many labels look wrong, and the rows of the plainest of them.

    Confident learning in its simple form (Northcutt, Jiang and Chuang 2021): a class is confident where its probability
    reaches the mean of that class over the rows labelled so. A label is in doubt where the most probable confident
    class is another; here it must be more probable than the label too, and the rows with the largest difference stand
    first.
    """
    found: list[tuple[float, int, str, str]] = []
    for names, P, labels in _questions(sources):
        places, other = _in_doubt(P, labels)
        margins = P[places, other] - P[places, labels[places]]
        for margin, at, to in zip(margins.tolist(), places.tolist(), other.tolist(), strict=True):
            own = labels[at]
            found.append((margin, at, f"{names[own]} ({P[at, own]:.2f})", f"{names[to]} ({P[at, to]:.2f})"))
    found.sort(key=lambda one: (-one[0], one[1]))
    return len(found), [_row(sources, at, given, likely, margin) for margin, at, given, likely in found[:MOST]]


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


def _questions(sources: Sources) -> list[tuple[Sequence[str], Array, np.ndarray]]:
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


def _row(sources: Sources, at: int, truth: str, prediction: str, size: float) -> Row:
    place = int(sources.rows[at])
    text = shortened(" / ".join(sources.competition.texts[place]))
    fold = int(sources.problem.fold[at])
    return Row(sources.competition.ids[place], fold, text, truth, prediction, float(size))


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
