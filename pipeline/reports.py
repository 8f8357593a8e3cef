"""Reports of a fit that is done elsewhere: steps are told together, once a second."""

from collections.abc import Callable
from dataclasses import replace

from pipeline.fits.events import Event, Stepped

EVERY = 1.0  # seconds between reports


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
