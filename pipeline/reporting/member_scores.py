"""Members as a report shows them: scores, costs, what each adds and what it weighs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from oof.comparison.diversity import by_likeness, error_correlations
from oof.metrics.functions import Array
from oof.metrics.thresholds import judged
from oof.selection.scores import Score, score
from pipeline.blending.blend_summary import correlation
from pipeline.fits.job import Job
from pipeline.reporting.sources import Sources
from pipeline.reporting.svg_figure import (
    COLOURS,
    MARKERS,
    SERIES,
    Picture,
    figure_height,
    label,
    letter_size,
    listed,
    name_cells,
    picture,
    plain_score,
    shade_cell,
)

BESIDE = 4  # entries of a legend on one line
NUMBERED = 12  # members up to which cells hold numbers

MOST = 24  # members in a map of correlations


@dataclass(frozen=True)
class Standing:
    """A member; None where nobody knows, as of a teammate's file, or of a comparison that was not made.

    `over_best` and `adds` have the keys gain and interval, and are positive where the member is good.
    """

    name: str
    variant: str | None
    score: Score
    over_best: dict[str, Any] | None
    adds: dict[str, Any] | None
    seconds: float | None
    parameters: int | None
    predicting: float | None
    weight: float | None


def standings(sources: Sources) -> list[Standing]:
    """All members, the best score first."""
    compared, adds = _compared(sources, "members"), _compared(sources, "adds")
    weighed, gathered = weights(sources) or {}, sources.gathered
    found = [
        Standing(
            name=member.name,
            variant=(variant := gathered.variants.get(member.name)),
            score=_score(sources, at),
            over_best=compared.get(member.name, {}).get("over_best"),
            adds=adds.get(member.name),
            seconds=gathered.seconds.get(member.name),
            parameters=_parameters([job for job in sources.jobs if job.variant == variant]),
            predicting=gathered.predicting.get(variant) if variant else None,
            weight=weighed.get(member.name),
        )
        for at, member in enumerate(gathered.members)
    ]
    return sorted(found, key=lambda one: -sources.problem.metric.sign * one.score.pooled)


def weights(sources: Sources) -> dict[str, float] | None:
    """The weight of each member in the blend; None where there is no blend, or one without a weight for each."""
    if sources.blend is None:
        return None
    found = sources.blend["numbers"].get("weights")
    if found is None or np.ndim(found) != 1:
        return None
    return {name: float(weight) for name, weight in zip(sources.blend["members"], found, strict=True)}


def correlations(sources: Sources, ranked: Sequence[Standing]) -> tuple[list[str], Array]:
    """The best members' names and the correlations (members, members) of their errors."""
    names = [one.name for one in ranked[:MOST]]
    places = [[member.name for member in sources.gathered.members].index(name) for name in names]
    problem = sources.problem
    return names, error_correlations(problem.take_all()[places], problem.truth, problem.task)


def _score(sources: Sources, at: int) -> Score:
    """A member's own score; a label metric takes the default decision, which no row has chosen."""
    problem = sources.problem
    decided = judged(problem.metric, problem.task, problem.member(at))
    return score(problem.metric, problem.truth, decided, problem.fold)


def _compared(sources: Sources, key: str) -> dict[str, dict[str, Any]]:
    return {one["name"]: one for one in (sources.comparison or {}).get(key, [])}


def _parameters(jobs: Sequence[Job]) -> int | None:
    known = [job.marker["provenance"].get("parameters") for job in jobs if job.marker]
    return known[0] if known else None


def draw_folds(ranked: Sequence[Standing], numbers: Sequence[int], metric: str) -> Picture:
    """A dot for each member and fold."""

    def draw(figure: Any) -> None:
        axes = figure.add_subplot()
        for place, fold in enumerate(numbers):
            values = [plain_score(one.score.by_fold[place]) for one in ranked]
            style = {"color": SERIES[place % len(SERIES)], "marker": MARKERS[place % len(MARKERS)]}
            axes.plot(values, range(len(ranked)), linestyle="none", label=f"fold {fold}", alpha=0.9, **style)
        means = [plain_score(one.score.mean) for one in ranked]
        axes.plot(means, range(len(ranked)), "|", color=COLOURS["ink"], markersize=14, label="mean")
        listed(axes, [label(one.name) for one in ranked])
        axes.set_xlabel(metric)
        figure.legend(
            loc="outside upper right", ncols=min(len(numbers) + 1, BESIDE), columnspacing=1.2, handletextpad=0.3
        )

    header = ["member", *(f"fold {fold}" for fold in numbers)]
    rows = [[one.name, *one.score.by_fold] for one in ranked]
    text = "Where one fold stands apart for every member, its rows are harder; where the dots of members cross, their "
    text += "order hangs on the rows."
    if len(numbers) == 1:
        text = "One fold does not show how much the order of the members hangs on the rows."
    height = figure_height(len(ranked)) + 0.25 * math.ceil((len(numbers) + 1) / BESIDE)
    return picture("folds", "Score by fold", text, draw, height=height, header=header, rows=rows)


def draw_correlations(names: Sequence[str], alike: Array) -> Picture:
    """A map of the correlations of the members' errors."""
    count, apart = len(names), alike[~np.eye(len(names), dtype=bool)]
    low, spread = float(apart.min()), max(float(np.ptp(apart)), 0.05)

    def draw(figure: Any) -> None:
        axes = figure.add_subplot()
        for row, column in np.argwhere(~np.eye(count, dtype=bool)).tolist():
            value = float(alike[row, column])
            shade_cell(axes, column, row, 0.1 + 0.9 * (value - low) / spread, COLOURS["one"])
            if count <= NUMBERED:
                axes.text(column, row, correlation(value), ha="center", va="center", fontsize=letter_size(len(names)))
        name_cells(axes, [label(name, 18) for name in names], [label(name, 18) for name in names])

    pairs = [(names[a], names[b], float(alike[a, b])) for a, b in by_likeness(alike)]
    rows = [(*both, correlation(value, 5)) for *both, value in pairs[:100]]
    (first, second, most), (third, fourth, least) = pairs[0], pairs[-1]
    text = (
        f"Errors of {first} and {second} go together most ({correlation(most)}), those of {third} and {fourth} least "
    )
    text += f"({correlation(least)}); the deeper the shade, the more. "
    if count == 2:
        text = f"Errors of {first} and {second} correlate by {correlation(most)}. "
    text += "What a blend can gain lies where errors do not go together."
    header = ["member", "and member", "correlation of errors"]
    height, title = min(0.3 * count + 1.1, 7.5), "Correlations of errors"
    return picture("correlations", title, text, draw, height=height, header=header, rows=rows)
