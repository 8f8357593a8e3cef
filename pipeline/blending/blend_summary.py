"""What the verb `blend` prints: members and candidates in tables, caveats, and the selection in a sentence."""

import math
from collections.abc import Sequence

import numpy as np

from oof.blends.limits import get_used_members
from oof.blends.problem import Problem
from oof.comparison.diversity import compute_error_correlations
from oof.members.member import Member
from oof.metrics.functions import iterate_columns
from oof.metrics.metric_registry import Metric
from oof.metrics.thresholds import prepare_for_metric
from oof.metrics.weighted_metrics import choose_steady_columns
from oof.selection.auto import Selection
from oof.selection.bootstrap import BootstrapDraws
from oof.selection.candidates import Candidate
from oof.selection.scores import Score, compute_paired_gain, compute_score
from oof.types import Decided
from pipeline.blending.run_members import RunMembers
from pipeline.display import format_duration, format_score, format_table

SUMMARY_DRAWS = 200
FEW_ROWS = 3000  # or groups; below, docs/honesty.md found that intervals are too narrow


def describe_blend(selection: Selection, gathered: RunMembers, problem: Problem, kind: str) -> str:
    """Return what the verb prints; `kind` is that of the folds."""
    alone = [_score_member(problem, number) for number in range(problem.member_count)]
    lines = [
        _format_members(gathered, problem, alone),
        "",
        _format_candidates(selection, problem.metric),
        *_list_caveats(selection, problem, kind),
        "",
        selection.sentence,
        *_compare_with_best_member(selection, gathered, problem, alone),
    ]
    if selection.corrected_score is not None:
        score = format_score(selection.corrected_score)
        lines.append(f"corrected for the choice among these blends (BBC-CV): {score}")
    return "\n".join([*lines, _format_weights(selection.selected, gathered.members)])


def format_correlation(value: float, digits: int = 2) -> str:
    """Return a correlation as text; one below 1 is never rounded to 1, but truncated after one more digit."""
    if round(abs(value), digits) < 1 or abs(value) > 1 - 1e-9:
        return f"{value:.{digits}f}"
    scale = 10 ** (digits + 1)
    return f"{math.trunc(scale * value) / scale:.{digits + 1}f}"


def _format_members(gathered: RunMembers, problem: Problem, alone: Sequence[Score]) -> str:
    correlations = compute_error_correlations(problem.P, problem.truth, problem.task)
    header = ["member", f"OOF {problem.metric.name}", "folds: mean +- deviation", "error correlation", "training"]
    rows = []
    for number, (member, score) in enumerate(zip(gathered.members, alone, strict=True)):
        others = np.delete(correlations[number], number)
        correlation = format_correlation(float(others.mean())) if len(others) else "-"
        seconds = gathered.seconds.get(member.name)
        training = format_duration(seconds) if seconds is not None else "-"
        rows.append([member.name, format_score(score.pooled), _format_spread(score), correlation, training])
    return format_table(header, rows)


def _score_member(problem: Problem, number: int) -> Score:
    """Return a member's own score; for a label metric by the default decision, which was not fitted on any row."""
    return compute_score(problem.metric, problem.truth, _decide_member(problem, number), problem.fold)


def _decide_member(problem: Problem, number: int) -> Decided:
    return prepare_for_metric(problem.metric, problem.task, problem.get_member(number))


def _format_candidates(selection: Selection, metric: Metric) -> str:
    header = ["blend", f"in-sample {metric.name}", "cross-fitted", "95 % interval", "paired cross-fitted gain"]
    rows = []
    for candidate in selection.candidates:
        mark = " *" if candidate is selection.selected else ""
        crossed = format_score(candidate.cross_fitted.pooled) if candidate.cross_fitted else "-"
        interval = " to ".join(map(format_score, candidate.interval)) if candidate.interval else "-"
        gain = "-"
        if candidate.gain:
            gain = f"{candidate.gain.gain:+.5f} +- {candidate.gain.standard_error:.5f} over {candidate.over}"
        rows.append([candidate.name + mark, format_score(candidate.in_sample.pooled), crossed, interval, gain])
    return format_table(header, rows)


def _compare_with_best_member(
    selection: Selection, gathered: RunMembers, problem: Problem, alone: Sequence[Score]
) -> list[str]:
    """Return the paired gain of the blend over the best member alone, as a line; none for a single member or fold."""
    blended = selection.selected.out_of_fold
    if problem.member_count == 1 or blended is None:
        return []
    metric = problem.metric
    best = int(np.argmax([metric.sign * score.pooled for score in alone]))
    draws = BootstrapDraws(len(problem), problem.component, SUMMARY_DRAWS)
    gain = compute_paired_gain(metric, problem.truth, blended.decided, _decide_member(problem, best), draws)
    name = gathered.members[best].name
    return [f"over the best member alone, {name}: {gain.gain:+.5f} +- {gain.standard_error:.5f} cross-fitted"]


def _list_caveats(selection: Selection, problem: Problem, kind: str) -> list[str]:
    """Return what the table does not show; the figures are those of docs/honesty.md."""
    lines = []
    selected, metric = selection.selected, problem.metric
    if selected.fitted.thresholds[0] is not None:
        lines.append(f"{selected.name} decides by thresholds fitted beside its weights, members by default ones")
    undefined = selected.cross_fitted.by_fold.count(None) if selected.cross_fitted else 0
    if undefined:
        lines.append(f"{metric.name} is undefined in {undefined} folds, which means over folds leave out")
    lines += _describe_rare_columns(selection, problem)
    groups = len(problem) if problem.component is None else len(np.unique(problem.component))
    if selected.interval and groups < FEW_ROWS:
        lines.append(
            "95 % intervals cover about 90 % on so few rows, and chosen weights are slightly optimistic even "
            "cross-fitted: docs/honesty.md"
        )
    if "stratified" in kind and metric.name == "log_loss" and len(problem) < FEW_ROWS:
        amount = format_score(1 / len(problem))
        lines.append(f"stratified folds make every log loss here too low by about 1/rows, {amount}")
    return lines


def _describe_rare_columns(selection: Selection, problem: Problem) -> list[str]:
    """Return a sentence if the intervals are of fewer labels or classes than the score."""
    if not selection.selected.interval or problem.metric.name not in ("roc_auc", "average_precision"):
        return []
    hits = [hit for hit, _ in iterate_columns(problem.truth, problem.P[0])]
    steady = choose_steady_columns(hits)
    rare = [number for number, (hit, kept) in enumerate(zip(hits, steady, strict=True)) if hit.any() and not kept]
    return [f"95 % intervals are of all but {len(rare)} rare labels, which many draws lack"] if rare else []


def _format_weights(candidate: Candidate, members: Sequence[Member]) -> str:
    used, numbers = get_used_members(candidate.fitted.numbers[0], len(members))
    names, weights = [members[number].name for number in used], numbers.get("weights")
    if weights is None or np.ndim(weights) != 1:
        return f"blend {candidate.method} of {', '.join(names)}"
    pairs = zip(names, weights, strict=True)
    return "weights: " + ", ".join(f"{name} {weight:.3f}" for name, weight in pairs if weight > 0)


def _format_spread(score: Score) -> str:
    if score.mean is None or score.deviation is None:
        return "-"
    return f"{format_score(score.mean)} +- {format_score(score.deviation)}"
