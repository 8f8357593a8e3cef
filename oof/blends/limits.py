"""Limits of a blend: a number of members, and seconds of prediction.

Members of one encoder are predicted together, so a second one of the group costs nothing.
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
from oof.types import Array, Counts, IntArray, Mask, Numbers


@dataclass(frozen=True)
class Costs:
    """`seconds` (groups,) of prediction of each group of members predicted together; `group` (members,) of each."""

    group: IntArray
    seconds: Array

    def compute_seconds(self, members: Sequence[int]) -> float:
        """Return the seconds of a set of members; one without a group (pure noise, as a check) costs nothing."""
        groups = {int(self.group[member]) for member in members if member < len(self.group)}
        return float(self.seconds[list(groups)].sum())


@dataclass(frozen=True)
class Limits:
    """The highest number of members and the most seconds; None for no limit."""

    members: int | None
    seconds: float | None
    costs: Costs

    def allow_all(self) -> bool:
        """Return True if all members together are within the limits."""
        everything = range(len(self.costs.group))
        if self.members is not None and len(everything) > self.members:
            return False
        return self.seconds is None or self.costs.compute_seconds(everything) <= self.seconds

    def find_allowed(self, counts: Counts) -> Mask:
        """Return which members (members,) may be added to the selected ones, those with counts above zero."""
        selected = np.flatnonzero(counts).tolist()
        allowed = allow_unused(counts) & (self.members is None or len(selected) < self.members)
        if self.seconds is not None:
            seconds = [self.costs.compute_seconds([*selected, member]) for member in range(len(counts))]
            allowed &= np.array(seconds) <= self.seconds
        return allowed


@dataclass(frozen=True)
class FrontPoint:
    """The best equal mean of a number of members: which, their seconds, and its cross-fitted score."""

    members: list[int]
    seconds: float
    score: float


def limit_blend(rule: Blend, limits: Limits) -> Blend:
    """Return a blend of members within the limits; they are chosen in its fit, so cross-fitting repeats the choice.

    Its numbers are {"chosen", "numbers"}: the members, and the numbers of the rule for them.
    """

    def fit(problem: Problem) -> Numbers:
        chosen = choose_members(problem, limits)
        return {"chosen": chosen, "numbers": rule.fit(problem.select_members(chosen))}

    def apply(numbers: Numbers, P: Array) -> Array:
        return rule.apply(numbers["numbers"], P[numbers["chosen"]])

    def compute_response(numbers: Numbers, members: int) -> float:
        assert rule.response is not None
        return rule.response(numbers["numbers"], len(numbers["chosen"]))

    return replace(rule, fit=fit, apply=apply, response=rule.response and compute_response)


def choose_members(problem: Problem, limits: Limits) -> list[int]:
    """Return members within the limits, by forward selection of an equal mean up to its best length.

    Raises OOFError if no single member is within them.
    """
    if limits.allow_all():
        return list(range(problem.member_count))
    if not limits.find_allowed(np.zeros(problem.member_count)).any():
        least = min(limits.costs.compute_seconds([member]) for member in range(problem.member_count))
        raise OOFError(
            f"no member is within blend.max_seconds {limits.seconds:g}: the fastest takes {least:.3g} seconds"
        )
    sample = sample_rows(reduce_to_true_class(problem))
    counts = select_greedily(sample, make_objective(sample), problem.member_count, limits.find_allowed)
    return np.flatnonzero(counts).tolist()


def get_used_members(numbers: Numbers, members: int) -> tuple[list[int], Numbers]:
    """Return which of the `members` a fitted blend uses, and the numbers of its rule for them."""
    if "chosen" in numbers:
        return numbers["chosen"], numbers["numbers"]
    return list(range(members)), numbers


def compute_cost_front(problem: Problem, costs: Costs) -> list[FrontPoint]:
    """Return a point for each number of members; the members are chosen on the other folds. Needs two folds at least.

    Label metrics take the default decision, as members do.
    """
    paths = {int(fold): _order_greedily(problem.select_rows(problem.fold != fold)) for fold in problem.folds}
    path_of_all = _order_greedily(problem)
    points = []
    for count in range(1, problem.member_count + 1):
        predictions = np.empty((len(problem), *problem.P.shape[2:]))
        for fold, path in paths.items():
            held_out = problem.fold == fold
            weights = make_equal_weights(path[:count], problem.member_count)
            predictions[held_out] = problem.select_rows(held_out).combine_members(weights)
        decided = prepare_for_metric(problem.metric, problem.task, predictions)
        members = path_of_all[:count]
        score = problem.metric.function(problem.truth, decided)
        points.append(FrontPoint(members, costs.compute_seconds(members), score))
    return points


def _order_greedily(problem: Problem) -> list[int]:
    """Return all members in the order in which a greedy equal mean adds them."""
    problem = reduce_to_true_class(problem)
    objective = make_objective(problem)
    total = np.zeros_like(problem.get_member(0))
    left = list(range(problem.member_count))
    path: list[int] = []
    while left:
        scores = [objective((total + problem.get_member(member)) / (len(path) + 1)) for member in left]
        path.append(left.pop(int(np.argmax(scores))))
        total += problem.get_member(path[-1])
    return path
