"""The rule of `auto` as a function of values, so that it can be repeated on every bootstrap draw."""

from collections.abc import Mapping
from dataclasses import dataclass

from oof.metrics.functions import Array


@dataclass(frozen=True)
class Rule:
    """A later rung is taken only if its gain exceeds one standard error of that gain, and not if noise gains in it.

    Candidates are numbered: `rungs` blends, then with `finish` the same ones finished, then blends with a canary;
    `canaries` tells a rung's. `errors` (candidates, candidates) are standard errors of differences; `barred` are rungs
    that are not to be held.
    """

    rungs: int
    finish: bool
    canaries: Mapping[int, int]
    errors: Array
    barred: frozenset[int] = frozenset()

    def gains(self, values: Array, new: int, old: int) -> bool:
        """Whether a candidate is better than another by more than one standard error; larger values are better."""
        return bool(values[new] - values[old] > self.errors[new, old])

    def refused(self, values: Array, rung: int) -> bool:
        """Whether a rung is barred, or gains from its canary."""
        return rung in self.barred or (rung in self.canaries and self.gains(values, self.canaries[rung], rung))

    def path(self, values: Array) -> list[int]:
        """The candidate held after each rung, and after the finish."""
        held = [0]
        for rung in range(1, self.rungs):
            taken = self.gains(values, rung, held[-1]) and not self.refused(values, rung)
            held.append(rung if taken else held[-1])
        if self.finish:
            top = self.rungs + held[-1]
            held.append(top if self.gains(values, top, held[-1]) else held[-1])
        return held
