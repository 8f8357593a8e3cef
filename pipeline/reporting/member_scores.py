"""Members as a report shows them: scores, costs, what each adds and what it weighs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from oof.comparison.diversity import error_correlations
from oof.metrics.functions import Array
from oof.metrics.thresholds import judged
from oof.selection.scores import Score, score
from pipeline.fits.job import Job
from pipeline.reporting.sources import Sources

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
