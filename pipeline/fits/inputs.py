"""The inputs that all fits of a run share, as values that can travel to other processes and machines."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from models.device_errors import is_device_lost
from oof import OOFError
from oof.metrics.metric_registry import Metric
from oof.metrics.thresholds import prepare_for_metric
from pipeline.data.competition import Competition, TextTable
from pipeline.data.fold_assignment import FoldAssignment
from pipeline.display import format_score


@dataclass(frozen=True)
class Scorer:
    """The metric of a task as a function of truth and predictions; None where it is undefined on these rows."""

    metric: Metric
    task: str

    def __call__(self, truth: np.ndarray, predictions: np.ndarray) -> float | None:
        """Return the metric of predictions (rows, columns)."""
        try:
            return self.metric.function(truth, prepare_for_metric(self.metric, self.task, predictions))
        except OOFError as error:
            if is_device_lost(error):  # under a metric of the user's own that computes on the GPU
                raise
            return None


@dataclass(frozen=True)
class FitInputs:
    """Rows to train on, rows to predict, the folds, and the metric as a function of truth and predictions."""

    task: str
    columns: list[str]
    classes: list[str]
    train: TextTable
    truth: np.ndarray
    weights: np.ndarray  # (rows,)
    test: TextTable
    folds: FoldAssignment
    score: Scorer
    soft: np.ndarray | None = None  # in place of `truth` in the loss, where the table has shares between 0 and 1


def build_inputs(competition: Competition, folds: FoldAssignment) -> FitInputs:
    """Return the inputs of all fits of a competition on its folds."""
    targets = competition.targets
    return FitInputs(
        task=competition.spec.task,
        columns=targets.columns,
        classes=targets.classes,
        train=TextTable(competition.ids, competition.texts, competition.sha256),
        truth=targets.truth,
        weights=competition.weights,
        test=competition.test,
        folds=folds,
        score=Scorer(competition.metric, competition.spec.task),
        soft=targets.soft,
    )


def format_scores(scores: Mapping[str, float | None], metric: Metric) -> str:
    """Return the scores of a fit by pooling, behind the metric's name."""
    if not scores:
        return "every row trained on, no score"
    values = [f"{name} {format_score(value)}".strip() for name, value in scores.items()]
    return f"{metric.name} {', '.join(values)}"
