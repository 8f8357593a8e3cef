"""A blend in tables and sentences: members, rungs, and what the tables do not show."""

import math
from collections.abc import Sequence

import numpy as np

from oof.blends.limits import used
from oof.blends.problem import Problem
from oof.comparison.diversity import error_correlations
from oof.members.member import Member
from oof.metrics.metric_registry import Metric
from oof.metrics.thresholds import judged
from oof.selection.auto import Climb
from oof.selection.bootstrap import Resamples
from oof.selection.candidates import Rung
from oof.selection.scores import Decided, Score, paired_gain, score
from pipeline.blending.run_members import Gathered
from pipeline.display import duration, number, table

DRAWS = 200
FEW = 3000  # rows, or groups, below which docs/honesty.md found intervals too short


def describe(climb: Climb, gathered: Gathered, problem: Problem, kind: str) -> str:
    """What `blend` prints; `kind` is that of the folds."""
    alone = [_member_score(problem, at) for at in range(problem.members)]
    tables = [
        _member_table(gathered, problem, alone),
        "",
        _rung_table(climb, problem.metric),
        *_caveats(climb, problem, kind),
    ]
    verdict = ["", climb.sentence, *_over_the_best(climb, gathered, problem, alone)]
    if climb.corrected is not None:
        verdict.append(f"corrected for the choice among these blends (BBC-CV): {number(climb.corrected)}")
    return "\n".join([*tables, *verdict, _weights_line(climb.held, gathered.members)])


def _member_table(gathered: Gathered, problem: Problem, alone: Sequence[Score]) -> str:
    metric, rows = problem.metric, []
    alike = error_correlations(problem.P, problem.truth, problem.task)
    for at, (member, own) in enumerate(zip(gathered.members, alone, strict=True)):
        seconds = gathered.seconds.get(member.name)
        others = np.delete(alike[at], at)
        shared = correlation(float(others.mean())) if len(others) else "-"
        spent = duration(seconds) if seconds is not None else "-"
        rows.append([member.name, number(own.pooled), _spread(own), shared, spent])
    return table(["member", f"OOF {metric.name}", "folds: mean +- deviation", "error correlation", "training"], rows)


def _member_score(problem: Problem, at: int) -> Score:
    """A member's own score; a label metric takes the default decision, which no row has chosen."""
    return score(problem.metric, problem.truth, _decided(problem, at), problem.fold)


def _decided(problem: Problem, at: int) -> Decided:
    return judged(problem.metric, problem.task, problem.member(at))


def _rung_table(climb: Climb, metric: Metric) -> str:
    rows = []
    for rung in climb.rungs:
        gain = f"{rung.gain.gain:+.5f} +- {rung.gain.standard_error:.5f} over {rung.over}" if rung.gain else "-"
        mark = " *" if rung is climb.held else ""
        crossed = number(rung.cross_fitted.pooled) if rung.cross_fitted else "-"
        between = " to ".join(map(number, rung.interval)) if rung.interval else "-"
        rows.append([rung.name + mark, number(rung.in_sample.pooled), crossed, between, gain])
    header = ["blend", f"in-sample {metric.name}", "cross-fitted", "95 % interval", "paired cross-fitted gain"]
    return table(header, rows)


def _over_the_best(climb: Climb, gathered: Gathered, problem: Problem, alone: Sequence[Score]) -> list[str]:
    """The first thing to ask of a blend: is it better than the best member alone?"""
    if problem.members == 1 or climb.held.crossed is None:
        return []
    metric = problem.metric
    best = int(np.argmax([metric.sign * own.pooled for own in alone]))
    draws = Resamples(len(problem), problem.component, DRAWS)
    found = paired_gain(metric, problem.truth, climb.held.crossed.decided, _decided(problem, best), draws)
    name = gathered.members[best].name
    return [f"over the best member alone, {name}: {found.gain:+.5f} +- {found.standard_error:.5f} cross-fitted"]


def _caveats(climb: Climb, problem: Problem, kind: str) -> list[str]:
    """What the table does not show; the figures are those of docs/honesty.md."""
    lines = []
    if climb.held.fitted.thresholds[0] is not None:
        lines.append(f"{climb.held.name} decides by thresholds fitted beside its weights, members by default ones")
    undefined = climb.held.cross_fitted.by_fold.count(None) if climb.held.cross_fitted else 0
    if undefined:
        lines.append(f"{problem.metric.name} is undefined in {undefined} folds, which means over folds leave out")
    groups = len(problem) if problem.component is None else len(np.unique(problem.component))
    if climb.held.interval and groups < FEW:
        lines.append(
            "on so few rows a 95 % interval holds the truth about 9 times in 10, and chosen weights flatter a little "
            "even cross-fitted: docs/honesty.md"
        )
    if "stratified" in kind and problem.metric.name == "log_loss" and len(problem) < FEW:
        lines.append(f"stratified folds flatter every log loss here by about 1/rows, {number(1 / len(problem))}")
    return lines


def _weights_line(rung: Rung, members: Sequence[Member]) -> str:
    chosen, numbers = used(rung.fitted.numbers[0], len(members))
    names, weights = [members[at].name for at in chosen], numbers.get("weights")
    if weights is None or np.ndim(weights) != 1:
        return f"blend {rung.method} of {', '.join(names)}"
    return "weights: " + ", ".join(f"{name} {one:.3f}" for name, one in zip(names, weights, strict=True) if one > 0)


def _spread(value: Score) -> str:
    if value.mean is None or value.deviation is None:
        return "-"
    return f"{number(value.mean)} +- {number(value.deviation)}"


def correlation(value: float, digits: int = 2) -> str:
    """A correlation; one below 1 never reads 1, but gets another digit and is cut off there."""
    if round(abs(value), digits) < 1 or abs(value) > 1 - 1e-9:
        return f"{value:.{digits}f}"
    scale = 10 ** (digits + 1)
    return f"{math.trunc(scale * value) / scale:.{digits + 1}f}"
