"""The engine of one CPU or GPU: one fit after the other in this process."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from pipeline.engines import Hear, Wish
from pipeline.fits.events import Began, Order
from pipeline.fits.inputs import Shared
from pipeline.fits.outputs import keep, keep_checkpoint, left_off


class Here:
    """`models` is the folder of the run for frozen layers' states; `clock` gives the time in seconds."""

    at_once = 1

    def __init__(self, shared: Shared, models: Path, hear: Hear, wish: Wish, clock: Callable[[], float]) -> None:
        from pipeline.fits.caches import Caches

        self.caches = Caches(models)
        self._shared, self._hear, self._wish, self._clock = shared, hear, wish, clock
        self._taken: tuple[int, Order] | None = None

    @property
    def room(self) -> int:
        """One, if no order is waiting."""
        return int(self._taken is None)

    def nodes(self) -> dict[str, str]:
        """Nothing that a user would not know."""
        return {}

    def start(self, place: int, order: Order) -> None:
        """Take an order, which the next `wait` follows from beginning to end."""
        self._taken = (place, order)

    def wait(self) -> None:
        """Follow the order."""
        from pipeline.fits.run_fit import do_order

        assert self._taken is not None
        (place, order), self._taken = self._taken, None
        self._hear(place, Began("this process"))
        do_order(
            order,
            self._shared,
            self.caches,
            tell=partial(self._hear, place),
            asked=partial(self._wish, place),
            start=partial(left_off, order.job),
            save=partial(keep_checkpoint, order.job),
            keep=lambda outcome: keep(order.job, outcome, self._shared),
            clock=self._clock,
        )

    def close(self) -> None:
        """Nothing runs between calls of `wait`."""
