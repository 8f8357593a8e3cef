"""Weighted means: equal, of a subset, on the simplex, by selection. Weights are non-negative and sum to one.

Each `fit` takes P (members, rows, columns), truth, task and metric and returns {"weights": one per member}.
Deterministic: no random starts, ties go to the fewer members and then to the first.
"""

from itertools import combinations
from typing import Any

import numpy as np

from oof.measures import Array, Truth
from oof.metrics import METRICS, Metric
from oof.objective import TIE, condense, objective
from oof.search import combine, descend, grow, refine

EXHAUSTIVE_MEMBERS = 10
EXHAUSTIVE_WORK = 2e7  # entries times subsets that may be looked at one by one
SELECTIONS = 100


def equal(P: Array, truth: Truth, task: str, metric: Metric) -> dict[str, Any]:
    """The same weight for every member; looks at nothing else."""
    return {"weights": [1 / len(P)] * len(P)}


def subset(P: Array, truth: Truth, task: str, metric: Metric) -> dict[str, Any]:
    """The best equal mean of some members: all subsets of up to ten members, else forward selection.

    The mean of all is always a candidate, and ties go to the smaller subset.
    """
    P, truth, task = condense(P, truth, task, metric)
    value = objective(metric, task, truth)
    size = len(P)
    if size <= EXHAUSTIVE_MEMBERS and 2**size * P[0].size <= EXHAUSTIVE_WORK:
        best, chosen = -np.inf, list(range(size))
        for count in range(1, size + 1):
            for some in combinations(range(size), count):
                found = value(P[list(some)].mean(0))
                if found > best + TIE:
                    best, chosen = found, list(some)
    else:
        chosen = np.flatnonzero(grow(P, value, size, metric.name, again=False)).tolist()
        if value(P.mean(0)) > value(P[chosen].mean(0)) + TIE:
            chosen = list(range(size))
    weights = np.zeros(size)
    weights[chosen] = 1 / len(chosen)
    return {"weights": weights.tolist()}


def hill_climb(P: Array, truth: Truth, task: str, metric: Metric) -> dict[str, Any]:
    """Ensemble selection with replacement (Caruana et al. 2004), the best prefix of the path."""
    P, truth, task = condense(P, truth, task, metric)
    counts = grow(P, objective(metric, task, truth), SELECTIONS, metric.name, again=True)
    return {"weights": (counts / counts.sum()).tolist()}


def simplex(P: Array, truth: Truth, task: str, metric: Metric) -> dict[str, Any]:
    """Weights on the simplex that are best on the metric itself.

    A metric with a gradient is descended by SLSQP from equal weights (log loss and RMSE are convex in them). Others
    start from the best of equal weights, the descent of a smooth stand-in and hill climbing, then weight moves from
    member to member in ever smaller steps while the metric gains, in a bounded number of trials.
    """
    smooth = metric if metric.gradient else METRICS["r2" if task == "regression" else "log_loss"]
    descended = descend(*condense(P, truth, task, smooth), smooth)
    starts = [np.full(len(P), 1 / len(P)), descended]
    if not metric.gradient:
        starts.append(np.array(hill_climb(P, truth, task, metric)["weights"]))
    P, truth, task = condense(P, truth, task, metric)
    value = objective(metric, task, truth)
    weights = max(starts, key=lambda start: value(combine(start, P)))
    if not metric.gradient:
        weights = refine(P, weights, value)
    return {"weights": weights.tolist()}


def apply(numbers: dict[str, Any], P: Array) -> Array:
    """The weighted mean (rows, columns), kept between the members it lies between."""
    return combine(np.array(numbers["weights"]), P).clip(P.min(0), P.max(0))
