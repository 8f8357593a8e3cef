"""What a search over weights asks: how good are these predictions, larger is better, and quickly."""

from collections.abc import Callable

import numpy as np

from oof.decide import best_value
from oof.measures import Array, Truth
from oof.metrics import Metric

TIE = 1e-12  # differences below it are rounding


def objective(metric: Metric, task: str, truth: Truth) -> Callable[[Array], float]:
    """A function of predictions (rows, columns) that is larger where the metric is better; -inf where not finite.

    A label metric is taken at the thresholds that are best for the predictions at hand, as the blend will be.
    """

    def value(predictions: Array) -> float:
        if not np.isfinite(predictions).all():
            return -np.inf
        if metric.needs == "labels":
            found = best_value(metric, task, truth, predictions)
        else:
            found = metric.function(truth, predictions)
        return metric.sign * found if np.isfinite(found) else -np.inf

    return value


def condense(P: Array, truth: Truth, task: str, metric: Metric) -> tuple[Array, Truth, str]:
    """The same weighted-mean problem in fewer columns, where there is one.

    Rows sum to one, so the log loss of a weighted mean of class probabilities depends on the true class alone: it is
    the binary log loss of one column in which every row is positive.
    """
    if metric.name != "log_loss" or task not in ("multiclass", "ordinal"):
        return P, truth, task
    rows = np.arange(len(truth))
    return P[:, rows, truth][..., None], np.ones(len(truth), dtype=np.int64), "binary"
