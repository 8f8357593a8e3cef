"""The mean of ranks, for metrics that look at order alone.

A rank is the share of the member's OOF rows below a value, equal ones counting half: the OOF's empirical distribution,
kept as at most 1001 points a column and applied by interpolation, so that one hidden row can be ranked alone. The
result lies in [0, 1] but is no probability; for regression it is not mapped back to values, so it fits rank metrics
only. Ranks of class probabilities do not sum to one, so multiclass and ordinal have no rank mean.
"""

from typing import Any

import numpy as np

from oof.blends.problem import Problem
from oof.metrics.functions import Array

POINTS = 1001


def fit(problem: Problem) -> dict[str, Any]:
    """{"tables": [member][column]["values" | "levels"]}; looks at the members alone, not at the truth."""
    return {"tables": [[_table(column) for column in problem.member(at).T] for at in range(problem.members)]}


def apply(numbers: dict[str, Any], P: Array) -> Array:
    """Mean over members of the ranks, (rows, columns) in [0, 1]; values outside the OOF's take the end's rank."""
    total: Array = np.zeros(P.shape[1:])
    for member, tables in zip(P, numbers["tables"], strict=True):
        for at, table in enumerate(tables):
            total[:, at] += np.interp(member[:, at], table["values"], table["levels"])
    return total / len(P)


def _table(column: Array) -> dict[str, list[float]]:
    values, counts = np.unique(column, return_counts=True)
    levels = (np.cumsum(counts) - counts / 2) / len(column)
    kept = np.unique(np.searchsorted(levels, np.linspace(levels[0], levels[-1], POINTS)))
    return {"values": values[kept].tolist(), "levels": levels[kept].tolist()}
