"""Orders to do a fit, and what is heard of it while it is done: the words between `train` and the engines."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from models.tfidf import LinearModel
from pipeline.fits.job import Job
from pipeline.fits.timing import Load
from pipeline.pace import Pace


@dataclass(frozen=True)
class Order:
    """A fit to be done, from its checkpoint if it has one: its job, how much that is, the `steps` still to take (None
    for a fit without steps), and the seconds after which it is saved each time."""

    job: Job
    load: Load
    steps: int | None
    interval: float


@dataclass(frozen=True)
class Outcome:
    """What a fit gives: predictions (rows, columns) by pooling, and the arrays of its weights, if they are kept."""

    valid: dict[str, np.ndarray]
    test: dict[str, np.ndarray]
    epochs: list[dict[str, Any]]
    provenance: dict[str, Any]
    looks: list[dict[str, Any]] = field(default_factory=list)
    weights: dict[str, np.ndarray] = field(default_factory=dict)
    linear: LinearModel | None = None


@dataclass(frozen=True)
class Began:
    """Somebody began to do it; `where` is a process or a node."""

    where: str


@dataclass(frozen=True)
class Stepped:
    """Steps were taken since the last time: their number, their tokens, the losses that were read by their steps."""

    steps: int
    tokens: int
    losses: list[tuple[int, float]]
    pace: Pace


@dataclass(frozen=True)
class EpochEnded:
    """An epoch ended, and its validation rows were predicted."""

    epoch: dict[str, Any]


@dataclass(frozen=True)
class Saved:
    """A checkpoint of it lies in the run directory."""


@dataclass(frozen=True)
class Finished:
    """It is in the run directory, marker and all; it took so many `seconds`, of which `start` before the first step."""

    marker: dict[str, Any]
    seconds: float
    start: float


@dataclass(frozen=True)
class Left:
    """It was left on request, after `seconds`; what there is of it is saved."""

    seconds: float


@dataclass(frozen=True)
class Failed:
    """It cannot be done: why, in a sentence, with the traceback of what nobody foresaw."""

    said: str
    traceback: str | None = None


@dataclass(frozen=True)
class Lost:
    """Whoever did it is gone, and it is to be done again from where it was saved."""

    why: str


Event = Began | Stepped | EpochEnded | Saved | Finished | Left | Failed | Lost
