"""Three searches for weights: greedy growth, descent of a smooth metric, moves between members."""

from collections.abc import Callable

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, minimize

from oof import OOFError
from oof.measures import Array, Truth
from oof.metrics import Metric
from oof.objective import TIE

Value = Callable[[Array], float]
PATIENCE = 10  # steps of a greedy path without a better prefix
WORK = 3e7  # entries that the moves between members may look at


def combine(weights: Array, P: Array) -> Array:
    """Sum of weight times member, (rows, columns)."""
    mixed: Array = np.tensordot(weights, P, axes=1)
    return mixed


def grow(P: Array, value: Value, steps: int, name: str, *, again: bool) -> Array:
    """How often each member is taken on the best prefix of a greedy path; `again` allows a member twice.

    Ties go to members already in, then to the first; what is not finite never wins.
    """
    total, counts = np.zeros_like(P[0]), np.zeros(len(P))
    best, prefix, since = -np.inf, counts, 0
    for step in range(1, steps + 1):
        found = np.array(
            [value((total + one) / step) if again or not counts[at] else -np.inf for at, one in enumerate(P)]
        )
        top = found.max()
        if top == -np.inf:
            break
        tied = np.flatnonzero(found >= top - TIE)
        taken = tied[np.argmax(counts[tied] > 0)]
        total, counts = total + P[taken], counts + (np.arange(len(P)) == taken)
        since += 1
        if found[taken] > best + TIE:
            best, prefix, since = found[taken], counts, 0
        if since == PATIENCE:
            break
    if not prefix.any():
        raise OOFError(f"no member has a finite {name}")
    return prefix


def descend(P: Array, truth: Truth, task: str, metric: Metric) -> Array:
    """Weights at the minimum of a smooth metric over the simplex, by sequential quadratic programming."""
    gradient = metric.gradient
    assert gradient is not None
    start = np.full(len(P), 1 / len(P))

    def loss(weights: Array) -> tuple[float, Array]:
        mixed = combine(weights, P)
        slope = np.tensordot(P, gradient(truth, mixed), axes=2)
        return -metric.sign * metric.function(truth, mixed), -metric.sign * slope

    height, slope = loss(start)
    scale = max(abs(height), float(np.abs(slope).max()), 1e-300)  # the stopping rule is absolute, metrics are not

    def scaled(weights: Array) -> tuple[float, Array]:
        height, slope = loss(weights)
        return height / scale, slope / scale

    found = minimize(
        scaled,
        start,
        jac=True,
        method="SLSQP",
        bounds=Bounds(0, 1),
        constraints=LinearConstraint(np.ones((1, len(P))), 1, 1),
        options={"ftol": 1e-12, "maxiter": 300},
    )
    weights: Array = np.where(found.x > 1e-9, found.x, 0.0)
    return normal(weights)


def refine(P: Array, weights: Array, value: Value) -> Array:
    """Move weight from one member to another while the value gains; the best members are tried first."""
    order = np.argsort([-value(one) for one in P], kind="stable")
    mixed = combine(weights, P)
    best = value(mixed)
    for step in (0.1, 0.03, 0.01):
        left = min(max(WORK / P[0].size, 90), 600) / 3
        moved = True
        while moved and left > 0:
            moved = False
            for giver, taker in [(a, b) for a in order for b in order if a != b]:
                amount = min(step, weights[giver])
                if amount < TIE or left <= 0:
                    continue
                trial = mixed + amount * (P[taker] - P[giver])
                left -= 1
                found = value(trial)
                if found > best + TIE:
                    best, mixed, moved = found, trial, True
                    weights = weights.copy()
                    weights[giver] -= amount
                    weights[taker] += amount
    return normal(weights)


def normal(weights: Array) -> Array:
    """Weights divided by their sum."""
    divided: Array = weights / weights.sum()
    return divided
