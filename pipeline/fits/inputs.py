"""What all fits of a run have in common, as values that can travel to other processes and machines."""

from dataclasses import dataclass

import numpy as np

from pipeline.data.competition import Competition, Table
from pipeline.data.fold_assignment import Folds
from pipeline.scoring import Scorer


@dataclass(frozen=True)
class Shared:
    """The rows to train on, the rows to predict, the folds, and the metric as a function of truth and predictions."""

    task: str
    columns: list[str]
    classes: list[str]
    train: Table
    truth: np.ndarray
    weights: np.ndarray  # (rows,)
    test: Table
    folds: Folds
    score: Scorer


def shared_of(competition: Competition, folds: Folds) -> Shared:
    """What fits need of a competition and its folds."""
    targets = competition.targets
    return Shared(
        task=competition.spec.task,
        columns=targets.columns,
        classes=targets.classes,
        train=Table(competition.ids, competition.texts, competition.sha256),
        truth=targets.truth,
        weights=competition.weights,
        test=competition.test,
        folds=folds,
        score=Scorer(competition.metric, competition.spec.task),
    )
