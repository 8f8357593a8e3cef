"""How long fits take: learned from those that were timed, scaled by what they read.

A fit takes its start, and then so many seconds for each token: a training token counts three times (forward, and
twice as much backward), a predicted one once. Tokens are guessed from characters, because only their ratios matter:
neither a tokenizer nor torch is needed to say how long a run will take.

The pace of a running fit: its steps timed, and what they say of the rest of it.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import fmean
from typing import Literal

import numpy as np

from pipeline.data.competition import Competition
from pipeline.data.fold_assignment import Folds
from pipeline.fits.job import Job

CHARACTERS, SPECIAL = 4.0, 2.0  # of a token, and tokens around a text: English in word pieces
PASSES = 3.0  # forward, and the gradients of the inputs and of the weights
PRIOR = {"linear": 1e-5}  # seconds a token, until a fit of that kind was timed: 900 docstrings in 1.4 s
Basis = Literal["measured", "earlier", "scaled", "prior"]
MARGINS: dict[Basis, float] = {"measured": 0.1, "earlier": 0.25, "scaled": 0.5, "prior": 1.0}  # until errors are known
RECENT = 8  # errors that the margin remembers
Paces = dict[str | tuple[str], float]  # seconds for a unit of work, by variant, and by kind in a tuple
STEPS, SECONDS = 20, 60.0  # enough steps to tell from; where they are slow, three that took so long


@dataclass(frozen=True)
class Load:
    """What makes a fit long: weighted tokens of training, of validation and of the test table.

    Fits of one `kind` are compared by their loads; fits of one `variant` are alike.
    """

    variant: str
    kind: str
    train: float
    valid: float = 0.0
    test: float = 0.0

    @property
    def work(self) -> float:
        """All of it."""
        return self.train + self.valid + self.test


@dataclass(frozen=True)
class Timed:
    """A load, or a part of one, and the seconds it took without its start."""

    load: Load
    seconds: float

    def __add__(self, other: "Timed") -> "Timed":
        mine, theirs = self.load, other.load
        both = replace(
            mine, train=mine.train + theirs.train, valid=mine.valid + theirs.valid, test=mine.test + theirs.test
        )
        return Timed(both, self.seconds + other.seconds)


@dataclass(frozen=True)
class Guess:
    """Seconds for a unit of work, what they come from, and the factors of the likely and of the longest time."""

    pace: float
    basis: Basis
    likely: float
    at_most: float


@dataclass(frozen=True)
class Estimates:
    """What timed fits say of others: those `earlier` calls did and those `measured` in this one, summed by variant.

    The closest fits decide: the variant's own of this call, its earlier ones, then any of its kind. `errors` keeps how
    far each kind of estimate was off (seconds taken by seconds guessed).
    """

    earlier: tuple[Timed, ...] = ()
    measured: tuple[Timed, ...] = ()
    starts: tuple[float, ...] = ()
    errors: tuple[tuple[Basis, float], ...] = ()

    def seconds(self, load: Load) -> float | None:
        """The seconds to expect, corrected by the mean error; None while no fit of the kind was timed."""
        guess = self._guess(load)
        return None if guess is None else self.start + load.work * guess.pace * guess.likely

    def safe(self, load: Load) -> float:
        """Seconds that will hardly be exceeded: by the largest recent error, and more while few are known.

        0 where nothing is known: only a try can tell.
        """
        guess = self._guess(load)
        return 0.0 if guess is None else self.start + load.work * guess.pace * guess.at_most

    @property
    def start(self) -> float:
        """Seconds before a fit's first step. The first fit's count for no other: it reads libraries and tokenises."""
        return min(self.starts[1:], default=0.0)

    def learn(self, load: Load, seconds: float, start: float = 0.0) -> "Estimates":
        """Estimates after a whole fit that took `seconds`, of which `start` before the first step."""
        guess, taken = self._guess(load), max(seconds - start, 0.0)
        errors = list(self.errors)
        if guess and load.work * guess.pace > 0:
            errors.append((guess.basis, taken / (load.work * guess.pace)))
            if len(self._recent(guess.basis)) == RECENT:
                errors.remove(next(error for error in errors if error[0] == guess.basis))
        starts = (*self.starts[:1], min([*self.starts[1:], start])) if self.starts else (start,)
        return replace(self, measured=summed([*self.measured, Timed(load, taken)]), starts=starts, errors=tuple(errors))

    def glimpse(self, part: Timed) -> "Estimates":
        """Estimates that know a part of a running fit as well."""
        return replace(self, measured=summed([*self.measured, part]))

    def _guess(self, load: Load) -> "Guess | None":
        key = (load.variant, load.kind)
        if key not in self._guesses:  # asked of thousands of fits, of few variants
            self._guesses[key] = self._make_guess(*key)
        return self._guesses[key]

    def _make_guess(self, variant: str, kind: str) -> "Guess | None":
        measured, earlier = self._paces
        found: list[tuple[Basis, float | None]] = [
            ("measured", measured.get(variant)),
            ("earlier", earlier.get(variant)),
            ("scaled", measured.get((kind,)) or earlier.get((kind,))),
            ("prior", PRIOR.get(kind)),
        ]
        for basis, pace in found:
            if pace is not None:
                errors = self._recent(basis)
                likely, worst = fmean(errors or [1.0]), max(errors, default=1.0)
                return Guess(pace, basis, likely, worst * (1 + MARGINS[basis] / (1 + len(errors))))
        return None

    @cached_property
    def _guesses(self) -> "dict[tuple[str, str], Guess | None]":
        return {}

    @cached_property
    def _paces(self) -> tuple[Paces, Paces]:
        """Seconds for a unit of work of this call's and of earlier fits."""
        return _paces(self.measured), _paces(self.earlier)

    def _recent(self, basis: Basis) -> list[float]:
        return [error for about, error in self.errors if about == basis][-RECENT:]


def _paces(timed: Iterable[Timed]) -> Paces:
    sums: dict[str | tuple[str], list[float]] = {}
    for one in timed:
        for key in (one.load.variant, (one.load.kind,)):
            total = sums.setdefault(key, [0.0, 0.0])
            total[0] += one.seconds
            total[1] += one.load.work
    return {key: seconds / work for key, (seconds, work) in sums.items() if work}


def summed(timed: Iterable[Timed]) -> tuple[Timed, ...]:
    """One for each variant and kind, however many fits there were."""
    sums: dict[tuple[str, str], Timed] = {}
    for one in timed:
        key = (one.load.variant, one.load.kind)
        sums[key] = sums[key] + one if key in sums else one
    return tuple(sums.values())


def loads_of(
    jobs: Sequence[Job], competition: Competition, split: Folds, size_of: Callable[[Job], float] | None = None
) -> list[Load]:
    """The load of each job as a whole fit.

    `size_of` says what a token costs in the backbone of a job, so that backbones can be compared; without it only
    fits of one backbone, with as many layers frozen, are of a kind.
    """
    tables = (competition.texts, competition.test.texts)
    seen, unseen = (np.array([sum(map(len, text)) for text in texts], np.float64) for texts in tables)

    def load(job: Job) -> Load:
        size = 1.0 if size_of is None or job.linear else size_of(job)
        same = f"{job.recipe.get('backbone_sha256')}, {job.settings.get('freeze_layers')} frozen"
        kind = "linear" if job.linear else "neural" if size_of else same
        longest, epochs = job.settings.get("max_length", np.inf), job.settings.get("epochs", 1)
        tokens, test = (size * np.minimum(table / CHARACTERS + SPECIAL, longest) for table in (seen, unseen))
        train, valid = (float(tokens[rows].sum()) for rows in (split.train(job.fold), split.valid(job.fold)))
        return Load(job.variant, kind, epochs * PASSES * train, epochs * valid, float(test.sum()))

    return [load(job) for job in jobs]


def earlier_fits(jobs: Sequence[Job], loads: Sequence[Load]) -> Estimates:
    """What the finished ones among the jobs say of the others."""
    done = [(job.marker, load) for job, load in zip(jobs, loads, strict=True) if job.marker is not None]
    return Estimates(summed(Timed(load, float(marker["provenance"]["seconds"])) for marker, load in done))


@dataclass
class Pace:
    """Steps of a fit with this load that began at `began`; times are a clock's seconds."""

    load: Load
    steps: int | None  # of the whole fit; None for a fit without steps
    began: float
    taken: int = 0
    first: float = 0.0
    last: float = 0.0

    def step(self, now: float) -> None:
        """A step ended now. The first one only starts the measurement: it warms up, and may be the longest."""
        self.taken += 1
        self.last = now
        if self.taken == 1:
            self.first = now

    @property
    def telling(self) -> bool:
        """Whether enough is timed to judge the rest by."""
        return self.taken > STEPS or (self.taken > 3 and self.last - self.first >= SECONDS)

    @property
    def start(self) -> float:
        """Seconds from the beginning to the first step, as far as known."""
        return max(self.first - self.began - self._step, 0.0) if self.taken else 0.0

    @property
    def part(self) -> Timed:
        """The part of the load between the first step's end and the last one's."""
        share = (self.taken - 1) / self.steps if self.steps and self.taken else 0.0
        return Timed(replace(self.load, train=self.load.train * share, valid=0.0, test=0.0), self.last - self.first)

    @property
    def closing(self) -> float:
        """Seconds from the last step to the end, in which the test table is predicted; 0 while unknown."""
        part = self.part
        return part.seconds / part.load.work * self.load.test if part.load.work else 0.0

    @property
    def rest(self) -> float:
        """Seconds from the last step to the end of the fit."""
        return ((self.steps or 0) - self.taken) * self._step + self.closing

    @property
    def _step(self) -> float:
        return (self.last - self.first) / (self.taken - 1) if self.taken > 1 else 0.0
