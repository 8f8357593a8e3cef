"""Seed noise: how far the scores of two fits differ that differ in nothing but the seed.

The yardstick for a difference between variants: what another seed makes of a score, a pooling must beat. One noise is
taken for all variants, because each has few seeds.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from scipy.stats import studentized_range

from oof.metrics.functions import Array


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
