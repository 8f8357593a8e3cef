"""Scores of a fit: the competition's metric as a function, and how a line shows what it gave."""

from dataclasses import dataclass

import numpy as np

from oof import OOFError
from oof.metrics.metric_registry import Metric
from oof.metrics.thresholds import judged
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
