"""Orders to do a fit, and what is heard of it while it is done: the words between `train` and the engines.

Reports of a fit that is done elsewhere: steps are told together, once a second.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from models.tfidf import LinearModel
from pipeline.fits.job import Job
from pipeline.fits.timing import Load, Pace

EVERY = 1.0  # seconds between reports


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


class Reports:
    """Hands events to `send`, steps summed up and no more often than every so many seconds; `clock` gives the time."""

    def __init__(self, send: Callable[[Event], None], clock: Callable[[], float], every: float = EVERY) -> None:
        self._send, self._clock, self._every = send, clock, every
        self._steps: Stepped | None = None
        self._sent = clock()

    def __call__(self, event: Event) -> None:
        """Something happened."""
        if not isinstance(event, Stepped):
            self._flush()
            self._send(event)
            return
        if (before := self._steps) is not None:
            event = Stepped(
                before.steps + event.steps, before.tokens + event.tokens, before.losses + event.losses, event.pace
            )
        self._steps = event
        if self._clock() - self._sent >= self._every:
            self._flush()

    def _flush(self) -> None:
        if self._steps is not None:
            # the pace goes on changing while another thread may still be sending it
            self._send(replace(self._steps, pace=replace(self._steps.pace)))
        self._steps, self._sent = None, self._clock()
