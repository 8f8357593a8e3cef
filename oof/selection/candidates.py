"""Candidates of the selection: a blend fitted on all rows and cross-fitted, without and with a finish; the noise check.

The noise check adds a member of pure noise: a blend that seems to gain from it learns from noise, so its other gains
are not to be trusted either.
"""

from dataclasses import dataclass, replace

import numpy as np

from oof.blends.blend_registry import Blend
from oof.blends.problem import Problem
from oof.selection.bootstrap import BootstrapDraws
from oof.selection.scores import (
    BlendedPredictions,
    BlendFit,
    Gain,
    Score,
    combine_fits,
    compute_paired_gain,
    compute_score,
    fit_all,
    fit_folds,
)

THRESHOLD_DRAWS = 200
LOWEST_RESPONSE = -0.5  # chosen on 2,000 draws of benchmarks/simulation.py, confirmed on 500 others


@dataclass(frozen=True, eq=False)
class Candidate:
    """A blend with its scores: in-sample and, with several folds, cross-fitted with a 95 % interval.

    `finished`: with a finish after it. `fitted` are predictions of the fit on all rows, `out_of_fold` those of
    cross-fitting. `gain` is over the candidate selected before it, named by `over`. `noise_check` is the gain that a
    member of pure noise seems to bring, for blends that could learn from one. `response` is how much predictions rise
    where every member rises by one, the mean over folds, for blends in which they could fall.
    """

    method: str
    finished: bool
    fitted: BlendedPredictions
    in_sample: Score
    out_of_fold: BlendedPredictions | None = None
    cross_fitted: Score | None = None
    interval: tuple[float, float] | None = None
    over: str | None = None
    gain: Gain | None = None
    noise_check: Gain | None = None
    response: float | None = None

    @property
    def reverses_members(self) -> bool:
        """True if predictions fall where members rise: then it reads the means of folds (`docs/honesty.md`)."""
        return self.response is not None and self.response < LOWEST_RESPONSE

    @property
    def name(self) -> str:
        """Method and finish in words."""
        return f"{self.method}, finished" if self.finished else self.method


def make_candidates(
    method: str, rule: Blend, problem: Problem, *, finish: bool, thresholds: bool = True
) -> list[Candidate]:
    """Return the candidate of a blend and, with `finish`, that of the blend and its finish; weights are fitted once.

    With `thresholds`, labels are decided by fitted thresholds if their cross-fitted gain exceeds one standard error.
    """
    whole = fit_all(rule, problem)
    parts = fit_folds(rule, problem) if len(problem.folds) > 1 else None
    response = None
    if rule.response and parts:
        response = float(np.mean([rule.response(part.numbers, problem.member_count) for part in parts]))
    thresholds = bool(thresholds and parts and _test_thresholds(problem, parts))
    variants = [False, True] if finish else [False]
    candidates = [_make_candidate(method, problem, whole, parts, finished, thresholds) for finished in variants]
    return [replace(candidate, response=response) for candidate in candidates]


def run_noise_check(rule: Blend, problem: Problem, seed: int = 0, *, thresholds: bool = True) -> BlendedPredictions:
    """Cross-fit the blend with an additional member of pure noise: the first member's predictions in shuffled rows.

    `thresholds` must be as in the candidate that this is compared with.
    """
    order = np.random.default_rng(seed).permutation(len(problem))
    P = problem.take_predictions()
    noisy = replace(problem, P=np.concatenate([P, P[:1, order]]), positions=None, cache={})
    return combine_fits(noisy, fit_folds(rule, noisy), finish=False, thresholds=thresholds)


def _test_thresholds(problem: Problem, parts: list[BlendFit]) -> bool:
    """Return True if fitted thresholds gain more than one standard error over the default decision."""
    if problem.metric.needs != "labels":
        return False
    default = combine_fits(problem, parts, finish=False, thresholds=False)
    fitted = combine_fits(problem, parts, finish=False, thresholds=True)
    draws = BootstrapDraws(len(problem), problem.component, THRESHOLD_DRAWS)
    gain = compute_paired_gain(problem.metric, problem.truth, fitted.decided, default.decided, draws)
    return gain.gain > gain.standard_error


def _make_candidate(
    method: str, problem: Problem, whole: list[BlendFit], parts: list[BlendFit] | None, finished: bool, thresholds: bool
) -> Candidate:
    fitted = combine_fits(problem, whole, finish=finished, thresholds=thresholds)
    crossed = combine_fits(problem, parts, finish=finished, thresholds=thresholds) if parts else None
    metric, truth, fold = problem.metric, problem.truth, problem.fold
    return Candidate(
        method=method,
        finished=finished,
        fitted=fitted,
        in_sample=compute_score(metric, truth, fitted.decided, fold),
        out_of_fold=crossed,
        cross_fitted=compute_score(metric, truth, crossed.decided, fold) if crossed else None,
    )
