"""Kinds: what the cells of a submission mean, by task and by what the sample submission shows."""

from collections.abc import Sequence

import pandas as pd

from submissions import SubmissionError

KINDS: dict[str, tuple[str, ...]] = {
    "binary": ("probabilities", "labels"),
    "multiclass": ("probabilities", "labels"),
    "multilabel": ("probabilities", "labels"),
    "regression": ("values",),
    "ordinal": ("probabilities", "labels", "values"),
}


def require_kind(task: str, kind: str) -> None:
    """Raises SubmissionError if a task cannot be submitted as `kind`."""
    if kind not in KINDS[task]:
        raise SubmissionError(f"submission.kind must be {' or '.join(KINDS[task])} for task {task}. Got {kind} instead")


def targets_of(frame: pd.DataFrame, id: str) -> list[str]:
    """The columns of a frame but for its id."""
    return [column for column in frame.columns if column != id]


def infer_kind(task: str, sample: pd.DataFrame, *, id: str, classes: Sequence[str], labels_scored: bool) -> str:
    """The kind that the sample submission (read as text) asks for.

    Regression: values. Multiclass and ordinal: labels in one column, probabilities in several. Binary (one column) and
    multilabel: labels if the metric scores labels and every cell is a class name to the letter (`classes`; 0 and 1 for
    multilabel), else probabilities: a host who scores an AUC often shows a sample of zeros.
    """
    targets = targets_of(sample, id)
    if task == "regression":
        return "values"
    if task in ("multiclass", "ordinal"):
        return "labels" if len(targets) == 1 else "probabilities"
    if not labels_scored or (task == "binary" and len(targets) > 1):
        return "probabilities"
    names = ["0", "1"] if task == "multilabel" else list(classes)
    return "labels" if bool(sample[targets].isin(names).all(axis=None)) else "probabilities"
