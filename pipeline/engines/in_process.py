"""The engine of one CPU or GPU: one fit after the other in this process."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from pipeline.engines.protocol import OnEvent, ShouldStop
from pipeline.errors import PipelineError
from pipeline.fits.caches import Caches
from pipeline.fits.events import Event, FitLost, FitRequest, FitStarted
from pipeline.fits.inputs import FitInputs
from pipeline.fits.outputs import FitStorage
from pipeline.fits.run_fit import run_request


class InProcessEngine:
    """Runs fits one after the other; `models` is the run's folder for states of frozen layers."""

    slots = 1

    def __init__(
        self,
        inputs: FitInputs,
        models: Path,
        on_event: OnEvent,
        should_stop: ShouldStop,
        clock: Callable[[], float],
    ) -> None:
        self.caches = Caches(models)
        self._inputs = inputs
        self._on_event = on_event
        self._should_stop = should_stop
        self._clock = clock
        self._next: tuple[int, FitRequest] | None = None

    @property
    def free_slots(self) -> int:
        """1, or 0 while a request waits."""
        return int(self._next is None)

    def describe_nodes(self) -> dict[str, str]:
        """Return no nodes: there is only this process."""
        return {}

    def start(self, number: int, request: FitRequest) -> None:
        """Take a request; the next `wait` runs the fit."""
        self._next = (number, request)

    def wait(self) -> None:
        """Run the fit from its beginning to its end. Raises PipelineError if this process lost its GPU."""
        assert self._next is not None
        number, request = self._next
        self._next = None
        self._on_event(number, FitStarted("this process"))
        lost: list[FitLost] = []

        def handle_event(event: Event) -> None:
            self._on_event(number, event)
            if isinstance(event, FitLost):
                lost.append(event)

        run_request(
            request,
            self._inputs,
            self.caches,
            FitStorage.in_run(request.job, self._inputs),
            on_event=handle_event,
            should_stop=partial(self._should_stop, number),
            clock=self._clock,
        )
        if lost:
            raise PipelineError(
                f"{request.job.title} cannot go on in this process, because {lost[0].reason}: run the same command "
                "again, without --workers 1 on a GPU, so that each process that loses its GPU is replaced"
            )

    def close(self) -> None:
        """Do nothing: no fit runs between calls of `wait`."""
