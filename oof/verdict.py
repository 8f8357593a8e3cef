"""The verdict on a group of poolings: is one better than another, beyond other rows and beyond other seeds?"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from oof.comparison.paired import Judged, Pair
from oof.entrant import Seeds

FINDINGS = ("matters", "within seed noise", "no seed yardstick", "not told apart")  # the strongest first


def verdict(group: Sequence[int], judged: Judged, fits: Sequence[Sequence[int]], seeds: Seeds) -> dict[str, Any]:
    """The pair of a group of entrants, by number, that says most; `fits` are the single fits of each entrant.

    Intervals (rows) and limits (seeds) hold for all pairs of the group at once: the best of many is ahead by chance.
    """
    rated = []
    for pair in judged.pairs([fits[at] for at in group]):
        limit = seeds.limit(group[pair.better], group[pair.worse], len(group))
        rated.append((pair, limit, _finding(pair, limit)))
    pair, limit, finding = min(rated, key=lambda one: (FINDINGS.index(one[2]), -one[0].gain.gain))
    names = [seeds.entrants[at].name for at in group]
    told = {"poolings": names, "better": names[pair.better], "worse": names[pair.worse]}
    return {**told, **asdict(pair.gain), "seed_limit": limit, "finding": finding}


def _finding(pair: Pair, limit: float | None) -> str:
    if pair.gain.interval is None or pair.gain.interval[0] <= 0:
        return "not told apart"
    if limit is None:
        return "no seed yardstick"
    return "matters" if pair.gain.gain > limit else "within seed noise"
