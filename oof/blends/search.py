"""What a search over weights asks: how good are these predictions, larger is better, and quickly.

Searches for weights: greedy growth, climbs and descents of a smooth metric, moves between members.
"""

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, minimize

from oof import OOFError
from oof.blends.problem import Problem
from oof.blends.smooth_metrics import SmoothMetric
from oof.metrics.thresholds import score_at_best_thresholds
from oof.types import Array, Mask

TIE = 1e-12  # differences below it are rounding
Objective = Callable[[Array], float]
PATIENCE = 10  # steps of a greedy path without a better prefix
COLUMN_COST = 5000
SAMPLE_ROWS = 200_000
STEPS = 200  # of a climb; it ends by itself after some twenty
MOST_ENTRIES = 1e7  # entries that the moves between members may look at


def make_objective(problem: Problem) -> Objective:
    """A function of predictions (rows, columns) that is larger where the metric is better; -inf where not finite.

    A label metric is taken at the thresholds that are best for the predictions at hand, as the blend will be.
    """
    metric, task, truth = problem.metric, problem.task, problem.truth

    def value(predictions: Array) -> float:
        if not np.isfinite(predictions).all():
            return -np.inf
        if metric.needs == "labels":
            found = score_at_best_thresholds(metric, task, truth, predictions)
        else:
            found = metric.function(truth, predictions)
        return metric.sign * found if np.isfinite(found) else -np.inf

    return value


def reduce_to_true_class(problem: Problem) -> Problem:
    """The same weighted-mean problem in fewer columns, where there is one.

    Rows sum to one, so the log loss of a weighted mean of class probabilities depends on the true class alone: it is
    the binary log loss of one column in which every row is positive.
    """
    if problem.metric.name != "log_loss" or problem.task not in ("multiclass", "ordinal"):
        return problem
    at = np.arange(len(problem)) if problem.positions is None else problem.positions
    return replace(
        problem,
        P=problem.P[:, at, problem.truth][..., None],
        truth=np.ones(len(problem), dtype=np.int64),
        task="binary",
        positions=None,
    )


def allow_all(counts: Array) -> Mask:
    """Every member is open, also one that is in already."""
    return np.ones(len(counts), dtype=bool)


def allow_unused(counts: Array) -> Mask:
    """Members are open that are not in yet."""
    mask: Mask = counts == 0
    return mask


def sample_rows(problem: Problem) -> Problem:
    """Rows enough for a greedy path: of very many a random 200,000, always the same."""
    if len(problem) <= SAMPLE_ROWS:
        return problem
    mask = np.zeros(len(problem), dtype=bool)
    mask[np.random.default_rng(0).choice(len(problem), SAMPLE_ROWS, replace=False)] = True
    return problem.select_rows(mask)


def select_greedily(problem: Problem, value: Objective, steps: int, open_to: Callable[[Array], Mask]) -> Array:
    """How often each member is taken on the best prefix of a greedy path; `open_to` (counts) says which may be next.

    Ties go to members already in, then to the first; what is not finite never wins.
    """
    total, counts = np.zeros_like(problem.get_member(0)), np.zeros(problem.member_count)
    best, prefix, since = -np.inf, counts, 0
    for step in range(1, steps + 1):
        found = np.full(problem.member_count, -np.inf)
        for at in np.flatnonzero(open_to(counts)).tolist():
            found[at] = value((total + problem.get_member(at)) / step)
        top = found.max()
        if top == -np.inf:
            break
        tied = np.flatnonzero(found >= top - TIE)
        taken = int(tied[np.argmax(counts[tied] > 0)])
        total, counts = total + problem.get_member(taken), counts + (np.arange(problem.member_count) == taken)
        since += 1
        if found[taken] > best + TIE:
            best, prefix, since = found[taken], counts, 0
        if since == PATIENCE:
            break
    if not prefix.any():
        raise OOFError(f"no member has a finite {problem.metric.name}")
    return prefix


def optimise_by_frank_wolfe(problem: Problem, slope: SmoothMetric) -> Array:
    """Weights on the simplex near the top of a smooth metric, by steps of Frank and Wolfe (1956).

    From the best member on, each step goes towards the member that gains most at first, as far as it gains, by whole
    hundredths of the way. It ends where a hundredth is too far, which is short of the top: nearer to it weights follow
    the noise of the rows.
    """
    values = [slope(problem.get_member(at))[0] for at in range(problem.member_count)]
    weights: Array = np.eye(problem.member_count)[np.argmax(values)]
    for _ in range(STEPS):
        mixed = problem.combine_members(weights)
        gains = problem.compute_weight_gradient(slope(mixed)[1])
        toward = int(np.argmax(gains >= gains.max() - TIE))
        flat = gains[toward] <= weights @ gains + TIE  # its sign would be rounding
        step = 0 if flat else _find_step(slope, mixed, problem.get_member(toward) - mixed) / 100
        if step == 0:
            break
        weights *= 1 - step
        weights[toward] += step
    return weights


def _find_step(slope: SmoothMetric, start: Array, way: Array) -> int:
    """How many hundredths of a way to go: as long as the middle of the next one still rises."""

    def falls(gone: int) -> bool:
        return float(np.vdot(slope(start + (gone + 0.5) / 100 * way)[1], way)) <= TIE

    return bisect_left(range(100), True, key=falls)


def optimise_by_sqp(problem: Problem, slope: SmoothMetric, start: Array, tolerance: float) -> Array:
    """Weights on the simplex at the top of a smooth metric (larger is better), by sequential quadratic programming."""

    def loss(weights: Array) -> tuple[float, Array]:
        value, gradient = slope(problem.combine_members(weights))
        return -value, -problem.compute_weight_gradient(gradient)

    height, steepness = loss(start)
    scale = max(abs(height), float(np.abs(steepness).max()), 1e-300)  # the stopping rule is absolute, metrics are not

    def scaled(weights: Array) -> tuple[float, Array]:
        height, steepness = loss(weights)
        return height / scale, steepness / scale

    found = minimize(
        scaled,
        start,
        jac=True,
        method="SLSQP",
        bounds=Bounds(0, 1),
        constraints=LinearConstraint(np.ones((1, problem.member_count)), 1, 1),
        options={"ftol": tolerance, "maxiter": 300},
    )
    weights: Array = np.where(found.x > 1e-9, found.x, 0.0)
    return normalise_weights(weights)


def refine_by_exchange(problem: Problem, weights: Array, value: Objective) -> Array:
    """Move weight from one member to another while the value gains; the best members are tried first."""
    order = np.argsort([-value(problem.get_member(at)) for at in range(problem.member_count)], kind="stable")
    mixed = problem.combine_members(weights)
    best = value(mixed)
    for step in (0.1, 0.03, 0.01):
        left = min(max(MOST_ENTRIES / estimate_cost(mixed), 30), 600) / 3
        moved = True
        while moved and left > 0:
            moved = False
            for giver, taker in [(a, b) for a in order for b in order if a != b]:
                amount = min(step, weights[giver])
                if amount < TIE or left <= 0:
                    continue
                trial = mixed + amount * (problem.get_member(taker) - problem.get_member(giver))
                left -= 1
                found = value(trial)
                if found > best + TIE:
                    best, mixed, moved = found, trial, True
                    weights = weights.copy()
                    weights[giver] -= amount
                    weights[taker] += amount
    return normalise_weights(weights)


def estimate_cost(predictions: Array) -> int:
    """Entries that a metric looks at; a column is worth some thousands of them, however short."""
    return max(int(predictions.size), COLUMN_COST * int(predictions.shape[1]))


def normalise_weights(weights: Array) -> Array:
    """Weights divided by their sum."""
    divided: Array = weights / weights.sum()
    return divided
