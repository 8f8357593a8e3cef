"""Requests to do a fit, its result, and the events of it: the messages between `train` and the engines."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from models.store import EpochLog, FitMarker, Provenance, TokenWeights
from models.tfidf import LinearModel
from pipeline.fits.job import Job
from pipeline.fits.timing import FitLoad, Pace

REPORT_SECONDS = 1.0  # between two reports of steps


@dataclass(frozen=True)
class FitRequest:
    """A fit to do: its job, its load, the `steps` still to take (None for a fit without steps), and the seconds between
    two checkpoints."""

    job: Job
    load: FitLoad
    steps: int | None
    interval: float


@dataclass(frozen=True)
class FitResult:
    """Predictions (rows, columns) of a fit by pooling, and the arrays of its weights, if they are kept."""

    valid: Mapping[str, np.ndarray]
    test: Mapping[str, np.ndarray]
    epochs: Sequence[EpochLog]
    provenance: Provenance
    token_weights: Sequence[TokenWeights] = ()
    weights: Mapping[str, np.ndarray] = field(default_factory=dict)
    linear: LinearModel | None = None


@dataclass(frozen=True)
class FitStarted:
    """The fit has started; `where` is a process or a node."""

    where: str


@dataclass(frozen=True)
class StepsTaken:
    """Steps since the last report: their number, their tokens, and the losses that were read, by their steps."""

    steps: int
    tokens: int
    losses: list[tuple[int, float]]
    pace: Pace


@dataclass(frozen=True)
class EpochEnded:
    """An epoch ended, and its validation rows were predicted."""

    epoch: EpochLog


@dataclass(frozen=True)
class CheckpointSaved:
    """A checkpoint of the fit is in the run directory."""


@dataclass(frozen=True)
class FitFinished:
    """The fit is in the run directory with its marker; None where only the test table was predicted.

    It took `seconds`, of which `start` before the first step.
    """

    marker: FitMarker | None
    seconds: float
    start: float


@dataclass(frozen=True)
class FitInterrupted:
    """The fit stopped on request after `seconds`; its checkpoint is saved."""

    seconds: float


@dataclass(frozen=True)
class FitFailed:
    """The fit failed: the reason in one sentence, and the traceback of an unexpected error."""

    reason: str
    traceback: str | None = None


@dataclass(frozen=True)
class FitLost:
    """The process or node of the fit is gone; the fit can be repeated from its last checkpoint."""

    reason: str


Event = FitStarted | StepsTaken | EpochEnded | CheckpointSaved | FitFinished | FitInterrupted | FitFailed | FitLost


class EventThrottle:
    """Passes events to `send`; adds up steps and passes them at most once in `every` seconds of `clock`."""

    def __init__(
        self, send: Callable[[Event], None], clock: Callable[[], float], every: float = REPORT_SECONDS
    ) -> None:
        self._send, self._clock, self._every = send, clock, every
        self._steps: StepsTaken | None = None
        self._sent = clock()

    def __call__(self, event: Event) -> None:
        """Pass an event on, or keep steps until their time has come."""
        if not isinstance(event, StepsTaken):
            self._flush()
            self._send(event)
            return
        before = self._steps
        if before is not None:
            losses = before.losses + event.losses
            event = StepsTaken(before.steps + event.steps, before.tokens + event.tokens, losses, event.pace)
        self._steps = event
        if self._clock() - self._sent >= self._every:
            self._flush()

    def _flush(self) -> None:
        if self._steps is not None:
            # the pace goes on changing while another thread may still be sending it
            self._send(replace(self._steps, pace=replace(self._steps.pace)))
        self._steps, self._sent = None, self._clock()
