"""Engines: where fits are done. Each takes orders and tells what becomes of them; `train` knows no more of them.

`here` does one fit after the other in this process, `processes` one in each of several processes of this machine,
`cluster` as many as a Ray cluster holds. Fits are independent and set their own seeds, so all give the same bytes on
the same CPU with the same threads.
"""

from collections.abc import Callable
from typing import Protocol

from pipeline.fits.events import Event, FitRequest

Hear = Callable[[int, Event], None]
Wish = Callable[[int], bool]


class Engine(Protocol):
    """Does fits. It was made with `hear(place, event)`, which it tells all that happens, and `wish(place)`, which says
    whether a fit is to be saved and left. Places number the fits."""

    @property
    def at_once(self) -> int:
        """How many fits it does at a time; it may change."""

    @property
    def room(self) -> int:
        """How many fits more it takes now."""

    def nodes(self) -> dict[str, str]:
        """Where it does them, and what each of these places has."""

    def start(self, place: int, order: FitRequest) -> None:
        """Take an order. What becomes of it is heard in `wait`."""

    def wait(self) -> None:
        """Tell what happened, or wait about a second for it. Raises OSError for what the machine refuses."""

    def close(self) -> None:
        """Stop whatever runs, at once."""
