"""One blend that is tried: fitted on all rows, cross-fitted, with and without a finish, and beside a canary."""

from dataclasses import dataclass, replace

import numpy as np

from oof.blends.blend_registry import Blend
from oof.blends.problem import Problem
from oof.selection.bootstrap import Resamples
from oof.selection.scores import Blended, Fitted, Gain, Score, blended, fit_all, fit_folds, paired_gain, score

DRAWS = 200
BACKWARD = -0.5  # chosen on 2,000 draws of benchmarks/simulation.py, upheld on 500 others


@dataclass(frozen=True, eq=False)
class Rung:
    """A blend, scored in-sample and, where there are folds, cross-fitted with a 95 % interval.

    `finished`: with a temperature or the target's range after it. `gain` is over the rung held at that moment, named
    by `over`. `canary` is what a member of pure noise seemed to add, for blends that could learn from one. `response`
    is by how much predictions rise where every member rises by one, the mean over folds, for blends that could fall.
    """

    method: str
    finished: bool
    fitted: Blended
    in_sample: Score
    crossed: Blended | None = None
    cross_fitted: Score | None = None
    interval: tuple[float, float] | None = None
    over: str | None = None
    gain: Gain | None = None
    canary: Gain | None = None
    response: float | None = None

    @property
    def backward(self) -> bool:
        """Whether it turns the members around: then it reads the means of folds off them (`docs/honesty.md`)."""
        return self.response is not None and self.response < BACKWARD

    @property
    def name(self) -> str:
        """Method and finish in words."""
        return f"{self.method}, finished" if self.finished else self.method


def try_blend(method: str, rule: Blend, problem: Problem, *, finish: bool, thresholds: bool = True) -> list[Rung]:
    """The rung of a blend and, with `finish`, that of the blend and its finish; weights are fitted once for both.

    With `thresholds`, labels are decided by fitted ones where their cross-fitted gain exceeds one standard error.
    """
    crossing = len(problem.folds) > 1
    whole, parts = fit_all(rule, problem), fit_folds(rule, problem) if crossing else None
    response = None
    if rule.response and parts:
        response = float(np.mean([rule.response(part.numbers, problem.members) for part in parts]))
    cut = bool(thresholds and parts and _thresholds_pay(problem, parts))
    rungs = [_rung(method, problem, whole, parts, finished, cut) for finished in ([False, True] if finish else [False])]
    return [replace(rung, response=response) for rung in rungs]


def try_canary(rule: Blend, problem: Problem, seed: int = 0, *, thresholds: bool = True) -> Blended:
    """The blend cross-fitted with one member more, pure noise: the first one's predictions dealt to other rows.

    `thresholds` as the rung has it that this is compared with.
    """
    dealt, P = np.random.default_rng(seed).permutation(len(problem)), problem.take_all()
    noisy = replace(problem, P=np.concatenate([P, P[:1, dealt]]), at=None, memory={})
    return blended(noisy, fit_folds(rule, noisy), finish=False, thresholds=thresholds)


def _thresholds_pay(problem: Problem, parts: list[Fitted]) -> bool:
    if problem.metric.needs != "labels":
        return False
    plain, fitted = (blended(problem, parts, finish=False, thresholds=cut).decided for cut in (False, True))
    draws = Resamples(len(problem), problem.component, DRAWS)
    found = paired_gain(problem.metric, problem.truth, fitted, plain, draws)
    return found.gain > found.standard_error


def _rung(
    method: str, problem: Problem, whole: list[Fitted], parts: list[Fitted] | None, finished: bool, cut: bool
) -> Rung:
    fitted = blended(problem, whole, finish=finished, thresholds=cut)
    crossed = blended(problem, parts, finish=finished, thresholds=cut) if parts else None
    metric, truth, fold = problem.metric, problem.truth, problem.fold
    return Rung(
        method=method,
        finished=finished,
        fitted=fitted,
        in_sample=score(metric, truth, fitted.decided, fold),
        crossed=crossed,
        cross_fitted=score(metric, truth, crossed.decided, fold) if crossed else None,
    )
