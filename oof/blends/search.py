"""Searches for weights: greedy selection, two optimisers of a smooth metric, and exchanges between members.

All of them maximise an objective: a function of predictions (rows, columns) that is larger where the metric is better.
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
from oof.types import Array, Counts, Mask

TIE = 1e-12  # smaller differences are rounding
PATIENCE = 10  # steps of a greedy path without a better prefix
SAMPLE_ROWS = 200_000
COLUMN_COST = 5000  # entries that a metric of one column costs at least
FRANK_WOLFE_STEPS = 200  # at most; about twenty are usual
MOST_ENTRIES = 1e7  # for all exchanges between members together

Objective = Callable[[Array], float]


def make_objective(problem: Problem) -> Objective:
    """Return a function of predictions (rows, columns), larger where the metric is better; -inf where not finite.

    A label metric is taken at the thresholds that are best for the predictions, as the blend will be.
    """
    metric, task, truth = problem.metric, problem.task, problem.truth

    def score(predictions: Array) -> float:
        if not np.isfinite(predictions).all():
            return -np.inf
        if metric.needs == "labels":
            value = score_at_best_thresholds(metric, task, truth, predictions)
        else:
            value = metric.function(truth, predictions)
        return metric.sign * value if np.isfinite(value) else -np.inf

    return score


def reduce_to_true_class(problem: Problem) -> Problem:
    """Return an equal weighted-mean problem in one column, for log loss of classes; any other problem unchanged.

    Rows sum to one, so the log loss of a weighted mean of class probabilities depends on the true class alone: it is
    the binary log loss of one column in which every row is positive.
    """
    if problem.metric.name != "log_loss" or problem.task not in ("multiclass", "ordinal"):
        return problem
    rows = np.arange(len(problem)) if problem.positions is None else problem.positions
    return replace(
        problem,
        P=problem.P[:, rows, problem.truth][..., None],
        truth=np.ones(len(problem), dtype=np.int64),
        task="binary",
        positions=None,
    )


def sample_rows(problem: Problem) -> Problem:
    """Return the problem of at most SAMPLE_ROWS random rows, always the same: enough for a greedy path."""
    if len(problem) <= SAMPLE_ROWS:
        return problem
    mask = np.zeros(len(problem), dtype=bool)
    mask[np.random.default_rng(0).choice(len(problem), SAMPLE_ROWS, replace=False)] = True
    return problem.select_rows(mask)


def allow_all(counts: Counts) -> Mask:
    """Allow every member to be selected, repeatedly too."""
    return np.ones(len(counts), dtype=bool)


def allow_unused(counts: Counts) -> Mask:
    """Allow the members that are not selected yet."""
    mask: Mask = counts == 0
    return mask


def select_greedily(
    problem: Problem, objective: Objective, steps: int, find_allowed: Callable[[Counts], Mask]
) -> Counts:
    """Return how often each member is selected (members,) on the best prefix of a greedy path of an equal mean.

    `find_allowed` (counts) returns which members may be selected next. Ties go to members already selected, then to
    the first. Raises OOFError if no member has a finite metric.
    """
    total = np.zeros_like(problem.get_member(0))
    counts = np.zeros(problem.member_count)
    best, best_counts = -np.inf, counts
    without_gain = 0
    for step in range(1, steps + 1):
        scores = np.full(problem.member_count, -np.inf)
        for member in np.flatnonzero(find_allowed(counts)).tolist():
            scores[member] = objective((total + problem.get_member(member)) / step)
        top = scores.max()
        if top == -np.inf:
            break
        tied = np.flatnonzero(scores >= top - TIE)
        selected = int(tied[np.argmax(counts[tied] > 0)])
        total = total + problem.get_member(selected)
        counts = counts + (np.arange(problem.member_count) == selected)
        without_gain += 1
        if scores[selected] > best + TIE:
            best, best_counts = scores[selected], counts
            without_gain = 0
        if without_gain == PATIENCE:
            break
    if not best_counts.any():
        raise OOFError(f"no member has a finite {problem.metric.name}")
    return best_counts


def optimise_by_frank_wolfe(problem: Problem, smooth: SmoothMetric) -> Array:
    """Return weights on the simplex near the maximum of a smooth metric, by steps of Frank and Wolfe (1956).

    It starts at the best member. Each step goes towards the member with the largest derivative, as long as the metric
    rises, by whole hundredths of the way. It ends where a hundredth is too far, which is short of the maximum: closer
    to it weights follow the noise of the rows.
    """
    values = [smooth(problem.get_member(member))[0] for member in range(problem.member_count)]
    weights: Array = np.eye(problem.member_count)[np.argmax(values)]
    for _ in range(FRANK_WOLFE_STEPS):
        combined = problem.combine_members(weights)
        gains = problem.compute_weight_gradient(smooth(combined)[1])
        target = int(np.argmax(gains >= gains.max() - TIE))
        if gains[target] <= weights @ gains + TIE:  # the sign of the difference would be rounding
            break
        step = _count_hundredths(smooth, combined, problem.get_member(target) - combined) / 100
        if step == 0:
            break
        weights *= 1 - step
        weights[target] += step
    return weights


def optimise_by_sqp(problem: Problem, smooth: SmoothMetric, start: Array, tolerance: float) -> Array:
    """Return weights on the simplex at the maximum of a smooth metric, by sequential quadratic programming."""

    def compute_loss(weights: Array) -> tuple[float, Array]:
        value, gradient = smooth(problem.combine_members(weights))
        return -value, -problem.compute_weight_gradient(gradient)

    loss, gradient = compute_loss(start)
    scale = max(abs(loss), float(np.abs(gradient).max()), 1e-300)  # the stopping rule is absolute, metrics are not

    def compute_scaled_loss(weights: Array) -> tuple[float, Array]:
        loss, gradient = compute_loss(weights)
        return loss / scale, gradient / scale

    result = minimize(
        compute_scaled_loss,
        start,
        jac=True,
        method="SLSQP",
        bounds=Bounds(0, 1),
        constraints=LinearConstraint(np.ones((1, problem.member_count)), 1, 1),
        options={"ftol": tolerance, "maxiter": 300},
    )
    weights: Array = np.where(result.x > 1e-9, result.x, 0.0)
    return normalise_weights(weights)


def refine_by_exchange(problem: Problem, weights: Array, objective: Objective) -> Array:
    """Move weight from one member to another while the objective rises; pairs of the best members are tried first."""
    scores = [objective(problem.get_member(member)) for member in range(problem.member_count)]
    order = np.argsort([-score for score in scores], kind="stable")
    combined = problem.combine_members(weights)
    best = objective(combined)
    for step in (0.1, 0.03, 0.01):
        trials_left = min(max(MOST_ENTRIES / estimate_cost(combined), 30), 600) / 3
        has_moved = True
        while has_moved and trials_left > 0:
            has_moved = False
            for giver, taker in [(a, b) for a in order for b in order if a != b]:
                amount = min(step, weights[giver])
                if amount < TIE or trials_left <= 0:
                    continue
                trial = combined + amount * (problem.get_member(taker) - problem.get_member(giver))
                trials_left -= 1
                score = objective(trial)
                if score > best + TIE:
                    best, combined = score, trial
                    has_moved = True
                    weights = weights.copy()
                    weights[giver] -= amount
                    weights[taker] += amount
    return normalise_weights(weights)


def estimate_cost(predictions: Array) -> int:
    """Return the cost of a metric in entries; a column costs some thousands of them, however short it is."""
    return max(int(predictions.size), COLUMN_COST * int(predictions.shape[1]))


def normalise_weights(weights: Array) -> Array:
    """Return the weights divided by their sum."""
    normalised: Array = weights / weights.sum()
    return normalised


def _count_hundredths(smooth: SmoothMetric, start: Array, way: Array) -> int:
    """Return how many hundredths of a way to go: as long as the metric still rises in the middle of the next one."""

    def is_falling(hundredths: int) -> bool:
        return float(np.vdot(smooth(start + (hundredths + 0.5) / 100 * way)[1], way)) <= TIE

    return bisect_left(range(100), True, key=is_falling)
