"""`auto`: climb from the equal mean while it pays; `single`: one blend that the user asked for.

Rungs come in order of what they learn. A finish (a temperature, the target's range) is a last rung on top of the one
held. Equal weights win often; then it says so.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from oof import OOFError
from oof.blends.blend_registry import blend
from oof.blends.calibration import finishes
from oof.blends.limits import Limits, limited
from oof.blends.problem import Problem
from oof.metrics.metric_registry import Metric
from oof.selection.bootstrap import MANY_ROWS, REPEATS, Resamples
from oof.selection.candidates import Rung, try_blend, try_canary
from oof.selection.rule import Contest, contest
from oof.selection.scores import Gain

RUNGS = ("mean", "subset_mean", "shrunk", "simplex", "stacker")
CANARY_ENTRIES = 2e7  # so many predictions teach no stacker to love noise, and the canary needs a copy of them
OnRung = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Climb:
    """All rungs, the one held at the end, the sentence that says why, and its score corrected for the choice."""

    rungs: list[Rung]
    held: Rung
    sentence: str
    corrected: float | None


def auto(
    problem: Problem,
    *,
    finish: bool = True,
    limits: Limits | None = None,
    repeats: int | None = None,
    seed: int = 0,
    on_rung: OnRung = lambda method: None,
) -> Climb:
    """Climb the ladder; `finish` allows a finish on top, `limits` holds every rung, `repeats` are bootstrap draws.

    `on_rung` is told each blend's name before it is tried, since on many rows a rung takes a while. With one fold only
    the equal mean is offered, without a cross-fitted score; with one member there is nothing to climb.
    """
    methods = RUNGS if len(problem.folds) > 1 and problem.members > 1 else RUNGS[:1]
    climb = _climb(problem, methods, finish, limits, _draws(problem, repeats, seed), on_rung)
    if len(problem.folds) == 1:
        sentence = "equal weights: with one fold nothing can be cross-fitted, so no other blend is offered"
    elif problem.members == 1:
        sentence = "equal weights: there is one member, so there is nothing to weigh"
    else:
        sentence = _why(climb, problem.metric)
    return replace(climb, sentence=sentence + climb.sentence)


def single(
    method: str,
    problem: Problem,
    *,
    finish: bool = True,
    limits: Limits | None = None,
    repeats: int | None = None,
    seed: int = 0,
    on_rung: OnRung = lambda method: None,
) -> Climb:
    """One named blend as a ladder of one rung, scored like any other and compared with none but its own finish.

    Raises OOFError for a blend that does not fit the task or the metric, and with one fold for any but the mean.
    """
    blend(method, problem.task, problem.metric)
    if len(problem.folds) == 1 and method != "mean":
        raise OOFError(f"blend {method} cannot be cross-fitted on one fold; with one fold only mean is offered")
    climb = _climb(problem, [method], finish, limits, _draws(problem, repeats, seed), on_rung)
    doubt = refusal(climb.held)
    note = f"; do not trust its score: {doubt.replace('is refused', 'would be refused by auto')}" if doubt else ""
    return replace(climb, sentence=f"{method}, as asked: no other blend was tried{climb.sentence}{note}")


def _draws(problem: Problem, repeats: int | None, seed: int) -> Resamples:
    """A thousand draws, two hundred where each has many predictions to judge."""
    usual = REPEATS if problem.P[0].size <= MANY_ROWS else REPEATS // 5
    return Resamples(len(problem), problem.component, repeats or usual, seed)


def _climb(
    problem: Problem,
    methods: Sequence[str],
    finish: bool,
    limits: Limits | None,
    draws: Resamples,
    on_rung: OnRung,
) -> Climb:
    """Try the methods, hold one by the rule, and judge the rule itself; the sentence is about the finish alone."""
    crossing, cut = len(problem.folds) > 1, finish
    finish = finish and finishes(problem.metric, problem.task)
    tried, canaries = [], {}
    for at, method in enumerate(methods):
        on_rung(method)
        rule = blend(method, problem.task, problem.metric)
        rule = limited(rule, limits) if limits else rule
        tried.append(try_blend(method, rule, problem, finish=finish and crossing, thresholds=cut))
        if crossing and rule.learns and problem.members > 1 and problem.P.size <= CANARY_ENTRIES:
            cuts = tried[-1][0].fitted.thresholds[0] is not None
            canaries[at] = try_canary(rule, problem, thresholds=cuts)
    rungs = [one[0] for one in tried]
    if not crossing:
        return Climb(rungs, rungs[0], "", None)
    on_rung("bootstrap")
    everything = rungs + [one[1] for one in tried if finish]
    return _held(contest(problem, everything, len(rungs), canaries, draws))


def _held(contest: Contest) -> Climb:
    path = contest.rule.path(contest.values)
    shown = [contest.described(at, path[at - 1] if at else None) for at in range(contest.rule.rungs)]
    if contest.rule.finish:
        top = contest.rule.rungs + path[contest.rule.rungs - 1]
        shown.append(contest.described(top, path[contest.rule.rungs - 1]))
    name = contest.candidates[path[-1]].name
    held = next(rung for rung in shown if rung.name == name)
    return Climb(shown, held, _finish_sentence(shown[-1], held) if contest.rule.finish else "", contest.corrected())


def _why(climb: Climb, metric: Metric) -> str:
    held = next(rung for rung in climb.rungs if rung.method == climb.held.method)
    refused = {rung.method: reason for rung in climb.rungs if not rung.finished and (reason := refusal(rung))}
    note = "".join(f"; {reason}" for reason in refused.values())
    if held.gain is not None:
        return (
            f"{held.method} wins: its cross-fitted gain in {metric.name} over {held.over}, {_said(held.gain)}, "
            f"exceeds one standard error{note}"
        )
    left = [rung for rung in climb.rungs if rung.gain and not rung.finished and rung.method not in refused]
    tried = ", ".join(f"{rung.method} {_said(rung.gain)}" for rung in left if rung.gain)
    return f"equal weights win: no cross-fitted gain in {metric.name} exceeds one standard error ({tried}){note}"


def refusal(rung: Rung) -> str | None:
    """Why a rung is not to be trusted, or None."""
    if rung.backward:
        return (
            f"{rung.method} is refused: it falls by {-(rung.response or 0):.1f} where every member rises by one, so it "
            f"reads the means of folds off the members instead of learning from them"
        )
    if rung.canary and rung.canary.gain > rung.canary.standard_error:
        return f"{rung.method} is refused, because it gains from a member of pure noise"
    return None


def _finish_sentence(top: Rung, held: Rung) -> str:
    assert top.gain is not None
    finish = top.fitted.finishes[0] or {}
    what = f"a temperature of {finish['temperature']:.2f}" if "temperature" in finish else "the target's range"
    what = "offsets of classes" if "offsets" in finish else what
    return f"; {what} after it {'gains' if held is top else 'does not pay:'} {_said(top.gain)}"


def _said(gain: Gain) -> str:
    return f"{gain.gain:+.2g} ± {gain.standard_error:.2g}"
