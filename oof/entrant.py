"""An entrant: a member as a comparison sees it, with where it comes from and what its seeds say one by one."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from oof.comparison.seed_noise import Noise, between_members, between_seeds
from oof.metrics.functions import Array


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
