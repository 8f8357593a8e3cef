"""Scores of a fit: the competition's metric as a function, and how a line shows what it gave."""

from collections.abc import Callable

import numpy as np

from oof import OOFError
from oof.decide import judged
from oof.metrics import Metric
from pipeline.display import number


def scorer(metric: Metric, task: str) -> Callable[[np.ndarray, np.ndarray], float | None]:
    """The metric as a function of truth and predictions; None where it is undefined on the rows at hand."""

    def score(truth: np.ndarray, predictions: np.ndarray) -> float | None:
        try:
            return metric.function(truth, judged(metric, task, predictions))
        except OOFError:
            return None

    return score


def scores_line(scores: dict[str, float | None], metric: Metric) -> str:
    """The scores of a fit by pooling, behind the metric's name."""
    if not scores:
        return "every row trained on, no score"
    return f"{metric.name} " + ", ".join(f"{name} {number(value)}".strip() for name, value in scores.items())
