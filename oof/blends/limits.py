"""Which members a blend may afford: a number of them, and seconds of prediction.

Poolings on one encoder are predicted together, so the second one of a group is free.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from oof import OOFError
from oof.blends.blend_registry import Blend
from oof.blends.problem import Problem
from oof.blends.search import condense, grow, objective, once, sampled
from oof.blends.weights import share
from oof.metrics.thresholds import judged
from oof.types import Array, IntArray, Mask


@dataclass(frozen=True)
class Costs:
    """`seconds` (groups,) of prediction for each group of members that are predicted together; `group` (members,)."""

    group: IntArray
    seconds: Array

    def of(self, chosen: Sequence[int]) -> float:
        """Seconds of a set of members; one that has no group (a canary) costs nothing."""
        groups = {int(self.group[at]) for at in chosen if at < len(self.group)}
        return float(self.seconds[list(groups)].sum())


@dataclass(frozen=True)
class Limits:
    """At most so many members, at most so many seconds; None for no limit."""

    members: int | None
    seconds: float | None
    costs: Costs

    def idle(self) -> bool:
        """Whether all members together are within the limits."""
        everybody = range(len(self.costs.group))
        few = self.members is None or len(everybody) <= self.members
        return few and (self.seconds is None or self.costs.of(everybody) <= self.seconds)

    def open_to(self, counts: Array) -> Mask:
        """Members that may join those that are in (counts above zero)."""
        chosen = np.flatnonzero(counts).tolist()
        allowed = once(counts) & (self.members is None or len(chosen) < self.members)
        if self.seconds is not None:
            cost = [self.costs.of([*chosen, at]) for at in range(len(counts))]
            allowed &= np.array(cost) <= self.seconds
        return allowed


def choose(problem: Problem, limits: Limits) -> list[int]:
    """Members within the limits, by forward selection of an equal mean up to its best length.

    Raises OOFError if no member alone is within them.
    """
    if limits.idle():
        return list(range(problem.members))
    if not limits.open_to(np.zeros(problem.members)).any():
        cheapest = min(limits.costs.of([at]) for at in range(problem.members))
        raise OOFError(
            f"no member is within blend.max_seconds {limits.seconds:g}: the quickest takes {cheapest:.3g} seconds"
        )
    small = sampled(condense(problem))
    return np.flatnonzero(grow(small, objective(small), problem.members, limits.open_to)).tolist()


def limited(rule: Blend, limits: Limits) -> Blend:
    """A blend of the members that it may afford; the choice is part of the fit, so cross-fitting repeats it."""

    def fit(problem: Problem) -> dict[str, Any]:
        chosen = choose(problem, limits)
        return {"chosen": chosen, "numbers": rule.fit(problem.some(chosen))}

    def apply(numbers: dict[str, Any], P: Array) -> Array:
        return rule.apply(numbers["numbers"], P[numbers["chosen"]])

    def response(numbers: dict[str, Any], members: int) -> float:
        assert rule.response is not None
        return rule.response(numbers["numbers"], len(numbers["chosen"]))

    return replace(rule, fit=fit, apply=apply, response=rule.response and response)


def used(numbers: dict[str, Any], members: int) -> tuple[list[int], dict[str, Any]]:
    """Which members a fitted blend uses, limited or not, and the numbers for these alone."""
    if "chosen" in numbers:
        return numbers["chosen"], numbers["numbers"]
    return list(range(members)), numbers


@dataclass(frozen=True)
class Point:
    """The best equal mean of so many members: which, what they cost, and its cross-fitted score."""

    members: list[int]
    seconds: float
    score: float


def front(problem: Problem, costs: Costs) -> list[Point]:
    """A point for each number of members; which members, the other folds say. Needs two folds at least.

    Label metrics take the default decision, as members do.
    """
    paths = {int(fold): _path(problem.rows(problem.fold != fold)) for fold in problem.folds}
    whole, points = _path(problem), []
    for count in range(1, problem.members + 1):
        predictions = np.empty((len(problem), *problem.P.shape[2:]))
        for fold, path in paths.items():
            held = problem.fold == fold
            predictions[held] = problem.rows(held).mix(share(path[:count], problem.members))
        found = problem.metric.function(problem.truth, judged(problem.metric, problem.task, predictions))
        points.append(Point(whole[:count], costs.of(whole[:count]), found))
    return points


def _path(problem: Problem) -> list[int]:
    """All members in the order in which a greedy equal mean takes them."""
    problem = condense(problem)
    value, total = objective(problem), np.zeros_like(problem.member(0))
    left = list(range(problem.members))
    path: list[int] = []
    while left:
        found = [value((total + problem.member(at)) / (len(path) + 1)) for at in left]
        path.append(left.pop(int(np.argmax(found))))
        total += problem.member(path[-1])
    return path
