"""The selection rule of `auto`, as a function of scores so that it can be repeated on every bootstrap draw.

All candidates are evaluated on the same rows and the same draws. Selecting the best of several scores is optimistic. So
the rule is repeated on every draw, and what it selects there is scored on the rows that the draw left out (BBC-CV;
Tsamardinos, Greasidou and Borboudakis 2018), with the standard errors of the whole sample. That corrects for the
selection among these candidates, not for anything that was discarded before.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from oof.blends.problem import Problem
from oof.metrics.weighted_metrics import WeightedMetric, weight_metric
from oof.selection.bootstrap import BootstrapDraws, compute_interval, compute_standard_error
from oof.selection.candidates import Candidate
from oof.selection.scores import BlendedPredictions, Gain
from oof.types import Array


@dataclass(frozen=True)
class SelectionRule:
    """Select a later candidate only if its gain exceeds one standard error, and not if it gains from noise.

    Candidates are numbered: `methods` blends, then with `finish` the same blends finished, then the noise checks.
    `noise_checks` gives the number of a blend's noise check. `errors` (candidates, candidates) are standard errors of
    differences; `excluded` are blends that are never selected.
    """

    methods: int
    finish: bool
    noise_checks: Mapping[int, int]
    errors: Array
    excluded: frozenset[int] = frozenset()

    def is_gain(self, values: Array, new: int, old: int) -> bool:
        """Return True if a candidate is better than another by more than one standard error; larger is better."""
        return bool(values[new] - values[old] > self.errors[new, old])

    def is_excluded(self, values: Array, candidate: int) -> bool:
        """Return True if a candidate is excluded, or gains from noise."""
        check = self.noise_checks.get(candidate)
        return candidate in self.excluded or (check is not None and self.is_gain(values, check, candidate))

    def select_stepwise(self, values: Array) -> list[int]:
        """Return the candidate that is selected after each blend and, with `finish`, after the finish."""
        selected = [0]
        for new in range(1, self.methods):
            better = self.is_gain(values, new, selected[-1]) and not self.is_excluded(values, new)
            selected.append(new if better else selected[-1])
        if self.finish:
            finished = self.methods + selected[-1]
            selected.append(finished if self.is_gain(values, finished, selected[-1]) else selected[-1])
        return selected


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Scores of candidates, numbered as in `SelectionRule`: `values` (candidates,) and `drawn` (draws, candidates).

    Both are multiplied by `sign`, so larger is better. `functions` give the metric on counted rows.
    """

    candidates: Sequence[Candidate]
    values: Array
    drawn: Array
    functions: Sequence[WeightedMetric]
    draws: BootstrapDraws
    rule: SelectionRule
    sign: int

    def compute_gain(self, new: int, old: int) -> Gain:
        """Return how much better one candidate is than another."""
        return Gain(float(self.values[new] - self.values[old]), float(self.rule.errors[new, old]))

    def describe(self, number: int, over: int | None) -> Candidate:
        """Return a candidate with its interval, its noise check and its gain over another candidate."""
        low, high = sorted(self.sign * bound for bound in compute_interval(self.drawn[:, number]))
        candidate = replace(self.candidates[number], interval=(low, high))
        if over is not None:
            candidate = replace(candidate, over=self.candidates[over].name, gain=self.compute_gain(number, over))
        check = self.rule.noise_checks.get(number)
        return candidate if check is None else replace(candidate, noise_check=self.compute_gain(check, number))

    def compute_corrected_score(self) -> float | None:
        """Return the score of the selected candidate, corrected for the selection; None with one candidate.

        The correction is the mean difference, on the rows that a draw left out, between what the rule selects on the
        draw and the selected candidate. Taking the difference removes the noise that these rows bring to both.
        """
        if len(self.candidates) == 1:
            return None
        selected = self.rule.select_stepwise(self.values)[-1]
        differences = []
        for values, counts in zip(self.drawn, self.draws, strict=True):
            choice = self.rule.select_stepwise(values)[-1]
            difference = 0.0 if choice == selected else self._compare_left_out(choice, selected, counts)
            if difference is not None:
                differences.append(difference)
        return float(self.sign * self.values[selected] + np.mean(differences)) if differences else None

    def _compare_left_out(self, choice: int, selected: int, counts: Array) -> float | None:
        """Return the difference of two candidates' metrics on rows that count zero times; None if undefined."""
        left_out = (counts == 0).astype(np.float64)
        score, reference = self.functions[choice](left_out), self.functions[selected](left_out)
        return None if score is None or reference is None else score - reference


def evaluate_candidates(
    problem: Problem,
    candidates: Sequence[Candidate],
    methods: int,
    noise_checks: Mapping[int, BlendedPredictions],
    draws: BootstrapDraws,
) -> Evaluation:
    """Score `methods` blends, then the same blends finished if there are more candidates, then noise checks by blend.

    Raises OOFError if the metric is undefined on almost every draw.
    """
    metric, truth = problem.metric, problem.truth
    decided = [candidate.out_of_fold.decided for candidate in candidates if candidate.out_of_fold]
    decided += [check.decided for check in noise_checks.values()]
    functions = [weight_metric(metric, truth, predictions, same_columns=True) for predictions in decided]
    values = np.array([metric.sign * metric.function(truth, predictions) for predictions in decided])
    drawn = metric.sign * draws.evaluate(functions)
    compute_standard_error(drawn[:, 0], metric)  # raises where hardly any draw can be scored
    errors = np.nanstd(drawn[:, :, None] - drawn[:, None, :], axis=0, ddof=1)
    numbers = {method: len(candidates) + position for position, method in enumerate(noise_checks)}
    excluded = frozenset(number for number in range(methods) if candidates[number].reverses_members)
    rule = SelectionRule(methods, len(candidates) > methods, numbers, errors, excluded)
    return Evaluation(candidates, values, drawn, functions, draws, rule, metric.sign)
