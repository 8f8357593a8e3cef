"""Diversity of the members' errors: what a blend can gain lies in errors that are not correlated.

The ambiguity decomposition explains why the equal mean is better than its members: loss of the mean = mean loss of the
members - ambiguity. For squared errors the ambiguity is the members' variance around their mean (Krogh and Vedelsby
1995). For log loss it is the same difference, which by Jensen's inequality is not negative. Other metrics have no such
decomposition, so the loss is chosen by the task.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from sklearn.metrics import mean_squared_error

from oof.blends.problem import BLOCK, Problem
from oof.metrics.functions import compute_log_loss
from oof.types import Array, Truth

TINY = 1e-12  # a smaller deviation of residuals is a rounding error of constant ones


@dataclass(frozen=True)
class Ambiguity:
    """`ensemble` = `members` - `ambiguity`, means over rows and columns of `loss`: squared_error or log_loss."""

    loss: str
    members: float
    ambiguity: float
    ensemble: float


def compute_error_correlations(P: Array, truth: Truth, task: str) -> Array:
    """Return Pearson correlations (members, members) of residuals, truth minus prediction, over rows and columns.

    `P` is (members, rows, columns). Class codes become one-hot. Each column is divided by the size of its residuals
    over all members, so that no target dominates. A member with constant residuals correlates 0 with the others. Memory
    is that of a block of rows.
    """
    members, rows, columns = P.shape
    target: Array = np.eye(columns)[truth] if task in ("multiclass", "ordinal") else truth.reshape(rows, columns)
    step = max(BLOCK // (members * columns), 1)

    def iterate_residuals() -> Iterator[Array]:
        for start in range(0, rows, step):
            yield target[start : start + step] - P[:, start : start + step]

    size = np.sqrt(sum((block**2).sum((0, 1)) for block in iterate_residuals()) / (members * rows))
    scale = np.where(size > 0, size, 1)
    means = sum((block / scale).sum((1, 2)) for block in iterate_residuals()) / (rows * columns)
    products: Array = np.zeros((members, members))
    for block in iterate_residuals():
        flat = (block / scale).reshape(members, -1) - means[:, None]
        products += flat @ flat.T
    norms = np.sqrt(np.diag(products))
    norms = np.where(norms > TINY * np.sqrt(rows * columns), norms, np.inf)
    correlations: Array = (products / norms / norms[:, None]).clip(-1, 1)
    np.fill_diagonal(correlations, 1)
    return correlations


def rank_pairs_by_similarity(correlations: Array) -> list[tuple[int, int]]:
    """Return every pair of members, those with the most correlated errors first."""
    pairs = combinations(range(len(correlations)), 2)
    return sorted(pairs, key=lambda pair: -float(correlations[pair]))


def decompose_ambiguity(problem: Problem) -> Ambiguity:
    """Decompose the loss of the equal mean of all members."""
    regression = problem.task == "regression"
    loss = mean_squared_error if regression else compute_log_loss
    numbers = range(problem.member_count)
    members = float(np.mean([loss(problem.truth, problem.get_member(number)) for number in numbers]))
    ensemble = float(loss(problem.truth, problem.take_predictions().mean(0)))
    return Ambiguity("squared_error" if regression else "log_loss", members, members - ensemble, ensemble)
