"""The interface of an engine, and the two hooks through which it reports to the scheduler and asks it.

Fits are numbered from 0 by the scheduler, in the order of the plan; every call names a fit by its number.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from pipeline.fits.events import Event, FitRequest
from pipeline.fits.inputs import FitInputs
from pipeline.fits.job import Job

OnEvent = Callable[[int, Event], None]  # is given every event of a fit
ShouldStop = Callable[[int], bool]  # returns True if a fit is to be saved and stopped


class Engine(Protocol):
    """Executes fits. It is made with the hooks `on_event` and `should_stop`, which it calls in `start` and `wait`."""

    @property
    def slots(self) -> int:
        """The number of fits that run at a time; it may change."""

    @property
    def free_slots(self) -> int:
        """The number of fits that can be started now."""

    def describe_nodes(self) -> dict[str, str]:
        """Return the processes or nodes by name, each with what it has."""

    def start(self, number: int, request: FitRequest) -> None:
        """Start a fit, or queue it. Its events arrive in later calls of `wait`."""

    def wait(self) -> None:
        """Report the events of about one second. Raises OSError for what the machine refuses."""

    def close(self) -> None:
        """Stop at once whatever runs."""


class MakeEngine(Protocol):
    """Makes the engine that executes some jobs; `clock` gives the time in seconds."""

    def __call__(
        self,
        *,
        inputs: FitInputs,
        jobs: Sequence[Job],
        on_event: OnEvent,
        should_stop: ShouldStop,
        clock: Callable[[], float],
    ) -> Engine:
        """Return the engine. Raises PipelineError where it cannot be made."""
