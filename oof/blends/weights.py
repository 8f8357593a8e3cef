"""Weighted means: equal, of a subset, on the simplex, by selection. Weights are non-negative and sum to one.

Each `fit` takes a problem and returns {"weights": one per member}. Deterministic: ties go to the fewer members and
then to the first.

Weights between equal ones and those that are best on the simplex, and weights for each column.

How far to go from equal weights is what a cross-fitted score can tell and an in-sample score cannot: by that one all
the way is always best.
"""

from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np

from oof.blends.problem import Problem, combine
from oof.blends.search import (
    ROWS,
    TIE,
    WORK,
    again,
    climb,
    condense,
    descend,
    effort,
    grow,
    objective,
    once,
    refine,
    sampled,
)
from oof.blends.smooth_metrics import smooth
from oof.metrics.metric_registry import METRICS
from oof.types import Array

EXHAUSTIVE_MEMBERS = 10
EXHAUSTIVE_WORK = 2e7  # entries times subsets that may be looked at one by one
SELECTIONS = 50
BAGS = 20
CLIMBS = 5  # each without as large a part of the rows
EXACT, SMOOTHED = 1e-12, 1e-9  # where descents stop; knots make finer steps of a smoothed metric noise
STRENGTHS = np.linspace(0, 1, 21)  # shares of equal weights that are tried


def equal(problem: Problem) -> dict[str, Any]:
    """The same weight for every member; looks at nothing else."""
    return {"weights": [1 / problem.members] * problem.members}


def subset(problem: Problem) -> dict[str, Any]:
    """The best equal mean of some members: all subsets of up to ten members, else forward selection.

    The mean of all is always a candidate, and ties go to the smaller subset.
    """
    problem = condense(problem)
    value, size = objective(problem), problem.members
    if size <= EXHAUSTIVE_MEMBERS and 2**size * problem.member(0).size <= EXHAUSTIVE_WORK:
        chosen = _best_subset(problem)
    else:
        some = sampled(problem)
        chosen = np.flatnonzero(grow(some, objective(some), size, once)).tolist()
        if value(problem.mix(share(range(size), size))) > value(problem.mix(share(chosen, size))) + TIE:
            chosen = list(range(size))
    return {"weights": share(chosen, size).tolist()}


def _best_subset(problem: Problem) -> list[int]:
    value, size = objective(problem), problem.members
    best, chosen = -np.inf, list(range(size))
    for count in range(1, size + 1):
        for some in combinations(range(size), count):
            found = value(problem.mix(share(some, size)))
            if found > best + TIE:
                best, chosen = found, list(some)
    return chosen


def share(chosen: Any, size: int) -> Array:
    """Weights (size,) of the equal mean of some members."""
    weights = np.zeros(size)
    weights[list(chosen)] = 1 / len(chosen)
    return weights


def hill_climb(problem: Problem) -> dict[str, Any]:
    """Ensemble selection with replacement (Caruana et al. 2004), the best prefix of the path."""
    problem = sampled(condense(problem))
    counts = grow(problem, objective(problem), SELECTIONS, again)
    return {"weights": (counts / counts.sum()).tolist()}


def bagged_hill_climb(problem: Problem) -> dict[str, Any]:
    """The mean over bags of `hill_climb` among half of the members, drawn at random (Caruana et al. 2006).

    Members are drawn from their order by score, so that their order in the config does not matter.
    """
    problem, rng = sampled(condense(problem)), np.random.default_rng(0)
    value, weights = objective(problem), np.zeros(problem.members)
    order = np.argsort([-value(problem.member(at)) for at in range(problem.members)], kind="stable")
    for _ in range(BAGS):
        drawn = order[np.sort(rng.permutation(problem.members)[: -(-problem.members // 2)])]
        counts = grow(problem.some(drawn.tolist()), value, SELECTIONS, again)
        weights[drawn] += counts / counts.sum() / BAGS
    return {"weights": weights.tolist()}


def simplex(problem: Problem) -> dict[str, Any]:
    """Weights on the simplex that are good on the metric itself.

    A metric with a gradient is descended from equal weights (log loss and RMSE are convex in them). For metrics of
    ranks a smooth form is climbed, each fifth of the rows left out in turn, and weights are the mean of the climbs:
    where order alone counts the top is flat, and its place is the rows' noise. For others the task's own loss is
    descended, and from there a smooth form of the metric; then weight moves from member to member while the metric
    gains, in a bounded number of trials, from the best of these and, on few rows, of hill climbing.
    """
    if problem.members == 1:
        return {"weights": [1.0]}
    return {"weights": problem.remembered("simplex", _simplex).tolist()}


def _simplex(problem: Problem) -> Array:
    equal = np.full(problem.members, 1 / problem.members)
    if problem.metric.gradient:
        return _best(problem, [equal, _descended(problem, equal)])
    few = problem.metric.needs == "ranks" and CLIMBS <= len(problem) <= ROWS
    if few and (climbed := _climbed(problem)) is not None:
        return _best(problem, [equal, climbed])
    loss = METRICS["r2" if problem.task == "regression" else "log_loss"]
    near = _descended(replace(problem, metric=loss), equal)
    starts = [equal, near, _descended(problem, near)]
    if problem.members * SELECTIONS * effort(problem.member(0)) <= WORK:
        starts.append(np.array(hill_climb(problem)["weights"]))
    return refine(problem, _best(problem, starts), objective(problem))


def _climbed(problem: Problem) -> Array | None:
    """The mean of climbs, each without another part of the rows; None where the metric has no smooth form."""
    part = np.random.default_rng(0).permutation(len(problem)) % CLIMBS
    total = np.zeros(problem.members)
    for out in range(CLIMBS):
        some = problem.rows(part != out)
        if (slope := smooth(some)) is None:
            return None
        total += climb(some, slope)
    return total / CLIMBS


def _best(problem: Problem, starts: list[Array]) -> Array:
    problem = condense(problem)
    value = objective(problem)
    values = np.array([value(problem.mix(start)) for start in starts])
    return starts[int(np.argmax(values >= values.max() - TIE))]


def _descended(problem: Problem, start: Array) -> Array:
    problem = condense(problem)
    slope = smooth(problem)
    if slope is None:
        return start
    return descend(problem, slope, start, EXACT if problem.metric.gradient else SMOOTHED)


def apply(numbers: dict[str, Any], P: Array) -> Array:
    """The weighted mean (rows, columns), kept between the members it lies between."""
    return combine(np.array(numbers["weights"]), P).clip(P.min(0), P.max(0))


def shrunk(problem: Problem) -> dict[str, Any]:
    """{"weights", "strength"}: `simplex` pulled towards equal weights by the strength with the best cross-fitted score.

    Weights are chosen without each fold in turn; the strength is the one that is best on the rows so predicted, the
    strongest where several are. On one fold, or where all rows but one fold's are of one kind, there is nothing to
    choose it by, and weights are equal.
    """
    flat = np.full(problem.members, 1 / problem.members)
    strength = _strength(problem)
    if strength == 1:
        return {**equal(problem), "strength": 1.0}
    weights = np.array(simplex(problem)["weights"])
    return {"weights": (strength * flat + (1 - strength) * weights).tolist(), "strength": strength}


def _strength(problem: Problem) -> float:
    rest = [problem.truth[problem.fold != fold] for fold in problem.folds]
    if len(rest) < 2 or problem.members == 1 or not all(np.ptp(truth, axis=0).any() for truth in rest):
        return 1.0
    plain = problem.mix(np.full(problem.members, 1 / problem.members))
    weighted = np.empty_like(plain)
    for fold in problem.folds:
        held = problem.fold == fold
        weights = np.array(simplex(problem.rows(~held))["weights"])
        weighted[held] = problem.rows(held).mix(weights)
    value = objective(problem)
    found = np.array([value(one * plain + (1 - one) * weighted) for one in STRENGTHS])
    return float(STRENGTHS[found >= found.max() - TIE][-1])


def by_column(problem: Problem) -> dict[str, Any]:
    """{"weights": [column][member], "classes"}: `simplex` for each label, target or class on its own.

    A class stands against the rest, by log loss or, where that is the metric, AUC.
    """
    weights = []
    for at in range(problem.P.shape[2]):
        column = _column(problem, at)
        told = np.ptp(column.truth) > 0  # a label that these rows lack tells nothing
        weights.append((simplex(column) if told else equal(column))["weights"])
    return {"weights": weights, "classes": problem.task in ("multiclass", "ordinal")}


def _column(problem: Problem, at: int) -> Problem:
    """The problem of one column: of a target, or of yes and no."""
    P = np.ascontiguousarray(problem.P[..., at : at + 1])
    if problem.task == "regression":
        return replace(problem, P=P, truth=problem.truth[:, at : at + 1], memory={})
    if problem.task == "multilabel":
        return replace(problem, P=P, truth=problem.truth[:, at], task="binary", memory={})
    metric = METRICS["roc_auc" if problem.metric.name == "roc_auc" else "log_loss"]
    truth = (problem.truth == at).astype(np.int64)
    return replace(problem, P=P, truth=truth, task="binary", metric=metric, memory={})


def apply_by_column(numbers: dict[str, Any], P: Array) -> Array:
    """Each column's own weighted mean (rows, columns); those of classes divided by their sum.

    Where all of a row's are zero, members being sure of different classes, it is the equal mean.
    """
    mixed: Array = np.einsum("cm,mrc->rc", np.array(numbers["weights"]), P).clip(P.min(0), P.max(0))
    if not numbers["classes"]:
        return mixed
    shares: Array = np.where(mixed.any(1, keepdims=True), mixed, P.mean(0))
    shares /= shares.sum(1, keepdims=True)
    return shares
