"""The engine of one CPU or GPU: one fit after the other in this process."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from pipeline.engines import Hear, Wish
from pipeline.fits.events import FitRequest, FitStarted
from pipeline.fits.inputs import FitInputs
from pipeline.fits.outputs import FitStorage


class Here:
    """`models` is the folder of the run for frozen layers' states; `clock` gives the time in seconds."""

    at_once = 1

    def __init__(self, shared: FitInputs, models: Path, hear: Hear, wish: Wish, clock: Callable[[], float]) -> None:
        from pipeline.fits.caches import Caches

        self.caches = Caches(models)
        self._shared, self._hear, self._wish, self._clock = shared, hear, wish, clock
        self._taken: tuple[int, FitRequest] | None = None

    @property
    def room(self) -> int:
        """One, if no order is waiting."""
        return int(self._taken is None)

    def nodes(self) -> dict[str, str]:
        """Nothing that a user would not know."""
        return {}

    def start(self, place: int, order: FitRequest) -> None:
        """Take an order, which the next `wait` follows from beginning to end."""
        self._taken = (place, order)

    def wait(self) -> None:
        """Follow the order."""
        from pipeline.fits.run_fit import run_request

        assert self._taken is not None
        (place, order), self._taken = self._taken, None
        self._hear(place, FitStarted("this process"))
        run_request(
            order,
            self._shared,
            self.caches,
            FitStorage.in_run(order.job, self._shared),
            on_event=partial(self._hear, place),
            should_stop=partial(self._wish, place),
            clock=self._clock,
        )

    def close(self) -> None:
        """Nothing runs between calls of `wait`."""
