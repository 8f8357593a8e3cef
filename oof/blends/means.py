"""Means of members that are not arithmetic: geometric, of log-odds, and of ranks. Nothing is learned from the truth.

The geometric mean and the mean of log-odds give a confident member more weight than the arithmetic mean does. Both
treat a class and its complement alike; of two classes they are the same.

The rank mean is for metrics of order alone. A rank is the share of the member's OOF rows below a value, equal ones
counting half: the OOF's empirical distribution, kept as at most 1001 points a column and applied by interpolation, so
that a single hidden row can be ranked. The result lies in [0, 1] but is no probability; for regression it is not mapped
back to values. Ranks of class probabilities do not sum to one, so multiclass and ordinal have no rank mean.
"""

import numpy as np
from scipy.special import expit, logit, softmax

from oof.blends.problem import Problem
from oof.types import Array, Numbers

CLIP = 1e-6  # the highest certainty of a member counts as a million to one
POINTS = 1001


def fit_transformed_mean(problem: Problem) -> Numbers:
    """Return {"classes"}: True if rows of predictions sum to one."""
    return {"classes": problem.task in ("multiclass", "ordinal")}


def apply_geometric_mean(numbers: Numbers, P: Array) -> Array:
    """Return the geometric mean of each class's probabilities, divided by the sum over classes (rows, columns)."""
    if not numbers["classes"]:
        return apply_logit_mean(numbers, P)
    mean: Array = softmax(sum(np.log(member.clip(CLIP)) for member in P) / len(P), axis=1)
    return mean


def apply_logit_mean(numbers: Numbers, P: Array) -> Array:
    """Return the probability at the mean log-odds (rows, columns); of classes, divided by the sum over classes."""
    mean: Array = expit(sum(logit(member.clip(CLIP, 1 - CLIP)) for member in P) / len(P))
    return mean / mean.sum(1, keepdims=True) if numbers["classes"] else mean


def fit_ranks(problem: Problem) -> Numbers:
    """Return {"tables": [member][column]["values" | "levels"]}."""
    members = map(problem.get_member, range(problem.member_count))
    return {"tables": [[_tabulate_ranks(column) for column in member.T] for member in members]}


def apply_ranks(numbers: Numbers, P: Array) -> Array:
    """Return the mean over members of the ranks, (rows, columns); values outside the OOF's take the end's rank."""
    total: Array = np.zeros(P.shape[1:])
    for member, tables in zip(P, numbers["tables"], strict=True):
        for column, table in enumerate(tables):
            total[:, column] += np.interp(member[:, column], table["values"], table["levels"])
    return total / len(P)


def _tabulate_ranks(column: Array) -> dict[str, list[float]]:
    values, counts = np.unique(column, return_counts=True)
    levels = (np.cumsum(counts) - counts / 2) / len(column)
    kept = np.unique(np.searchsorted(levels, np.linspace(levels[0], levels[-1], POINTS)))
    return {"values": values[kept].tolist(), "levels": levels[kept].tolist()}
