"""Scores of a fit: the competition's metric as a function, and how a line shows what it gave.

What all fits of a run have in common, as values that can travel to other processes and machines.
"""

from dataclasses import dataclass

import numpy as np

from oof import OOFError
from oof.metrics.metric_registry import Metric
from oof.metrics.thresholds import judged
from pipeline.data.competition import Competition, Table
from pipeline.data.fold_assignment import Folds
from pipeline.display import number


@dataclass(frozen=True)
class Scorer:
    """The metric of a task as a function of truth and predictions; None where it is undefined on the rows at hand."""

    metric: Metric
    task: str

    def __call__(self, truth: np.ndarray, predictions: np.ndarray) -> float | None:
        try:
            return self.metric.function(truth, judged(self.metric, self.task, predictions))
        except OOFError:
            return None


def scores_line(scores: dict[str, float | None], metric: Metric) -> str:
    """The scores of a fit by pooling, behind the metric's name."""
    if not scores:
        return "every row trained on, no score"
    return f"{metric.name} " + ", ".join(f"{name} {number(value)}".strip() for name, value in scores.items())


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
