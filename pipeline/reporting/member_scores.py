"""The section on members: scores, costs, weights, what each adds, and the correlations of their errors."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from oof.comparison.comparison_file import AddedValue, ReferenceGain
from oof.comparison.diversity import compute_error_correlations, rank_pairs_by_similarity
from oof.metrics.thresholds import prepare_for_metric
from oof.selection.scores import Score, compute_score
from oof.types import Array
from pipeline.blending.blend_summary import format_correlation
from pipeline.fits.job import Job
from pipeline.reporting.report_inputs import ReportInputs
from pipeline.reporting.svg_figure import (
    COLOURS,
    MARKERS,
    SERIES,
    Figure,
    choose_font_size,
    compute_height,
    draw_figure,
    list_on_axis,
    name_cells,
    replace_missing,
    shade_cell,
    shorten_label,
)

LEGEND_COLUMNS = 4
MOST_NUMBERED = 12  # members up to which cells hold numbers
MOST_MEMBERS = 24  # in a map of correlations
MOST_PAIRS = 100  # in a table of correlations


@dataclass(frozen=True)
class MemberRow:
    """A member in the table; None where a value is unknown, as for a member from a file or without a comparison.

    `seconds` are of training, `predicting` of predicting 1,000 rows.
    """

    name: str
    variant: str | None
    score: Score
    over_best: ReferenceGain | None
    adds: AddedValue | None
    seconds: float | None
    parameters: int | None
    predicting: float | None
    weight: float | None


def compute_member_rows(inputs: ReportInputs) -> list[MemberRow]:
    """Return all members, the best score first."""
    comparison, gathered = inputs.comparison, inputs.gathered
    over_best = {member.name: member.over_best for member in comparison.members} if comparison else {}
    adds = {added.name: added for added in comparison.adds} if comparison else {}
    weights = read_weights(inputs) or {}
    rows = []
    for number, member in enumerate(gathered.members):
        variant = gathered.variants.get(member.name)
        row = MemberRow(
            name=member.name,
            variant=variant,
            score=_score_member(inputs, number),
            over_best=over_best.get(member.name),
            adds=adds.get(member.name),
            seconds=gathered.seconds.get(member.name),
            parameters=_count_parameters([job for job in inputs.jobs if job.variant == variant]),
            predicting=gathered.predicting.get(variant) if variant else None,
            weight=weights.get(member.name),
        )
        rows.append(row)
    return sorted(rows, key=lambda row: -inputs.problem.metric.sign * row.score.pooled)


def read_weights(inputs: ReportInputs) -> dict[str, float] | None:
    """Return the weight of each member in the blend; None without a blend, or without a single weight for each."""
    if inputs.blend is None:
        return None
    weights = inputs.blend.numbers.get("weights")
    if weights is None or np.ndim(weights) != 1:
        return None
    return {name: float(weight) for name, weight in zip(inputs.blend.members, weights, strict=True)}


def compute_correlations(inputs: ReportInputs, ranked: Sequence[MemberRow]) -> tuple[list[str], Array]:
    """Return the best members' names and the correlations (members, members) of their errors."""
    names = [row.name for row in ranked[:MOST_MEMBERS]]
    order = [member.name for member in inputs.gathered.members]
    numbers = [order.index(name) for name in names]
    problem = inputs.problem
    return names, compute_error_correlations(problem.take_predictions()[numbers], problem.truth, problem.task)


def _score_member(inputs: ReportInputs, number: int) -> Score:
    """Return a member's own score; for a label metric by the default decision, which was not fitted on any row."""
    problem = inputs.problem
    decided = prepare_for_metric(problem.metric, problem.task, problem.get_member(number))
    return compute_score(problem.metric, problem.truth, decided, problem.fold)


def _count_parameters(jobs: Sequence[Job]) -> int | None:
    return next((job.marker.provenance.parameters for job in jobs if job.marker is not None), None)


def draw_folds(ranked: Sequence[MemberRow], folds: Sequence[int], metric: str) -> Figure:
    """Draw a dot for each member and fold."""

    def draw(figure: Any) -> None:
        axes = figure.add_subplot()
        for position, fold in enumerate(folds):
            values = [replace_missing(row.score.by_fold[position]) for row in ranked]
            style = {"color": SERIES[position % len(SERIES)], "marker": MARKERS[position % len(MARKERS)]}
            axes.plot(values, range(len(ranked)), linestyle="none", label=f"fold {fold}", alpha=0.9, **style)
        means = [replace_missing(row.score.mean) for row in ranked]
        axes.plot(means, range(len(ranked)), "|", color=COLOURS["ink"], markersize=14, label="mean")
        list_on_axis(axes, [shorten_label(row.name) for row in ranked])
        axes.set_xlabel(metric)
        columns = min(len(folds) + 1, LEGEND_COLUMNS)
        figure.legend(loc="outside upper right", ncols=columns, columnspacing=1.2, handletextpad=0.3)

    header = ["member", *(f"fold {fold}" for fold in folds)]
    rows = [[row.name, *row.score.by_fold] for row in ranked]
    text = (
        "Where one fold stands apart for every member, its rows are harder; where the dots of members cross, their "
        "order depends on the rows."
    )
    if len(folds) == 1:
        text = "One fold does not show how much the order of the members depends on the rows."
    height = compute_height(len(ranked)) + 0.25 * math.ceil((len(folds) + 1) / LEGEND_COLUMNS)
    return draw_figure("folds", "Score by fold", text, draw, height=height, header=header, rows=rows)


def draw_correlations(names: Sequence[str], correlations: Array) -> Figure:
    """Draw a map of the correlations of the members' errors."""
    count = len(names)
    labels = [shorten_label(name, 18) for name in names]
    off_diagonal = correlations[~np.eye(count, dtype=bool)]
    low = float(off_diagonal.min())
    spread = max(float(np.ptp(off_diagonal)), 0.05)

    def draw(figure: Any) -> None:
        axes = figure.add_subplot()
        for row, column in np.argwhere(~np.eye(count, dtype=bool)).tolist():
            value = float(correlations[row, column])
            shade_cell(axes, column, row, 0.1 + 0.9 * (value - low) / spread, COLOURS["one"])
            if count <= MOST_NUMBERED:
                size = choose_font_size(count)
                axes.text(column, row, format_correlation(value), ha="center", va="center", fontsize=size)
        name_cells(axes, labels, labels)

    pairs = [(names[a], names[b], float(correlations[a, b])) for a, b in rank_pairs_by_similarity(correlations)]
    rows = [(first, second, format_correlation(value, 5)) for first, second, value in pairs[:MOST_PAIRS]]
    (first, second, most), (third, fourth, least) = pairs[0], pairs[-1]
    text = (
        f"Errors of {first} and {second} correlate most ({format_correlation(most)}), those of {third} and {fourth} "
        f"least ({format_correlation(least)}); the darker, the more. "
    )
    if count == 2:
        text = f"Errors of {first} and {second} correlate by {format_correlation(most)}. "
    text += "A blend gains most from members whose errors are not correlated."
    header = ["member", "and member", "correlation of errors"]
    height = min(0.3 * count + 1.1, 7.5)
    return draw_figure("correlations", "Correlations of errors", text, draw, height=height, header=header, rows=rows)
