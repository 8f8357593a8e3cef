"""Seed noise: how much the scores of two fits differ that differ in nothing but the seed; and the verdict on poolings.

Seed noise is the yardstick for a difference between variants: a pooling must beat what another seed does to a score.
One noise is estimated for all variants, because each has few seeds. A verdict says if one pooling of a group is better
than another, beyond the noise of the rows and beyond that of the seeds.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.stats import studentized_range

from oof.comparison.paired import Interval, PredictionScores, RankedPair
from oof.types import Array

FINDINGS = ("matters", "within seed noise", "no seed yardstick", "not told apart")  # the strongest first


@dataclass(frozen=True)
class SeedNoise:
    """Standard deviation of a single seed's score, estimated with `freedom` degrees of freedom."""

    deviation: float
    freedom: int

    def compute_limit(self, seeds: float, others: float, compared: int = 2) -> float:
        """Return the largest difference among `compared` equal variants that seed noise alone exceeds in 5 % of cases.

        The difference is between the mean scores over `seeds` seeds and over `others` seeds; inf for a variant without
        a seed. For two variants it is by Student's t, for more by Tukey's range, with Kramer's (1956) rule for unequal
        numbers.
        """
        quantile = _compute_studentized_range(compared, self.freedom) / math.sqrt(2)
        return quantile * self.deviation * math.sqrt(1 / seeds + 1 / others)


@dataclass(frozen=True, eq=False)
class ComparedMember:
    """A member and where it comes from.

    `encoder`: members of one encoder share their fits; None for a file. `recipe`: members of the same recipe differ in
    their pooling alone; None where nothing is pooled. `plain_mean`: it pools by the mean over the last layer's tokens.
    `singles` are its predictions by seed, each (rows, columns); empty for a member without a seed.
    """

    name: str
    encoder: str | None
    recipe: str | None = None
    plain_mean: bool = False
    singles: Sequence[Array] = ()


@dataclass(frozen=True)
class SeedScores:
    """The metric of each member by seed, empty for a member without one, and the noise between seeds."""

    members: Sequence[ComparedMember]
    scores: Sequence[Sequence[float]]

    @property
    def noise(self) -> SeedNoise | None:
        """The noise of all variants together; None where none has several seeds."""
        with_seeds = [member.encoder for member in self.members if member.encoder is not None and member.singles]
        return estimate_seed_noise([self._collect_scores(encoder) for encoder in dict.fromkeys(with_seeds)])

    def compute_limit(self, new: int, old: int, compared: int = 2) -> float | None:
        """Return what a difference between two members' mean single scores must exceed; None without a yardstick.

        Between two members of one encoder, the effect that a seed has on both of them does not count.
        """
        first, second = self.members[new], self.members[old]
        if first.encoder is None or second.encoder is None or not (first.singles or second.singles):
            return None
        if first.encoder == second.encoder:
            noise = estimate_noise_within_encoder(self._collect_scores(first.encoder))
        else:
            noise = self.noise
        if noise is None:
            return None
        return noise.compute_limit(len(first.singles) or math.inf, len(second.singles) or math.inf, compared)

    def _collect_scores(self, encoder: str) -> Array:
        """Return scores (members, seeds) of the members of an encoder."""
        rows = zip(self.members, self.scores, strict=True)
        return np.array([scores for member, scores in rows if member.encoder == encoder])


@dataclass(frozen=True)
class Verdict:
    """The pair of a group of poolings with the strongest finding, one of FINDINGS.

    `interval` (over rows) and `seed_limit` (over seeds) hold for all pairs of the group at once: the best of many is
    ahead by chance.
    """

    poolings: list[str]
    better: str
    worse: str
    gain: float
    interval: Interval | None
    seed_limit: float | None
    finding: str


def estimate_seed_noise(scores: Sequence[Array]) -> SeedNoise | None:
    """Estimate seed noise from scores (members, seeds) of each variant; None where none has several seeds.

    It is the pooled deviation of seeds from their mean. Members of one encoder share its seeds, so their variances are
    averaged and count once.
    """
    several = [variant for variant in scores if variant.shape[1] > 1]
    if not several:
        return None
    freedoms = [variant.shape[1] - 1 for variant in several]
    variances = [float(variant.var(1, ddof=1).mean()) for variant in several]
    squares = sum(freedom * variance for freedom, variance in zip(freedoms, variances, strict=True))
    return SeedNoise(math.sqrt(squares / sum(freedoms)), sum(freedoms))


def estimate_noise_within_encoder(scores: Array) -> SeedNoise | None:
    """Estimate seed noise between members of one encoder, whose shared effect of a seed cancels in differences.

    From scores (members, seeds), by the residual of a two-way layout without replication; None for one member or seed.
    """
    members, seeds = scores.shape
    if members < 2 or seeds < 2:
        return None
    residuals = scores - scores.mean(1, keepdims=True) - scores.mean(0) + scores.mean()
    freedom = (members - 1) * (seeds - 1)
    return SeedNoise(math.sqrt(float((residuals**2).sum()) / freedom), freedom)


def group_poolings(members: Sequence[ComparedMember]) -> list[list[int]]:
    """Return groups of at least two members, by number, that differ in their pooling alone."""
    recipes = dict.fromkeys(member.recipe for member in members if member.recipe is not None)
    groups = [[number for number, member in enumerate(members) if member.recipe == recipe] for recipe in recipes]
    return [group for group in groups if len(group) > 1]


def judge_poolings(
    group: Sequence[int], scores: PredictionScores, fits: Sequence[Sequence[int]], seeds: SeedScores
) -> Verdict:
    """Return the verdict on a group of members, by number; `fits` are the numbers of each member's single fits."""
    rated: list[tuple[RankedPair, float | None, str]] = []
    for pair in scores.compare_pairs([fits[number] for number in group]):
        limit = seeds.compute_limit(group[pair.better], group[pair.worse], len(group))
        rated.append((pair, limit, _classify_pair(pair, limit)))
    pair, limit, finding = min(rated, key=lambda entry: (FINDINGS.index(entry[2]), -entry[0].gain.gain))
    names = [seeds.members[number].name for number in group]
    return Verdict(
        poolings=names,
        better=names[pair.better],
        worse=names[pair.worse],
        gain=pair.gain.gain,
        interval=pair.gain.interval,
        seed_limit=limit,
        finding=finding,
    )


def _classify_pair(pair: RankedPair, limit: float | None) -> str:
    if pair.gain.interval is None or pair.gain.interval[0] <= 0:
        return "not told apart"
    if limit is None:
        return "no seed yardstick"
    return "matters" if pair.gain.gain > limit else "within seed noise"


@cache  # each takes 0.1 seconds
def _compute_studentized_range(compared: int, freedom: int) -> float:
    return float(studentized_range.ppf(0.95, compared, freedom))
