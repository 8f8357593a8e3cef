"""Weighted means: equal, of a subset, on the simplex, by selection. Weights are non-negative and sum to one.

Each `fit` takes a problem and returns {"weights": one per member}. Deterministic: ties go to the fewer members and
then to the first.

Weights between equal ones and those that are best on the simplex, and weights for each column.

How far to go from equal weights is what a cross-fitted score can tell and an in-sample score cannot: by that one all
the way is always best.
"""

from collections.abc import Collection
from dataclasses import replace
from itertools import combinations

import numpy as np

from oof.blends.problem import Problem, combine
from oof.blends.search import (
    MOST_ENTRIES,
    SAMPLE_ROWS,
    TIE,
    allow_all,
    allow_unused,
    estimate_cost,
    make_objective,
    optimise_by_frank_wolfe,
    optimise_by_sqp,
    reduce_to_true_class,
    refine_by_exchange,
    sample_rows,
    select_greedily,
)
from oof.blends.smooth_metrics import smooth_metric
from oof.metrics.metric_registry import METRICS
from oof.types import Array, Numbers

EXHAUSTIVE_MEMBERS = 10
EXHAUSTIVE_WORK = 2e7  # entries times subsets that may be looked at one by one
SELECTIONS = 50
BAGS = 20
PARTS = 5  # each without as large a part of the rows
EXACT, SMOOTHED = 1e-12, 1e-9  # where descents stop; knots make finer steps of a smoothed metric noise
STRENGTHS = np.linspace(0, 1, 21)  # shares of equal weights that are tried


def fit_equal(problem: Problem) -> Numbers:
    """The same weight for every member; looks at nothing else."""
    return {"weights": [1 / problem.member_count] * problem.member_count}


def fit_subset(problem: Problem) -> Numbers:
    """The best equal mean of some members: all subsets of up to ten members, else forward selection.

    The mean of all is always a candidate, and ties go to the smaller subset.
    """
    problem = reduce_to_true_class(problem)
    value, size = make_objective(problem), problem.member_count
    if size <= EXHAUSTIVE_MEMBERS and 2**size * problem.get_member(0).size <= EXHAUSTIVE_WORK:
        chosen = _search_subsets(problem)
    else:
        some = sample_rows(problem)
        chosen = np.flatnonzero(select_greedily(some, make_objective(some), size, allow_unused)).tolist()
        if (
            value(problem.combine_members(make_equal_weights(range(size), size)))
            > value(problem.combine_members(make_equal_weights(chosen, size))) + TIE
        ):
            chosen = list(range(size))
    return {"weights": make_equal_weights(chosen, size).tolist()}


def _search_subsets(problem: Problem) -> list[int]:
    value, size = make_objective(problem), problem.member_count
    best, chosen = -np.inf, list(range(size))
    for count in range(1, size + 1):
        for some in combinations(range(size), count):
            found = value(problem.combine_members(make_equal_weights(some, size)))
            if found > best + TIE:
                best, chosen = found, list(some)
    return chosen


def make_equal_weights(chosen: Collection[int], size: int) -> Array:
    """Weights (size,) of the equal mean of some members."""
    weights = np.zeros(size)
    weights[list(chosen)] = 1 / len(chosen)
    return weights


def fit_hill_climb(problem: Problem) -> Numbers:
    """Ensemble selection with replacement (Caruana et al. 2004), the best prefix of the path."""
    problem = sample_rows(reduce_to_true_class(problem))
    counts = select_greedily(problem, make_objective(problem), SELECTIONS, allow_all)
    return {"weights": (counts / counts.sum()).tolist()}


def fit_bagged_hill_climb(problem: Problem) -> Numbers:
    """The mean over bags of `fit_hill_climb` among half of the members, drawn at random (Caruana et al. 2006).

    Members are drawn from their order by score, so that their order in the config does not matter.
    """
    problem, rng = sample_rows(reduce_to_true_class(problem)), np.random.default_rng(0)
    value, weights = make_objective(problem), np.zeros(problem.member_count)
    order = np.argsort([-value(problem.get_member(at)) for at in range(problem.member_count)], kind="stable")
    for _ in range(BAGS):
        drawn = order[np.sort(rng.permutation(problem.member_count)[: -(-problem.member_count // 2)])]
        counts = select_greedily(problem.select_members(drawn.tolist()), value, SELECTIONS, allow_all)
        weights[drawn] += counts / counts.sum() / BAGS
    return {"weights": weights.tolist()}


def fit_simplex(problem: Problem) -> Numbers:
    """Weights on the simplex that are good on the metric itself.

    A metric with a gradient is descended from equal weights (log loss and RMSE are convex in them). For metrics of
    ranks a smooth form is climbed, each fifth of the rows left out in turn, and weights are the mean of the climbs:
    where order alone counts the top is flat, and its place is the rows' noise. For others the task's own loss is
    descended, and from there a smooth form of the metric; then weight moves from member to member while the metric
    gains, in a bounded number of trials, from the best of these and, on few rows, of hill climbing.
    """
    if problem.member_count == 1:
        return {"weights": [1.0]}
    return {"weights": problem.cache_result("simplex", _search_simplex).tolist()}


def _search_simplex(problem: Problem) -> Array:
    equal = np.full(problem.member_count, 1 / problem.member_count)
    if problem.metric.gradient:
        return _pick_best(problem, [equal, _optimise_from(problem, equal)])
    few = problem.metric.needs == "ranks" and PARTS <= len(problem) <= SAMPLE_ROWS
    if few and (climbed := _average_frank_wolfe(problem)) is not None:
        return _pick_best(problem, [equal, climbed])
    loss = METRICS["r2" if problem.task == "regression" else "log_loss"]
    near = _optimise_from(replace(problem, metric=loss), equal)
    starts = [equal, near, _optimise_from(problem, near)]
    if problem.member_count * SELECTIONS * estimate_cost(problem.get_member(0)) <= MOST_ENTRIES:
        starts.append(np.array(fit_hill_climb(problem)["weights"]))
    return refine_by_exchange(problem, _pick_best(problem, starts), make_objective(problem))


def _average_frank_wolfe(problem: Problem) -> Array | None:
    """The mean of climbs, each without another part of the rows; None where the metric has no smooth form."""
    part = np.random.default_rng(0).permutation(len(problem)) % PARTS
    total = np.zeros(problem.member_count)
    for out in range(PARTS):
        some = problem.select_rows(part != out)
        if (slope := smooth_metric(some)) is None:
            return None
        total += optimise_by_frank_wolfe(some, slope)
    return total / PARTS


def _pick_best(problem: Problem, starts: list[Array]) -> Array:
    problem = reduce_to_true_class(problem)
    value = make_objective(problem)
    values = np.array([value(problem.combine_members(start)) for start in starts])
    return starts[int(np.argmax(values >= values.max() - TIE))]


def _optimise_from(problem: Problem, start: Array) -> Array:
    problem = reduce_to_true_class(problem)
    slope = smooth_metric(problem)
    if slope is None:
        return start
    return optimise_by_sqp(problem, slope, start, EXACT if problem.metric.gradient else SMOOTHED)


def apply_weights(numbers: Numbers, P: Array) -> Array:
    """The weighted mean (rows, columns), kept between the members it lies between."""
    return combine(np.array(numbers["weights"]), P).clip(P.min(0), P.max(0))


def fit_shrunk(problem: Problem) -> Numbers:
    """{"weights", "strength"}: `fit_simplex` pulled towards equal weights by the strength with the best cross-fitted score.

    Weights are chosen without each fold in turn; the strength is the one that is best on the rows so predicted, the
    strongest where several are. On one fold, or where all rows but one fold's are of one kind, there is nothing to
    choose it by, and weights are equal.
    """
    flat = np.full(problem.member_count, 1 / problem.member_count)
    strength = _choose_strength(problem)
    if strength == 1:
        return {**fit_equal(problem), "strength": 1.0}
    weights = np.array(fit_simplex(problem)["weights"])
    return {"weights": (strength * flat + (1 - strength) * weights).tolist(), "strength": strength}


def _choose_strength(problem: Problem) -> float:
    rest = [problem.truth[problem.fold != fold] for fold in problem.folds]
    if len(rest) < 2 or problem.member_count == 1 or not all(np.ptp(truth, axis=0).any() for truth in rest):
        return 1.0
    plain = problem.combine_members(np.full(problem.member_count, 1 / problem.member_count))
    weighted = np.empty_like(plain)
    for fold in problem.folds:
        held = problem.fold == fold
        weights = np.array(fit_simplex(problem.select_rows(~held))["weights"])
        weighted[held] = problem.select_rows(held).combine_members(weights)
    value = make_objective(problem)
    found = np.array([value(one * plain + (1 - one) * weighted) for one in STRENGTHS])
    return float(STRENGTHS[found >= found.max() - TIE][-1])


def fit_column_simplex(problem: Problem) -> Numbers:
    """{"weights": [column][member], "classes"}: `fit_simplex` for each label, target or class on its own.

    A class stands against the rest, by log loss or, where that is the metric, AUC.
    """
    weights = []
    for at in range(problem.P.shape[2]):
        column = _select_column(problem, at)
        told = np.ptp(column.truth) > 0  # a label that these rows lack tells nothing
        weights.append((fit_simplex(column) if told else fit_equal(column))["weights"])
    return {"weights": weights, "classes": problem.task in ("multiclass", "ordinal")}


def _select_column(problem: Problem, at: int) -> Problem:
    """The problem of one column: of a target, or of yes and no."""
    P = np.ascontiguousarray(problem.P[..., at : at + 1])
    if problem.task == "regression":
        return replace(problem, P=P, truth=problem.truth[:, at : at + 1], cache={})
    if problem.task == "multilabel":
        return replace(problem, P=P, truth=problem.truth[:, at], task="binary", cache={})
    metric = METRICS["roc_auc" if problem.metric.name == "roc_auc" else "log_loss"]
    truth = (problem.truth == at).astype(np.int64)
    return replace(problem, P=P, truth=truth, task="binary", metric=metric, cache={})


def apply_column_weights(numbers: Numbers, P: Array) -> Array:
    """Each column's own weighted mean (rows, columns); those of classes divided by their sum.

    Where all of a row's are zero, members being sure of different classes, it is the equal mean.
    """
    mixed: Array = np.einsum("cm,mrc->rc", np.array(numbers["weights"]), P).clip(P.min(0), P.max(0))
    if not numbers["classes"]:
        return mixed
    shares: Array = np.where(mixed.any(1, keepdims=True), mixed, P.mean(0))
    shares /= shares.sum(1, keepdims=True)
    return shares
