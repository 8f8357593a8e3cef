"""The control of pooling diversity: as many seeds of one pooling, at the same cost.

A mean of several fits is better than one fit whatever they differ in. So a mean of s poolings with a seed each proves
something only against the mean of s seeds of one pooling.
"""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, combinations, islice, product, zip_longest

from oof.metrics.functions import Array

CHOICES = 8  # on each side
MOST = 5  # fits on each side

Fit = tuple[int, int]  # entrant and seed, by number
Choice = tuple[Fit, ...]


@dataclass(frozen=True)
class Control:
    """Choices of `size` fits each: seeds of one entrant, and as many entrants with one seed each."""

    entrant: int
    size: int
    seeds: list[Choice]
    mixes: list[Choice]


def controls(seeds: Mapping[int, int]) -> list[Control]:
    """A control for every entrant that has several seeds; `seeds` says by entrant how many it has.

    All of them must be of one recipe but for the pooling, each with an encoder of its own. The one whose seeds are
    taken takes part in the mixes like any other.
    """
    found = []
    for entrant, count in seeds.items():
        size = min(count, len(seeds), MOST)
        if size > 1:
            own = [tuple((entrant, seed) for seed in some) for some in _sets(range(count), size)]
            found.append(Control(entrant, size, own[:CHOICES], _mixes(seeds, size)))
    return found


def mean_of(choice: Choice, singles: Sequence[Sequence[Array]]) -> Array:
    """Equal mean (rows, columns) of some fits; `singles` are predictions by entrant and seed."""
    first, *others = (singles[entrant][seed] for entrant, seed in choice)
    return sum(others, first) / len(choice)


def _mixes(seeds: Mapping[int, int], size: int) -> list[Choice]:
    """Every set of entrants once before any of them a second time with other seeds."""
    by_set = [product(*([(one, seed) for seed in range(seeds[one])] for one in some)) for some in _sets(seeds, size)]
    rounds = chain.from_iterable(zip_longest(*by_set))
    return list(islice((mix for mix in rounds if mix is not None), CHOICES))


def _sets(things: Iterable[int], size: int) -> list[tuple[int, ...]]:
    """All sets of so many things, in a random order: the first of them stand for all."""
    sets = list(combinations(things, size))
    random.Random(0).shuffle(sets)
    return sets
