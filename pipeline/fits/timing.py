"""How long fits take: estimates learned from timed fits, and the pace of a running one.

A fit takes its start, and then a number of seconds for each token: a training token counts three times (forward, and
twice as much backward), a predicted one once. Tokens are estimated from characters, because only their ratios matter:
neither a tokenizer nor torch is needed to say how long a run will take.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import fmean
from typing import Literal

import numpy as np

from pipeline.data.competition import Competition
from pipeline.data.fold_assignment import FoldAssignment
from pipeline.fits.job import Job

CHARACTERS, SPECIAL = 4.0, 2.0  # of a token, and tokens around a text: English in word pieces
PASSES = 3.0  # forward, and the gradients of the inputs and of the weights
PRIOR = {"linear": 1e-5}  # seconds a token, until a fit of that kind was timed: 900 docstrings in 1.4 s
Basis = Literal["measured", "earlier", "scaled", "prior"]
MARGINS: dict[Basis, float] = {"measured": 0.1, "earlier": 0.25, "scaled": 0.5, "prior": 1.0}  # until errors are known
RECENT = 8  # errors that the margin remembers
Paces = dict[str | tuple[str], float]  # seconds for a unit of work, by variant, and by kind in a tuple
STEPS = 20  # enough to estimate from
SECONDS = 60.0  # where steps are slow, four that took that long are enough


@dataclass(frozen=True)
class FitLoad:
    """The work of a fit: weighted tokens of training, of validation and of the test table.

    Fits of one `kind` are compared by their loads; fits of one `variant` are alike.
    """

    variant: str
    kind: str
    train: float
    valid: float = 0.0
    test: float = 0.0

    @property
    def work(self) -> float:
        """The sum of all three."""
        return self.train + self.valid + self.test


@dataclass(frozen=True)
class TimedLoad:
    """A load, or a part of one, and the seconds that it took without its start."""

    load: FitLoad
    seconds: float

    def __add__(self, other: "TimedLoad") -> "TimedLoad":
        mine, theirs = self.load, other.load
        both = replace(
            mine, train=mine.train + theirs.train, valid=mine.valid + theirs.valid, test=mine.test + theirs.test
        )
        return TimedLoad(both, self.seconds + other.seconds)


@dataclass(frozen=True)
class PaceEstimate:
    """Seconds for a unit of work, their source, and the factors of the expected and of the longest time."""

    pace: float
    basis: Basis
    likely: float
    at_most: float


@dataclass(frozen=True)
class TimeEstimates:
    """Estimates from timed fits: those of `earlier` calls and those `measured` in this one, summed by variant.

    The closest fits decide: the variant's own of this call, its earlier ones, then any of its kind. `errors` keeps how
    far each kind of estimate was off (seconds taken by seconds guessed).
    """

    earlier: tuple[TimedLoad, ...] = ()
    measured: tuple[TimedLoad, ...] = ()
    starts: tuple[float, ...] = ()
    errors: tuple[tuple[Basis, float], ...] = ()

    def estimate_seconds(self, load: FitLoad) -> float | None:
        """Return the seconds to expect, corrected by the mean error; None while no fit of the kind was timed."""
        guess = self._get_pace(load)
        return None if guess is None else self.start + load.work * guess.pace * guess.likely

    def bound_seconds(self, load: FitLoad) -> float:
        """Return seconds that a fit will hardly exceed: by the largest recent error, with a margin while few are known.

        0 where no fit of the kind was timed.
        """
        guess = self._get_pace(load)
        return 0.0 if guess is None else self.start + load.work * guess.pace * guess.at_most

    @property
    def start(self) -> float:
        """Seconds before a fit's first step. The first fit's count for no other: it reads libraries and tokenises."""
        return min(self.starts[1:], default=0.0)

    def learn(self, load: FitLoad, seconds: float, start: float = 0.0) -> "TimeEstimates":
        """Return the estimates after a whole fit that took `seconds`, of which `start` before the first step."""
        guess, taken = self._get_pace(load), max(seconds - start, 0.0)
        errors = list(self.errors)
        if guess and load.work * guess.pace > 0:
            errors.append((guess.basis, taken / (load.work * guess.pace)))
            if len(self._list_recent(guess.basis)) == RECENT:
                errors.remove(next(error for error in errors if error[0] == guess.basis))
        starts = (*self.starts[:1], min([*self.starts[1:], start])) if self.starts else (start,)
        return replace(
            self, measured=sum_by_variant([*self.measured, TimedLoad(load, taken)]), starts=starts, errors=tuple(errors)
        )

    def add_part(self, part: TimedLoad) -> "TimeEstimates":
        """Return the estimates with a part of a running fit."""
        return replace(self, measured=sum_by_variant([*self.measured, part]))

    def _get_pace(self, load: FitLoad) -> "PaceEstimate | None":
        key = (load.variant, load.kind)
        if key not in self._known_paces:  # asked of thousands of fits, of few variants
            self._known_paces[key] = self._make_pace(*key)
        return self._known_paces[key]

    def _make_pace(self, variant: str, kind: str) -> "PaceEstimate | None":
        measured, earlier = self._paces
        found: list[tuple[Basis, float | None]] = [
            ("measured", measured.get(variant)),
            ("earlier", earlier.get(variant)),
            ("scaled", measured.get((kind,)) or earlier.get((kind,))),
            ("prior", PRIOR.get(kind)),
        ]
        for basis, pace in found:
            if pace is not None:
                errors = self._list_recent(basis)
                likely, worst = fmean(errors or [1.0]), max(errors, default=1.0)
                return PaceEstimate(pace, basis, likely, worst * (1 + MARGINS[basis] / (1 + len(errors))))
        return None

    @cached_property
    def _known_paces(self) -> "dict[tuple[str, str], PaceEstimate | None]":
        return {}

    @cached_property
    def _paces(self) -> tuple[Paces, Paces]:
        """Seconds for a unit of work, of this call's fits and of earlier ones."""
        return _compute_paces(self.measured), _compute_paces(self.earlier)

    def _list_recent(self, basis: Basis) -> list[float]:
        return [error for about, error in self.errors if about == basis][-RECENT:]


def _compute_paces(timed: Iterable[TimedLoad]) -> Paces:
    sums: dict[str | tuple[str], list[float]] = {}
    for one in timed:
        for key in (one.load.variant, (one.load.kind,)):
            total = sums.setdefault(key, [0.0, 0.0])
            total[0] += one.seconds
            total[1] += one.load.work
    return {key: seconds / work for key, (seconds, work) in sums.items() if work}


def sum_by_variant(timed: Iterable[TimedLoad]) -> tuple[TimedLoad, ...]:
    """Return one sum for each variant and kind."""
    sums: dict[tuple[str, str], TimedLoad] = {}
    for one in timed:
        key = (one.load.variant, one.load.kind)
        sums[key] = sums[key] + one if key in sums else one
    return tuple(sums.values())


def measure_loads(
    jobs: Sequence[Job],
    competition: Competition,
    split: FoldAssignment,
    measure_token: Callable[[Job], float] | None = None,
) -> list[FitLoad]:
    """Return the load of each job as a whole fit.

    `measure_token` gives the cost of a token in the backbone of a job, so that backbones can be compared; without it
    only fits of one backbone with the same number of frozen layers are of one kind.
    """
    tables = (competition.texts, competition.test.texts)
    seen, unseen = (np.array([sum(map(len, text)) for text in texts], np.float64) for texts in tables)

    def load(job: Job) -> FitLoad:
        size, longest, kind = 1.0, np.inf, "linear"
        if not job.is_linear:
            size = 1.0 if measure_token is None else measure_token(job)
            longest = job.training.max_length
            kind = "neural" if measure_token else f"{job.recipe.backbone_sha256}, {job.training.freeze_layers} frozen"
        tokens, test = (size * np.minimum(table / CHARACTERS + SPECIAL, longest) for table in (seen, unseen))
        train, valid = (float(tokens[rows].sum()) for rows in (split.train(job.fold), split.valid(job.fold)))
        return FitLoad(job.variant, kind, job.epochs * PASSES * train, job.epochs * valid, float(test.sum()))

    return [load(job) for job in jobs]


def learn_from_finished(jobs: Sequence[Job], loads: Sequence[FitLoad]) -> TimeEstimates:
    """Return estimates from the finished fits among the jobs."""
    timed = [
        TimedLoad(load, job.marker.provenance.seconds)
        for job, load in zip(jobs, loads, strict=True)
        if job.marker is not None
    ]
    return TimeEstimates(sum_by_variant(timed))


@dataclass
class Pace:
    """Steps of a fit with this load that began at `began`; times are a clock's seconds."""

    load: FitLoad
    steps: int | None  # of the whole fit; None for a fit without steps
    began: float
    taken: int = 0
    first: float = 0.0
    last: float = 0.0

    def note_step(self, now: float) -> None:
        """Note that a step ended now. The first one only starts the measurement: it may be the longest."""
        self.taken += 1
        self.last = now
        if self.taken == 1:
            self.first = now

    @property
    def is_reliable(self) -> bool:
        """True when enough steps are timed to estimate the rest."""
        return self.taken > STEPS or (self.taken > 3 and self.last - self.first >= SECONDS)

    @property
    def start(self) -> float:
        """Seconds from the start of the fit to its first step, as far as known."""
        return max(self.first - self.began - self._step, 0.0) if self.taken else 0.0

    @property
    def part(self) -> TimedLoad:
        """The part of the load between the first step's end and the last one's."""
        share = (self.taken - 1) / self.steps if self.steps and self.taken else 0.0
        return TimedLoad(replace(self.load, train=self.load.train * share, valid=0.0, test=0.0), self.last - self.first)

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
