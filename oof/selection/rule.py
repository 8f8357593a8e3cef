"""The rule of `auto` as a function of values, so that it can be repeated on every bootstrap draw.

Cross-fitted candidates judged on the same rows and the same bootstrap draws, and the rule that holds one of them.

Having chosen flatters. So the rule is repeated on every draw, and what it holds there is judged on the rows that the
draw left out (BBC-CV; Tsamardinos, Greasidou and Borboudakis 2018), with the standard errors of the whole sample. That
covers the choice among these candidates, nothing that was discarded before.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from oof.blends.problem import Problem
from oof.metrics.functions import Array
from oof.metrics.weighted_metrics import Counted, counted
from oof.selection.bootstrap import Resamples, interval, standard_error
from oof.selection.candidates import Rung
from oof.selection.scores import Blended, Gain


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


@dataclass(frozen=True, eq=False)
class Contest:
    """Candidates as `Rule` numbers them, canaries last: `values` (candidates,) and `drawn` (draws, candidates).

    Both are larger where the metric is better, by `sign`; `functions` give the metric on counted rows.
    """

    candidates: Sequence[Rung]
    values: Array
    drawn: Array
    functions: Sequence[Counted]
    draws: Resamples
    rule: Rule
    sign: int

    def gain(self, new: int, old: int) -> Gain:
        """How much better one candidate is than another."""
        return Gain(float(self.values[new] - self.values[old]), float(self.rule.errors[new, old]))

    def described(self, new: int, old: int | None) -> Rung:
        """A candidate with its interval, its canary and its gain over another."""
        low, high = sorted(self.sign * bound for bound in interval(self.drawn[:, new]))
        rung = replace(self.candidates[new], interval=(low, high))
        if old is not None:
            rung = replace(rung, over=self.candidates[old].name, gain=self.gain(new, old))
        canary = self.rule.canaries.get(new)
        return rung if canary is None else replace(rung, canary=self.gain(canary, new))

    def corrected(self) -> float | None:
        """The score of what is held, and what choices on draws lose to it on the rows left out; None without a choice.

        That is the mean score of the choices on the rows left out, without the noise that these rows bring to both.
        """
        if len(self.candidates) == 1:
            return None
        held, lost = self.rule.path(self.values)[-1], []
        for values, counts in zip(self.drawn, self.draws, strict=True):
            chosen, out = self.rule.path(values)[-1], (counts == 0).astype(np.float64)
            both = (0.0, 0.0) if chosen == held else (self.functions[chosen](out), self.functions[held](out))
            lost += [] if both[0] is None or both[1] is None else [both[0] - both[1]]
        return float(self.sign * self.values[held] + np.mean(lost)) if lost else None


def contest(
    problem: Problem, candidates: Sequence[Rung], rungs: int, canaries: Mapping[int, Blended], draws: Resamples
) -> Contest:
    """Judge `rungs` blends, then the same ones finished if there are more candidates, then canaries by rung."""
    metric, truth = problem.metric, problem.truth
    decided = [rung.crossed.decided for rung in candidates if rung.crossed] + [one.decided for one in canaries.values()]
    functions = [counted(metric, truth, one) for one in decided]
    values = np.array([metric.sign * metric.function(truth, one) for one in decided])
    drawn = metric.sign * draws.values(functions)
    standard_error(drawn[:, 0], metric)  # refuse where hardly a draw can be judged
    errors = np.nanstd(drawn[:, :, None] - drawn[:, None, :], axis=0, ddof=1)
    numbers = {rung: len(candidates) + at for at, rung in enumerate(canaries)}
    barred = frozenset(at for at in range(rungs) if candidates[at].backward)
    rule = Rule(rungs, len(candidates) > rungs, numbers, errors, barred)
    return Contest(candidates, values, drawn, functions, draws, rule, metric.sign)
