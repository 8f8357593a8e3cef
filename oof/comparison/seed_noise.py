"""Seed noise: how far the scores of two fits differ that differ in nothing but the seed.

The yardstick for a difference between variants: what another seed makes of a score, a pooling must beat. One noise is
taken for all variants, because each has few seeds.

An entrant: a member as a comparison sees it, with where it comes from and what its seeds say one by one.

The verdict on a group of poolings: is one better than another, beyond other rows and beyond other seeds?
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import numpy as np
from scipy.stats import studentized_range

from oof.comparison.paired import Judged, Pair
from oof.metrics.functions import Array

FINDINGS = ("matters", "within seed noise", "no seed yardstick", "not told apart")  # the strongest first


@dataclass(frozen=True)
class Noise:
    """Standard deviation of a single seed's score, known with so many degrees of freedom."""

    deviation: float
    freedom: int

    def limit(self, seeds: float, others: float, compared: int = 2) -> float:
        """What seed noise alone exceeds once in twenty: the largest difference among `compared` equal variants.

        Between a mean of scores over `seeds` seeds and one over `others`; inf where no seed is at work. With two
        variants it is Student's t, with more Tukey's range as Kramer (1956) takes it for unequal numbers.
        """
        return _range(compared, self.freedom) / math.sqrt(2) * self.deviation * math.sqrt(1 / seeds + 1 / others)


def between_seeds(scores: Sequence[Array]) -> Noise | None:
    """From scores (members, seeds) of each variant, by the deviation of its seeds from their mean; None without pairs.

    Members of one encoder share its seeds, so that their variances are averaged and count once.
    """
    several = [one for one in scores if one.shape[1] > 1]
    if not several:
        return None
    free = [one.shape[1] - 1 for one in several]
    squares = sum(n * float(one.var(1, ddof=1).mean()) for n, one in zip(free, several, strict=True))
    return Noise(math.sqrt(squares / sum(free)), sum(free))


def between_members(scores: Array) -> Noise | None:
    """For members (members, seeds) of one encoder: a seed that is good for all of them tells none from another.

    The residual of a two-way layout without replication; None for one member or one seed.
    """
    members, seeds = scores.shape
    if members < 2 or seeds < 2:
        return None
    rest = scores - scores.mean(1, keepdims=True) - scores.mean(0) + scores.mean()
    freedom = (members - 1) * (seeds - 1)
    return Noise(math.sqrt(float((rest**2).sum()) / freedom), freedom)


@cache  # a tenth of a second each
def _range(compared: int, freedom: int) -> float:
    return float(studentized_range.ppf(0.95, compared, freedom))


@dataclass(frozen=True, eq=False)
class Entrant:
    """A member and where it comes from.

    `encoder`: members of one encoder share their fits; None for a file. `recipe`: members of the same one differ in
    their pooling alone; None where nothing is pooled. `plain_mean`: it pools by the mean over the last layer's tokens.
    `singles` are its predictions by seed, each (rows, columns); empty where no seed is at work.
    """

    name: str
    encoder: str | None
    recipe: str | None = None
    plain_mean: bool = False
    singles: Sequence[Array] = ()


@dataclass(frozen=True)
class Seeds:
    """The metric of each entrant by seed, empty where no seed is at work, and the noise between seeds."""

    entrants: Sequence[Entrant]
    scores: Sequence[Sequence[float]]

    @property
    def noise(self) -> Noise | None:
        """Of all variants together; None where none has several seeds."""
        encoders = dict.fromkeys(one.encoder for one in self.entrants if one.encoder is not None and one.singles)
        return between_seeds([self._of_encoder(encoder) for encoder in encoders])

    def limit(self, one: int, two: int, compared: int = 2) -> float | None:
        """What a difference between two of the entrants' mean single scores must exceed; None where nothing tells.

        Between two of one encoder, what a seed does to both of them does not count.
        """
        a, b = self.entrants[one], self.entrants[two]
        if a.encoder is None or b.encoder is None or not (a.singles or b.singles):
            return None
        shared = a.encoder == b.encoder
        noise = between_members(self._of_encoder(a.encoder)) if shared else self.noise
        return noise.limit(len(a.singles) or math.inf, len(b.singles) or math.inf, compared) if noise else None

    def _of_encoder(self, encoder: str) -> Array:
        """Scores (members, seeds) of the members of an encoder."""
        return np.array([own for one, own in zip(self.entrants, self.scores, strict=True) if one.encoder == encoder])


def poolings(entrants: Sequence[Entrant]) -> list[list[int]]:
    """Groups of two entrants or more, by number, that differ in their pooling alone."""
    recipes = dict.fromkeys(one.recipe for one in entrants if one.recipe is not None)
    groups = [[at for at, one in enumerate(entrants) if one.recipe == recipe] for recipe in recipes]
    return [group for group in groups if len(group) > 1]


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
