"""Weighted means: equal, of a subset, on the simplex, by greedy selection, shrunk to equal weights, or by column.

Weights are non-negative and sum to one. Each `fit_*` takes a problem and returns {"weights"}, one per member.
Deterministic: ties go to fewer members, then to the first.
"""

from collections.abc import Collection, Iterable, Sequence
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
EXHAUSTIVE_ENTRIES = 2e7  # entries times subsets that may be tried one by one
SELECTIONS = 50
BAGS = 20
PARTS = 5  # of the rows, each left out once in `fit_simplex`
EXACT, SMOOTHED = 1e-12, 1e-9  # tolerances; in a smoothed metric knots make finer steps noise
STRENGTHS = np.linspace(0, 1, 21)  # shares of equal weights that are tried


def fit_equal(problem: Problem) -> Numbers:
    """Give every member the same weight, whatever the truth."""
    return {"weights": [1 / problem.member_count] * problem.member_count}


def fit_subset(problem: Problem) -> Numbers:
    """Find the best equal mean of some members: all subsets of up to ten members, else forward selection.

    The mean of all is always a candidate, and ties go to the smaller subset.
    """
    problem = reduce_to_true_class(problem)
    size = problem.member_count
    if size <= EXHAUSTIVE_MEMBERS and 2**size * problem.get_member(0).size <= EXHAUSTIVE_ENTRIES:
        chosen = _search_subsets(problem)
    else:
        sample = sample_rows(problem)
        chosen = np.flatnonzero(select_greedily(sample, make_objective(sample), size, allow_unused)).tolist()
        objective = make_objective(problem)
        of_all, of_chosen = (
            objective(problem.combine_members(make_equal_weights(members, size))) for members in (range(size), chosen)
        )
        if of_all > of_chosen + TIE:
            chosen = list(range(size))
    return {"weights": make_equal_weights(chosen, size).tolist()}


def fit_hill_climb(problem: Problem) -> Numbers:
    """Select members greedily with replacement (Caruana et al. 2004); the best prefix of the path gives the weights."""
    problem = sample_rows(reduce_to_true_class(problem))
    counts = select_greedily(problem, make_objective(problem), SELECTIONS, allow_all)
    return {"weights": (counts / counts.sum()).tolist()}


def fit_bagged_hill_climb(problem: Problem) -> Numbers:
    """Average `fit_hill_climb` over bags of half of the members, drawn at random (Caruana et al. 2006).

    Members are drawn from their order by score, so that their order in the config does not matter.
    """
    problem = sample_rows(reduce_to_true_class(problem))
    rng = np.random.default_rng(0)
    objective = make_objective(problem)
    weights = np.zeros(problem.member_count)
    scores = [objective(problem.get_member(member)) for member in range(problem.member_count)]
    order = np.argsort([-score for score in scores], kind="stable")
    for _ in range(BAGS):
        drawn = order[np.sort(rng.permutation(problem.member_count)[: -(-problem.member_count // 2)])]
        counts = select_greedily(problem.select_members(drawn.tolist()), objective, SELECTIONS, allow_all)
        weights[drawn] += counts / counts.sum() / BAGS
    return {"weights": weights.tolist()}


def fit_simplex(problem: Problem) -> Numbers:
    """Find weights on the simplex that are good on the metric itself.

    A metric with a gradient is optimised from equal weights (log loss and RMSE are convex in them). For metrics of
    ranks a smooth form is optimised, each fifth of the rows left out in turn, and the weights are averaged: where order
    alone counts, the maximum is flat, and its place is the rows' noise. For others the task's own loss is optimised,
    and from there a smooth form of the metric; then weight moves from member to member while the metric gains, in a
    bounded number of trials, from the best of these and, on few rows, of hill climbing.
    """
    if problem.member_count == 1:
        return {"weights": [1.0]}
    return {"weights": problem.cache_result("simplex", _search_simplex).tolist()}


def fit_shrunk(problem: Problem) -> Numbers:
    """Shrink the weights of `fit_simplex` to equal ones; return {"weights", "strength"}.

    The weights are found without each fold in turn, and the strength, the share of equal weights, is the one with the
    best score on the rows so predicted, the strongest if several are. It must be cross-fitted: in-sample, no shrinkage
    is always best. Weights are equal on a single fold, or where the other folds of a fold hold a single class.
    """
    strength = _choose_strength(problem)
    if strength == 1:
        return {**fit_equal(problem), "strength": 1.0}
    equal = np.full(problem.member_count, 1 / problem.member_count)
    weights = np.array(fit_simplex(problem)["weights"])
    return {"weights": (strength * equal + (1 - strength) * weights).tolist(), "strength": strength}


def fit_column_simplex(problem: Problem) -> Numbers:
    """Apply `fit_simplex` to each label, target or class; return {"weights": [column][member], "classes"}.

    A class stands against the rest, by log loss or, if that is the metric, AUC.
    """
    weights = []
    for column in range(problem.P.shape[2]):
        part = _select_column(problem, column)
        is_constant = np.ptp(part.truth) == 0  # a label that these rows lack
        weights.append((fit_equal(part) if is_constant else fit_simplex(part))["weights"])
    return {"weights": weights, "classes": problem.task in ("multiclass", "ordinal")}


def apply_weights(numbers: Numbers, P: Array) -> Array:
    """Return the weighted mean (rows, columns), clipped to the range of the members against rounding."""
    return combine(np.array(numbers["weights"]), P).clip(P.min(0), P.max(0))


def apply_column_weights(numbers: Numbers, P: Array) -> Array:
    """Return each column's own weighted mean (rows, columns); those of classes are divided by their sum.

    A row whose means are all zero, because members are certain of different classes, gets the equal mean.
    """
    means: Array = np.einsum("cm,mrc->rc", np.array(numbers["weights"]), P).clip(P.min(0), P.max(0))
    if not numbers["classes"]:
        return means
    shares: Array = np.where(means.any(1, keepdims=True), means, P.mean(0))
    shares /= shares.sum(1, keepdims=True)
    return shares


def make_equal_weights(chosen: Collection[int], size: int) -> Array:
    """Return the weights (size,) of the equal mean of some members."""
    weights = np.zeros(size)
    weights[list(chosen)] = 1 / len(chosen)
    return weights


def _search_subsets(problem: Problem) -> list[int]:
    objective = make_objective(problem)
    size = problem.member_count
    best, best_members = -np.inf, list(range(size))
    for members in _list_subsets(size):
        score = objective(problem.combine_members(make_equal_weights(members, size)))
        if score > best + TIE:
            best, best_members = score, list(members)
    return best_members


def _list_subsets(size: int) -> Iterable[Sequence[int]]:
    """Yield all subsets of members, the smallest first."""
    for count in range(1, size + 1):
        yield from combinations(range(size), count)


def _search_simplex(problem: Problem) -> Array:
    equal = np.full(problem.member_count, 1 / problem.member_count)
    if problem.metric.gradient:
        return _pick_best(problem, [equal, _optimise_from(problem, equal)])
    if problem.metric.needs == "ranks" and PARTS <= len(problem) <= SAMPLE_ROWS:
        average = _average_frank_wolfe(problem)
        if average is not None:
            return _pick_best(problem, [equal, average])
    loss = METRICS["r2" if problem.task == "regression" else "log_loss"]
    by_loss = _optimise_from(replace(problem, metric=loss), equal)
    starts = [equal, by_loss, _optimise_from(problem, by_loss)]
    if problem.member_count * SELECTIONS * estimate_cost(problem.get_member(0)) <= MOST_ENTRIES:
        starts.append(np.array(fit_hill_climb(problem)["weights"]))
    return refine_by_exchange(problem, _pick_best(problem, starts), make_objective(problem))


def _average_frank_wolfe(problem: Problem) -> Array | None:
    """Average the weights found without each part of the rows; None where the metric has no smooth form."""
    part = np.random.default_rng(0).permutation(len(problem)) % PARTS
    total = np.zeros(problem.member_count)
    for left_out in range(PARTS):
        rest = problem.select_rows(part != left_out)
        smooth = smooth_metric(rest)
        if smooth is None:
            return None
        total += optimise_by_frank_wolfe(rest, smooth)
    return total / PARTS


def _optimise_from(problem: Problem, start: Array) -> Array:
    problem = reduce_to_true_class(problem)
    smooth = smooth_metric(problem)
    if smooth is None:
        return start
    return optimise_by_sqp(problem, smooth, start, EXACT if problem.metric.gradient else SMOOTHED)


def _pick_best(problem: Problem, candidates: list[Array]) -> Array:
    """Return the weights with the best score, the first among equal ones."""
    problem = reduce_to_true_class(problem)
    objective = make_objective(problem)
    scores = np.array([objective(problem.combine_members(weights)) for weights in candidates])
    return candidates[int(np.argmax(scores >= scores.max() - TIE))]


def _choose_strength(problem: Problem) -> float:
    rest = [problem.truth[problem.fold != fold] for fold in problem.folds]
    if len(rest) < 2 or problem.member_count == 1 or not all(np.ptp(truth, axis=0).any() for truth in rest):
        return 1.0
    equal = problem.combine_members(np.full(problem.member_count, 1 / problem.member_count))
    weighted = np.empty_like(equal)
    for fold in problem.folds:
        held_out = problem.fold == fold
        weights = np.array(fit_simplex(problem.select_rows(~held_out))["weights"])
        weighted[held_out] = problem.select_rows(held_out).combine_members(weights)
    objective = make_objective(problem)
    scores = np.array([objective(strength * equal + (1 - strength) * weighted) for strength in STRENGTHS])
    return float(STRENGTHS[scores >= scores.max() - TIE][-1])


def _select_column(problem: Problem, column: int) -> Problem:
    """Return the problem of one target, of one label, or of one class against the rest."""
    P = np.ascontiguousarray(problem.P[..., column : column + 1])
    if problem.task == "regression":
        return replace(problem, P=P, truth=problem.truth[:, column : column + 1], cache={})
    if problem.task == "multilabel":
        return replace(problem, P=P, truth=problem.truth[:, column], task="binary", cache={})
    metric = METRICS["roc_auc" if problem.metric.name == "roc_auc" else "log_loss"]
    truth = (problem.truth == column).astype(np.int64)
    return replace(problem, P=P, truth=truth, task="binary", metric=metric, cache={})
