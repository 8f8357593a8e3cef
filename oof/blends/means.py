"""Means of probabilities that are not arithmetic: on the scale of logs, and on that of log-odds.

Both give a sure member more say than the arithmetic mean does. Nothing is fitted, so there is nothing to overfit.
Classes and their complements are treated alike; of two classes the two means are the same.

The mean of ranks, for metrics that look at order alone.

A rank is the share of the member's OOF rows below a value, equal ones counting half: the OOF's empirical distribution,
kept as at most 1001 points a column and applied by interpolation, so that one hidden row can be ranked alone. The
result lies in [0, 1] but is no probability; for regression it is not mapped back to values, so it fits rank metrics
only. Ranks of class probabilities do not sum to one, so multiclass and ordinal have no rank mean.
"""

import numpy as np
from scipy.special import expit, logit, softmax

from oof.blends.problem import Problem
from oof.types import Array, Numbers

CLIP = 1e-6  # a member's certainty counts as a million to one at most
POINTS = 1001


def fit_transformed_mean(problem: Problem) -> Numbers:
    """{"classes"}: whether rows of predictions sum to one."""
    return {"classes": problem.task in ("multiclass", "ordinal")}


def apply_geometric_mean(numbers: Numbers, P: Array) -> Array:
    """The geometric mean of each class's probabilities, divided by the sum over the classes (rows, columns)."""
    if not numbers["classes"]:
        return apply_logit_mean(numbers, P)
    mean: Array = softmax(sum(np.log(member.clip(CLIP)) for member in P) / len(P), axis=1)
    return mean


def apply_logit_mean(numbers: Numbers, P: Array) -> Array:
    """The probability at the mean log-odds; of classes, each against the rest, divided by their sum (rows, columns)."""
    mean: Array = expit(sum(logit(member.clip(CLIP, 1 - CLIP)) for member in P) / len(P))
    return mean / mean.sum(1, keepdims=True) if numbers["classes"] else mean


def fit_ranks(problem: Problem) -> Numbers:
    """{"tables": [member][column]["values" | "levels"]}; looks at the members alone, not at the truth."""
    return {
        "tables": [
            [_tabulate_ranks(column) for column in problem.get_member(at).T] for at in range(problem.member_count)
        ]
    }


def apply_ranks(numbers: Numbers, P: Array) -> Array:
    """Mean over members of the ranks, (rows, columns) in [0, 1]; values outside the OOF's take the end's rank."""
    total: Array = np.zeros(P.shape[1:])
    for member, tables in zip(P, numbers["tables"], strict=True):
        for at, table in enumerate(tables):
            total[:, at] += np.interp(member[:, at], table["values"], table["levels"])
    return total / len(P)


def _tabulate_ranks(column: Array) -> dict[str, list[float]]:
    values, counts = np.unique(column, return_counts=True)
    levels = (np.cumsum(counts) - counts / 2) / len(column)
    kept = np.unique(np.searchsorted(levels, np.linspace(levels[0], levels[-1], POINTS)))
    return {"values": values[kept].tolist(), "levels": levels[kept].tolist()}
