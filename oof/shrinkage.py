"""Weights between equal ones and those that are best on the simplex, and weights for each column.

How far to go from equal weights is what a cross-fitted score can tell and an in-sample score cannot: by that one all
the way is always best.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from oof.blends.problem import Problem
from oof.blends.weights import equal, simplex
from oof.metrics.functions import Array
from oof.metrics.metric_registry import METRICS
from oof.objective import TIE, objective

STRENGTHS = np.linspace(0, 1, 21)  # shares of equal weights that are tried


def shrunk(problem: Problem) -> dict[str, Any]:
    """{"weights", "strength"}: `simplex` pulled towards equal weights by the strength with the best cross-fitted score.

    Weights are chosen without each fold in turn; the strength is the one that is best on the rows so predicted, the
    strongest where several are. On one fold, or where all rows but one fold's are of one kind, there is nothing to
    choose it by, and weights are equal.
    """
    flat = np.full(problem.members, 1 / problem.members)
    strength = _strength(problem)
    if strength == 1:
        return {**equal(problem), "strength": 1.0}
    weights = np.array(simplex(problem)["weights"])
    return {"weights": (strength * flat + (1 - strength) * weights).tolist(), "strength": strength}


def _strength(problem: Problem) -> float:
    rest = [problem.truth[problem.fold != fold] for fold in problem.folds]
    if len(rest) < 2 or problem.members == 1 or not all(np.ptp(truth, axis=0).any() for truth in rest):
        return 1.0
    plain = problem.mix(np.full(problem.members, 1 / problem.members))
    weighted = np.empty_like(plain)
    for fold in problem.folds:
        held = problem.fold == fold
        weights = np.array(simplex(problem.rows(~held))["weights"])
        weighted[held] = problem.rows(held).mix(weights)
    value = objective(problem)
    found = np.array([value(one * plain + (1 - one) * weighted) for one in STRENGTHS])
    return float(STRENGTHS[found >= found.max() - TIE][-1])


def by_column(problem: Problem) -> dict[str, Any]:
    """{"weights": [column][member], "classes"}: `simplex` for each label, target or class on its own.

    A class stands against the rest, by log loss or, where that is the metric, AUC.
    """
    weights = []
    for at in range(problem.P.shape[2]):
        column = _column(problem, at)
        told = np.ptp(column.truth) > 0  # a label that these rows lack tells nothing
        weights.append((simplex(column) if told else equal(column))["weights"])
    return {"weights": weights, "classes": problem.task in ("multiclass", "ordinal")}


def _column(problem: Problem, at: int) -> Problem:
    """The problem of one column: of a target, or of yes and no."""
    P = np.ascontiguousarray(problem.P[..., at : at + 1])
    if problem.task == "regression":
        return replace(problem, P=P, truth=problem.truth[:, at : at + 1], memory={})
    if problem.task == "multilabel":
        return replace(problem, P=P, truth=problem.truth[:, at], task="binary", memory={})
    metric = METRICS["roc_auc" if problem.metric.name == "roc_auc" else "log_loss"]
    truth = (problem.truth == at).astype(np.int64)
    return replace(problem, P=P, truth=truth, task="binary", metric=metric, memory={})


def apply_by_column(numbers: dict[str, Any], P: Array) -> Array:
    """Each column's own weighted mean (rows, columns); those of classes divided by their sum.

    Where all of a row's are zero, members being sure of different classes, it is the equal mean.
    """
    mixed: Array = np.einsum("cm,mrc->rc", np.array(numbers["weights"]), P).clip(P.min(0), P.max(0))
    if not numbers["classes"]:
        return mixed
    shares: Array = np.where(mixed.any(1, keepdims=True), mixed, P.mean(0))
    shares /= shares.sum(1, keepdims=True)
    return shares
