"""The section on folds: rows and class balance of each, and the rows that were kept together."""

from dataclasses import dataclass

import numpy as np

from pipeline.reporting.report_inputs import ReportInputs

MOST_COLUMNS = 12  # classes, labels or targets beside the folds


@dataclass(frozen=True)
class FoldRows:
    """A fold, -1 for the rows that are only trained on: its number of rows, and a share or a mean for each column."""

    fold: int
    rows: int
    amounts: list[float]


@dataclass(frozen=True)
class FoldBalance:
    """All folds; `names` are the columns of their amounts, `kind` is share or mean.

    `groups` of several rows were kept together, `together` rows in all.
    """

    folds: list[FoldRows]
    names: list[str]
    kind: str
    groups: int
    together: int


def compute_fold_balance(inputs: ReportInputs) -> FoldBalance:
    """Return the balance of the folds of the whole training table."""
    names, values = _select_columns(inputs)
    fold = inputs.run.split.fold
    folds = []
    for number in np.unique(fold):
        rows = fold == number
        folds.append(FoldRows(int(number), int(rows.sum()), values[rows].mean(0).tolist()))
    sizes = np.bincount(inputs.run.split.component)
    kind = "mean" if inputs.run.competition.spec.task == "regression" else "share"
    return FoldBalance(folds, names, kind, int((sizes > 1).sum()), int(sizes[sizes > 1].sum()))


def _select_columns(inputs: ReportInputs) -> tuple[list[str], np.ndarray]:
    """Return names and (rows, names): classes one-hot, labels and values as they are; of many the most frequent."""
    targets, task = inputs.run.competition.targets, inputs.run.competition.spec.task
    names = targets.classes or targets.columns
    columns = targets.truth[:, None] == np.arange(len(names)) if targets.classes else targets.truth
    columns = columns.astype(np.float64)
    kept = np.arange(len(names))
    if len(names) > MOST_COLUMNS and task != "regression":
        kept = np.argsort(-columns.mean(0), kind="stable")
    kept = kept[:MOST_COLUMNS]
    return [names[number] for number in kept], columns[:, kept]
