"""What all fits of a run have in common, as values that can travel to other processes and machines."""

from dataclasses import dataclass

import numpy as np

from pipeline.competition import Competition, TestTable
from pipeline.scoring import Scorer
from pipeline.splits import Folds


@dataclass(frozen=True)
class Shared:
    """The rows to train on, the rows to predict, the folds, and the metric as a function of truth and predictions."""

    task: str
    columns: list[str]
    classes: list[str]
    ids: list[str]
    texts: list[tuple[str, ...]]
    truth: np.ndarray
    weights: np.ndarray  # (rows,)
    sha256: str
    test: TestTable
    folds: Folds
    score: Scorer


def shared_of(competition: Competition, folds: Folds) -> Shared:
    """What fits need of a competition and its folds."""
    targets = competition.targets
    return Shared(
        task=competition.spec.task,
        columns=targets.columns,
        classes=targets.classes,
        ids=competition.ids,
        texts=competition.texts,
        truth=targets.truth,
        weights=competition.weights,
        sha256=competition.sha256,
        test=competition.test,
        folds=folds,
        score=Scorer(competition.metric, competition.spec.task),
    )
