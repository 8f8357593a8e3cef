"""The folds: rows and class balance of each, and what was kept together."""

from dataclasses import dataclass

import numpy as np

from pipeline.reporting.sources import Sources

MOST = 12  # classes, labels or targets beside the folds


@dataclass(frozen=True)
class Part:
    """The rows of a fold, -1 for those that are only trained on, and by column of `names` a share or a mean."""

    fold: int
    rows: int
    amounts: list[float]


@dataclass(frozen=True)
class Division:
    """`groups` of several rows were kept together, `together` rows in all; `names` say what the amounts are of."""

    parts: list[Part]
    names: list[str]
    kind: str
    groups: int
    together: int


def division(sources: Sources) -> Division:
    """The folds of the whole training table."""
    names, values = _values(sources)
    fold = sources.split.fold
    parts = [Part(int(one), int((fold == one).sum()), values[fold == one].mean(0).tolist()) for one in np.unique(fold)]
    sizes = np.bincount(sources.split.component)
    kind = "mean" if sources.competition.spec.task == "regression" else "share"
    return Division(parts, names, kind, int((sizes > 1).sum()), int(sizes[sizes > 1].sum()))


def _values(sources: Sources) -> tuple[list[str], np.ndarray]:
    """Names, and a column (rows,) for each: classes as 0 and 1, labels and values as they are; the commonest first."""
    targets, task = sources.competition.targets, sources.competition.spec.task
    names, truth = targets.classes or targets.columns, targets.truth
    columns = (
        (truth[:, None] == np.arange(len(names))).astype(np.float64) if targets.classes else truth.astype(np.float64)
    )
    kept = np.arange(len(names))
    if len(names) > MOST and task != "regression":
        kept = np.argsort(-columns.mean(0), kind="stable")
    return [names[at] for at in kept[:MOST]], columns[:, kept[:MOST]]
