"""What a search over weights asks: how good are these predictions, larger is better, and quickly."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from oof.blends.problem import Problem
from oof.metrics.functions import Array
from oof.metrics.thresholds import best_value

TIE = 1e-12  # differences below it are rounding

Value = Callable[[Array], float]


def objective(problem: Problem) -> Value:
    """A function of predictions (rows, columns) that is larger where the metric is better; -inf where not finite.

    A label metric is taken at the thresholds that are best for the predictions at hand, as the blend will be.
    """
    metric, task, truth = problem.metric, problem.task, problem.truth

    def value(predictions: Array) -> float:
        if not np.isfinite(predictions).all():
            return -np.inf
        if metric.needs == "labels":
            found = best_value(metric, task, truth, predictions)
        else:
            found = metric.function(truth, predictions)
        return metric.sign * found if np.isfinite(found) else -np.inf

    return value


def condense(problem: Problem) -> Problem:
    """The same weighted-mean problem in fewer columns, where there is one.

    Rows sum to one, so the log loss of a weighted mean of class probabilities depends on the true class alone: it is
    the binary log loss of one column in which every row is positive.
    """
    if problem.metric.name != "log_loss" or problem.task not in ("multiclass", "ordinal"):
        return problem
    at = np.arange(len(problem)) if problem.at is None else problem.at
    return replace(
        problem,
        P=problem.P[:, at, problem.truth][..., None],
        truth=np.ones(len(problem), dtype=np.int64),
        task="binary",
        at=None,
    )
