"""The control of pooling diversity: as many seeds of one pooling, at the same cost.

A mean of several fits is better than one fit, whatever they differ in. So a mean of s poolings with a seed each proves
something only against the mean of s seeds of one pooling.
"""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, combinations, islice, product, zip_longest

from oof.types import Array

MOST_SETS = 8  # on each side
MOST_FITS = 5  # in a set

SingleFit = tuple[int, int]  # numbers of a member and of one of its seeds
FitSet = tuple[SingleFit, ...]


@dataclass(frozen=True)
class SeedControl:
    """Sets of `size` fits each: `seeds` of one member, and `mixes` of as many members with one seed each."""

    member: int
    size: int
    seeds: list[FitSet]
    mixes: list[FitSet]


def plan_seed_controls(seeds: Mapping[int, int]) -> list[SeedControl]:
    """Return a control for every member with several seeds; `seeds` is the number of seeds by member.

    All members must have one recipe except for the pooling, each with an encoder of its own. The member whose seeds are
    taken takes part in the mixes like any other.
    """
    controls = []
    for member, count in seeds.items():
        size = min(count, len(seeds), MOST_FITS)
        if size > 1:
            of_one = [tuple((member, seed) for seed in chosen) for chosen in _shuffle_sets(range(count), size)]
            controls.append(SeedControl(member, size, of_one[:MOST_SETS], _choose_mixes(seeds, size)))
    return controls


def average_fits(fit_set: FitSet, singles: Sequence[Sequence[Array]]) -> Array:
    """Return the equal mean (rows, columns) of some fits; `singles` are predictions by member and seed."""
    first, *others = (singles[member][seed] for member, seed in fit_set)
    return sum(others, first) / len(fit_set)


def _choose_mixes(seeds: Mapping[int, int], size: int) -> list[FitSet]:
    """Return every set of members once, before any of them a second time with other seeds."""
    by_set = []
    for members in _shuffle_sets(seeds, size):
        fits = [[(member, seed) for seed in range(seeds[member])] for member in members]
        by_set.append(product(*fits))
    rounds = chain.from_iterable(zip_longest(*by_set))
    return list(islice((mix for mix in rounds if mix is not None), MOST_SETS))


def _shuffle_sets(members: Iterable[int], size: int) -> list[tuple[int, ...]]:
    """Return all sets of a size in a random order, so that the first of them represent all."""
    sets = list(combinations(members, size))
    random.Random(0).shuffle(sets)
    return sets
