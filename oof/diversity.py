"""How alike the members' errors are: what a blend can gain lies in errors that do not go together."""

from itertools import combinations

import numpy as np

from oof.measures import Array, Truth


def error_correlations(P: Array, truth: Truth, task: str) -> Array:
    """Pearson correlations (members, members) of residuals, truth minus prediction, over all rows and columns.

    Class codes become one-hot. Each column is divided by its residuals' size over all members, so that no target
    drowns the others. A member with constant residuals correlates 0 with the others.
    """
    if task in ("multiclass", "ordinal"):
        target: Array = np.eye(P.shape[2])[truth]
    else:
        target = truth.reshape(P.shape[1:]).astype(np.float64)
    residuals = target - P
    size = np.sqrt((residuals**2).mean((0, 1)))
    flat = (residuals / np.where(size > 0, size, 1)).reshape(len(P), -1)
    flat = flat - flat.mean(1, keepdims=True)
    norms = np.sqrt((flat**2).sum(1))
    unit = flat / np.where(norms > 0, norms, 1)[:, None]
    correlations: Array = (unit @ unit.T).clip(-1, 1)
    np.fill_diagonal(correlations, 1)
    return correlations


def by_likeness(correlations: Array) -> list[tuple[int, int]]:
    """Every pair of members, those whose errors go together most first."""
    pairs = combinations(range(len(correlations)), 2)
    return sorted(pairs, key=lambda pair: -float(correlations[pair]))
