"""Does pooling matter here? Members compared, what each adds to their mean, and the control with seeds.

Members are compared fit for fit: the mean of the scores of single seeds on both sides. A member of three seeds would
beat one of a single seed whatever they pool.

`compare` gives plain values, which `oof/compare.json` holds under the same keys:

metric, higher_is_better, rows, draws    what was judged, and by how many bootstrap draws
members     of each: name, score (of the mean over its seeds), seed_scores, fit_score (their mean); over_best and
            over_mean_pooling are {over, gain, interval, seed_limit}, fit for fit, null for the reference itself; a
            gain is positive where the member is the better one, and beyond seed noise where it is larger than
            seed_limit, which is null where there is no yardstick
seed_noise  {deviation, freedom} of a single seed's score; null where no variant has several seeds
verdicts    for each group of members that differ in their pooling alone: poolings, better, worse, gain, interval and
            seed_limit (both hold for all pairs of the group at once), finding (one of FINDINGS in `seed_noise`)
error_correlations    (members, members)
ambiguity   {loss, members, ambiguity, ensemble} of the equal mean
adds        of each member: name, gain and interval of the equal mean of all over that without it
control     for each pooling with several seeds: name, size (fits on each side), seeds and mix (metric of the equal
            means), gain of the mix over the seeds, interval, choices (how many were averaged on either side)

The verb adds minutes, megabytes and shared to `adds`: a member's part of the cost of its fits, null where unknown, and
how many members share them. It adds the keys folds, fits (hashes by member, as in a blend), missing_control (the
sentence in place of an empty control) and front: for the best equal mean of one member, two and so on its members,
cross-fitted score, seconds that predicting 1,000 rows takes, and megabytes.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Any

from oof.blends.problem import Problem
from oof.comparison.diversity import ambiguity, error_correlations
from oof.comparison.paired import Judged, judge
from oof.comparison.seed_control import Choice, Control, controls, mean_of
from oof.comparison.seed_noise import Entrant, Seeds, poolings, verdict
from oof.metrics.functions import Array

Plain = dict[str, Any]
Fits = Sequence[Sequence[int]]  # for each entrant, the numbers of its single fits among what is judged


def compare(problem: Problem, entrants: Sequence[Entrant], draws: Iterable[Array]) -> Plain:
    """Compare the members, `entrants` in their order, in one pass over the draws of counts (rows,)."""
    groups = poolings(entrants)
    plans = [plan for group in groups for plan in _controls(entrants, group)]
    choices = list(dict.fromkeys([*_single(entrants), *(one for plan in plans for one in [*plan.seeds, *plan.mixes])]))
    means = (mean_of(choice, [one.singles for one in entrants]) for choice in choices)
    judged = judge(problem, chain(problem.take_all(), _means(problem), means), draws)
    first = len(judged.scores) - len(choices)
    places = {choice: first + at for at, choice in enumerate(choices)}
    fits = [[places.get(((at, n),), at) for n in range(len(one.singles))] for at, one in enumerate(entrants)]
    seeds = Seeds(entrants, [judged.scores[own].tolist() for own in fits])
    fits = [own or [at] for at, own in enumerate(fits)]
    return {
        "metric": problem.metric.name,
        "higher_is_better": problem.metric.higher_is_better,
        "rows": len(problem),
        "draws": len(judged.values),
        "members": _members(judged, fits, seeds),
        "seed_noise": asdict(seeds.noise) if seeds.noise else None,
        "verdicts": [verdict(group, judged, fits, seeds) for group in groups],
        "error_correlations": error_correlations(problem.take_all(), problem.truth, problem.task).tolist(),
        "ambiguity": asdict(ambiguity(problem)),
        "adds": _adds(judged, entrants),
        "control": [_control(plan, judged, places, entrants) for plan in plans],
    }


def write_comparison(path: Path, found: Plain) -> None:
    """Write what `compare` gives, with any keys more that JSON can hold."""
    path.write_text(json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


def _means(problem: Problem) -> Iterator[Array]:
    """The equal mean of all, then that without each of them; nothing for a single member."""
    if problem.members > 1:
        total = problem.take_all().sum(0)
        yield total / problem.members
        yield from ((total - problem.member(at)) / (problem.members - 1) for at in range(problem.members))


def _single(entrants: Sequence[Entrant]) -> list[Choice]:
    """Every single fit that is not a member by itself."""
    several = [(at, len(one.singles)) for at, one in enumerate(entrants) if len(one.singles) > 1]
    return [((at, seed),) for at, count in several for seed in range(count)]


def _members(judged: Judged, fits: Fits, seeds: Seeds) -> list[Plain]:
    entrants = seeds.entrants
    means = [judged.mean(own) for own in fits]
    best = max(range(len(fits)), key=lambda at: judged.sign * means[at])
    plain = [at for at, one in enumerate(entrants) if one.plain_mean]

    def nearest(one: Entrant) -> int:  # of its own recipe, where there is one
        return max(plain, key=lambda at: entrants[at].recipe == one.recipe)

    def over(at: int, reference: int) -> Plain | None:
        if reference == at:
            return None
        gain = asdict(judged.gain(fits[at], fits[reference]))
        return {"over": entrants[reference].name, **gain, "seed_limit": seeds.limit(at, reference)}

    return [
        {
            "name": one.name,
            "score": float(judged.scores[at]),
            "seed_scores": seeds.scores[at],
            "fit_score": means[at],
            "over_best": over(at, best),
            "over_mean_pooling": over(at, nearest(one)) if plain else None,
        }
        for at, one in enumerate(entrants)
    ]


def _adds(judged: Judged, entrants: Sequence[Entrant]) -> list[Plain]:
    if len(entrants) < 2:
        return []
    whole = len(entrants)
    gains = [judged.gain([whole], [whole + 1 + at]) for at in range(len(entrants))]
    return [{"name": one.name, **asdict(gain)} for one, gain in zip(entrants, gains, strict=True)]


def _controls(entrants: Sequence[Entrant], group: Sequence[int]) -> list[Control]:
    encoders = {entrants[at].encoder for at in group}
    # poolings on one encoder cost one fit, so that as many seeds would not be the same cost
    return controls({at: len(entrants[at].singles) for at in group}) if len(encoders) == len(group) else []


def _control(plan: Control, judged: Judged, places: dict[Choice, int], entrants: Sequence[Entrant]) -> Plain:
    seeds, mixes = ([places[choice] for choice in side] for side in (plan.seeds, plan.mixes))
    return {
        "name": entrants[plan.entrant].name,
        "size": plan.size,
        "seeds": judged.mean(seeds),
        "mix": judged.mean(mixes),
        **asdict(judged.gain(mixes, seeds)),
        "choices": [len(seeds), len(mixes)],
    }
