"""Select a blend: `auto` leaves the equal mean only for a gain above its standard error; or evaluate one named blend.

Candidates come in order of how much they learn. The last candidate adds a finish (a temperature, the range of the
target, offsets of classes) to the blend that was selected before it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from oof import OOFError
from oof.blends.blend_registry import find_blend
from oof.blends.calibration import has_finish
from oof.blends.limits import Limits, limit_blend
from oof.blends.problem import Problem
from oof.metrics.metric_registry import Metric
from oof.selection.bootstrap import DRAWS, MANY_ROWS, BootstrapDraws
from oof.selection.candidates import Candidate, make_candidates, run_noise_check
from oof.selection.rule import Evaluation, evaluate_candidates
from oof.selection.scores import Gain

METHODS_OF_AUTO = ("mean", "subset_mean", "shrunk", "simplex", "stacker")
# With more predictions no stacker learns from noise, and the check needs a copy of all of them
MOST_NOISE_CHECK_ENTRIES = 2e7
OnMethod = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Selection:
    """All candidates, the selected one, the reason as a sentence, and its score corrected for the selection."""

    candidates: list[Candidate]
    selected: Candidate
    sentence: str
    corrected_score: float | None


def select_blend(
    method: str,
    problem: Problem,
    *,
    finish: bool = True,
    limits: Limits | None = None,
    repeats: int | None = None,
    seed: int = 0,
    on_method: OnMethod = lambda method: None,
) -> Selection:
    """Evaluate the named blend, or with "auto" each of METHODS_OF_AUTO, and select a candidate.

    `finish` allows a finish, `limits` apply to every candidate, `repeats` is the number of bootstrap draws. `on_method`
    is called with the name of each blend before it is fitted, and with "bootstrap". With one fold or one member "auto"
    is the equal mean alone; with one fold there is no cross-fitted score.

    Raises OOFError for a blend that does not fit the task or the metric, and with one fold for any but the mean.
    """
    several_folds = len(problem.folds) > 1
    if method == "auto":
        methods = METHODS_OF_AUTO if several_folds and problem.member_count > 1 else METHODS_OF_AUTO[:1]
    else:
        find_blend(method, problem.task, problem.metric)
        if not several_folds and method != "mean":
            raise OOFError(f"blend {method} cannot be cross-fitted on one fold; with one fold only mean is offered")
        methods = (method,)
    draws = _make_draws(problem, repeats, seed)
    selection = _evaluate_methods(problem, methods, finish, limits, draws, on_method)
    return replace(selection, sentence=_explain_selection(method, problem, selection))


def explain_refusal(candidate: Candidate) -> str | None:
    """Return why a candidate is not to be trusted, or None."""
    if candidate.reverses_members:
        return (
            f"{candidate.method} is refused: it falls by {-(candidate.response or 0):.1f} where every member rises by "
            f"one, so it reads the means of folds off the members instead of learning from them"
        )
    if candidate.noise_check and candidate.noise_check.gain > candidate.noise_check.standard_error:
        return f"{candidate.method} is refused, because it gains from a member of pure noise"
    return None


def _make_draws(problem: Problem, repeats: int | None, seed: int) -> BootstrapDraws:
    """Return a thousand draws, or two hundred where the metric is computed on many predictions."""
    default = DRAWS if problem.P[0].size <= MANY_ROWS else DRAWS // 5
    return BootstrapDraws(len(problem), problem.component, repeats or default, seed)


def _evaluate_methods(
    problem: Problem,
    methods: Sequence[str],
    finish: bool,
    limits: Limits | None,
    draws: BootstrapDraws,
    on_method: OnMethod,
) -> Selection:
    """Fit and score the methods, and apply the rule; the sentence is about the finish alone."""
    several_folds = len(problem.folds) > 1
    thresholds = finish
    finish = finish and several_folds and has_finish(problem.metric, problem.task)
    plain: list[Candidate] = []
    finished: list[Candidate] = []
    noise_checks = {}
    for number, method in enumerate(methods):
        on_method(method)
        rule = find_blend(method, problem.task, problem.metric)
        rule = limit_blend(rule, limits) if limits else rule
        made = make_candidates(method, rule, problem, finish=finish, thresholds=thresholds)
        plain.append(made[0])
        finished += made[1:]
        small = problem.P.size <= MOST_NOISE_CHECK_ENTRIES
        if several_folds and rule.learns and problem.member_count > 1 and small:
            uses_thresholds = made[0].fitted.thresholds[0] is not None
            noise_checks[number] = run_noise_check(rule, problem, thresholds=uses_thresholds)
    if not several_folds:
        return Selection(plain, plain[0], "", None)
    on_method("bootstrap")
    return _apply_rule(evaluate_candidates(problem, plain + finished, len(plain), noise_checks, draws))


def _apply_rule(evaluation: Evaluation) -> Selection:
    rule = evaluation.rule
    path = rule.select_stepwise(evaluation.values)
    before_finish = path[rule.methods - 1]
    shown = [evaluation.describe(0, None)]
    shown += [evaluation.describe(number, path[number - 1]) for number in range(1, rule.methods)]
    if rule.finish:
        shown.append(evaluation.describe(rule.methods + before_finish, before_finish))
    name = evaluation.candidates[path[-1]].name
    selected = next(candidate for candidate in shown if candidate.name == name)
    sentence = _describe_finish(shown[-1], selected) if rule.finish else ""
    return Selection(shown, selected, sentence, evaluation.compute_corrected_score())


def _explain_selection(method: str, problem: Problem, selection: Selection) -> str:
    finish = selection.sentence
    if method != "auto":
        doubt = explain_refusal(selection.selected)
        note = f"; do not trust its score: {doubt.replace('is refused', 'would be refused by auto')}" if doubt else ""
        return f"{method}, as asked: no other blend was tried{finish}{note}"
    if len(problem.folds) == 1:
        return f"equal weights: with one fold nothing can be cross-fitted, so no other blend is offered{finish}"
    if problem.member_count == 1:
        return f"equal weights: there is one member, so there is nothing to weigh{finish}"
    return _explain_gains(selection, problem.metric) + finish


def _explain_gains(selection: Selection, metric: Metric) -> str:
    plain = [candidate for candidate in selection.candidates if not candidate.finished]
    selected = next(candidate for candidate in plain if candidate.method == selection.selected.method)
    refusals = {candidate.method: reason for candidate in plain if (reason := explain_refusal(candidate))}
    note = "".join(f"; {reason}" for reason in refusals.values())
    if selected.gain is not None:
        return (
            f"{selected.method} wins: its cross-fitted gain in {metric.name} over {selected.over}, "
            f"{_format_gain(selected.gain)}, exceeds one standard error{note}"
        )
    gains = {candidate.method: candidate.gain for candidate in plain if candidate.gain}
    tried = ", ".join(f"{name} {_format_gain(gain)}" for name, gain in gains.items() if name not in refusals)
    return f"equal weights win: no cross-fitted gain in {metric.name} exceeds one standard error ({tried}){note}"


def _describe_finish(finished: Candidate, selected: Candidate) -> str:
    assert finished.gain is not None
    finish = finished.fitted.finishes[0] or {}
    if "offsets" in finish:
        name = "offsets of classes"
    elif "temperature" in finish:
        name = f"a temperature of {finish['temperature']:.2f}"
    else:
        name = "the target's range"
    return f"; {name} after it {'gains' if selected is finished else 'does not pay:'} {_format_gain(finished.gain)}"


def _format_gain(gain: Gain) -> str:
    return f"{gain.gain:+.2g} ± {gain.standard_error:.2g}"
