"""Single rows to read: those that the ensemble gets most wrong."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from oof.metrics.functions import EPSILON, Array, true_probability
from oof.metrics.thresholds import expected_grade
from pipeline.reporting.sources import Sources

MOST, LENGTH = 15, 300
TRUTHS = {"regression": "Value", "ordinal": "Grade", "multilabel": "Labels"}  # what a table calls the truth
SIZES = {  # and what the rows are chosen by
    "regression": "Error, in standard deviations of the target",
    "ordinal": "Error, in grades",
    "multilabel": "Log loss, mean over labels",
}


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
