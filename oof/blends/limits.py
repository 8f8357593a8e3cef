"""Which members a blend may afford: a number of them, and seconds of prediction.

Poolings on one encoder are predicted together, so the second one of a group is free.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from oof import OOFError
from oof.blends.blend_registry import Blend
from oof.blends.problem import Problem
from oof.blends.search import allow_unused, make_objective, reduce_to_true_class, sample_rows, select_greedily
from oof.blends.weights import make_equal_weights
from oof.metrics.thresholds import prepare_for_metric
from oof.types import Array, IntArray, Mask, Numbers


@dataclass(frozen=True)
class Costs:
    """`seconds` (groups,) of prediction for each group of members that are predicted together; `group` (members,)."""

    group: IntArray
    seconds: Array

    def compute_seconds(self, chosen: Sequence[int]) -> float:
        """Seconds of a set of members; one that has no group (a canary) costs nothing."""
        groups = {int(self.group[at]) for at in chosen if at < len(self.group)}
        return float(self.seconds[list(groups)].sum())


@dataclass(frozen=True)
class Limits:
    """At most so many members, at most so many seconds; None for no limit."""

    members: int | None
    seconds: float | None
    costs: Costs

    def allow_all(self) -> bool:
        """Whether all members together are within the limits."""
        everybody = range(len(self.costs.group))
        few = self.members is None or len(everybody) <= self.members
        return few and (self.seconds is None or self.costs.compute_seconds(everybody) <= self.seconds)

    def find_allowed(self, counts: Array) -> Mask:
        """Members that may join those that are in (counts above zero)."""
        chosen = np.flatnonzero(counts).tolist()
        allowed = allow_unused(counts) & (self.members is None or len(chosen) < self.members)
        if self.seconds is not None:
            cost = [self.costs.compute_seconds([*chosen, at]) for at in range(len(counts))]
            allowed &= np.array(cost) <= self.seconds
        return allowed


def choose_members(problem: Problem, limits: Limits) -> list[int]:
    """Members within the limits, by forward selection of an equal mean up to its best length.

    Raises OOFError if no member alone is within them.
    """
    if limits.allow_all():
        return list(range(problem.member_count))
    if not limits.find_allowed(np.zeros(problem.member_count)).any():
        cheapest = min(limits.costs.compute_seconds([at]) for at in range(problem.member_count))
        raise OOFError(
            f"no member is within blend.max_seconds {limits.seconds:g}: the quickest takes {cheapest:.3g} seconds"
        )
    small = sample_rows(reduce_to_true_class(problem))
    return np.flatnonzero(
        select_greedily(small, make_objective(small), problem.member_count, limits.find_allowed)
    ).tolist()


def limit_blend(rule: Blend, limits: Limits) -> Blend:
    """A blend of the members that it may afford; the choice is part of the fit, so cross-fitting repeats it."""

    def fit(problem: Problem) -> Numbers:
        chosen = choose_members(problem, limits)
        return {"chosen": chosen, "numbers": rule.fit(problem.select_members(chosen))}

    def apply(numbers: Numbers, P: Array) -> Array:
        return rule.apply(numbers["numbers"], P[numbers["chosen"]])

    def response(numbers: Numbers, members: int) -> float:
        assert rule.response is not None
        return rule.response(numbers["numbers"], len(numbers["chosen"]))

    return replace(rule, fit=fit, apply=apply, response=rule.response and response)


def get_used_members(numbers: Numbers, members: int) -> tuple[list[int], Numbers]:
    """Which members a fitted blend uses, limited or not, and the numbers for these alone."""
    if "chosen" in numbers:
        return numbers["chosen"], numbers["numbers"]
    return list(range(members)), numbers


@dataclass(frozen=True)
class CostPoint:
    """The best equal mean of so many members: which, what they cost, and its cross-fitted score."""

    members: list[int]
    seconds: float
    score: float


def compute_cost_front(problem: Problem, costs: Costs) -> list[CostPoint]:
    """A point for each number of members; which members, the other folds say. Needs two folds at least.

    Label metrics take the default decision, as members do.
    """
    paths = {int(fold): _order_greedily(problem.select_rows(problem.fold != fold)) for fold in problem.folds}
    whole, points = _order_greedily(problem), []
    for count in range(1, problem.member_count + 1):
        predictions = np.empty((len(problem), *problem.P.shape[2:]))
        for fold, path in paths.items():
            held = problem.fold == fold
            predictions[held] = problem.select_rows(held).combine_members(
                make_equal_weights(path[:count], problem.member_count)
            )
        found = problem.metric.function(problem.truth, prepare_for_metric(problem.metric, problem.task, predictions))
        points.append(CostPoint(whole[:count], costs.compute_seconds(whole[:count]), found))
    return points


def _order_greedily(problem: Problem) -> list[int]:
    """All members in the order in which a greedy equal mean takes them."""
    problem = reduce_to_true_class(problem)
    value, total = make_objective(problem), np.zeros_like(problem.get_member(0))
    left = list(range(problem.member_count))
    path: list[int] = []
    while left:
        found = [value((total + problem.get_member(at)) / (len(path) + 1)) for at in left]
        path.append(left.pop(int(np.argmax(found))))
        total += problem.get_member(path[-1])
    return path
