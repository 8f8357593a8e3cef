"""How alike the members' errors are: what a blend can gain lies in errors that do not go together.

Why the equal mean is better than its members: loss of the mean = mean loss of the members - ambiguity.

For squared errors the ambiguity is the members' variance around their mean (Krogh and Vedelsby 1995). For log loss it
is the same gap, which Jensen's inequality keeps from being negative. A metric that is no such loss has no such sum, so
the task's own loss is taken.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from sklearn.metrics import mean_squared_error

from oof.blends.problem import BLOCK, Problem
from oof.metrics.functions import Array, Truth, log_loss

TINY = 1e-12  # residuals whose deviation is below are rounding errors of constant ones


def error_correlations(P: Array, truth: Truth, task: str) -> Array:
    """Pearson correlations (members, members) of residuals, truth minus prediction, over all rows and columns.

    Class codes become one-hot. Each column is divided by its residuals' size over all members, so that no target
    drowns the others. A member with constant residuals correlates 0 with the others. Memory is that of a block of rows.
    """
    members, rows, columns = P.shape
    target: Array = np.eye(columns)[truth] if task in ("multiclass", "ordinal") else truth.reshape(rows, columns)
    step = max(BLOCK // (members * columns), 1)

    def residuals() -> Iterator[Array]:
        for start in range(0, rows, step):
            yield target[start : start + step] - P[:, start : start + step]

    size = np.sqrt(sum((block**2).sum((0, 1)) for block in residuals()) / (members * rows))
    scale = np.where(size > 0, size, 1)
    means = sum((block / scale).sum((1, 2)) for block in residuals()) / (rows * columns)
    products: Array = np.zeros((members, members))
    for block in residuals():
        flat = (block / scale).reshape(members, -1) - means[:, None]
        products += flat @ flat.T
    norms = np.sqrt(np.diag(products))
    norms = np.where(norms > TINY * np.sqrt(rows * columns), norms, np.inf)
    correlations: Array = (products / norms / norms[:, None]).clip(-1, 1)
    np.fill_diagonal(correlations, 1)
    return correlations


def by_likeness(correlations: Array) -> list[tuple[int, int]]:
    """Every pair of members, those whose errors go together most first."""
    pairs = combinations(range(len(correlations)), 2)
    return sorted(pairs, key=lambda pair: -float(correlations[pair]))


@dataclass(frozen=True)
class Ambiguity:
    """`ensemble` = `members` - `ambiguity`, means over rows and columns of `loss`: squared_error or log_loss."""

    loss: str
    members: float
    ambiguity: float
    ensemble: float


def ambiguity(problem: Problem) -> Ambiguity:
    """The decomposition for the equal mean of all members."""
    regression = problem.task == "regression"
    loss = mean_squared_error if regression else log_loss
    members = float(np.mean([loss(problem.truth, problem.member(at)) for at in range(problem.members)]))
    ensemble = float(loss(problem.truth, problem.take_all().mean(0)))
    return Ambiguity("squared_error" if regression else "log_loss", members, members - ensemble, ensemble)
