"""Stopping gently: the first signal asks, the second one stops at once."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")  # Windows has no SIGHUP
SAID = b"\nstopping after this step, with the running fit saved; the same signal again stops at once\n"


@dataclass
class StopRequest:
    """Whether somebody asked to stop: the number of the signal, None so far."""

    number: int | None = None


@contextmanager
def stoppable() -> Iterator[StopRequest]:
    """While it lasts, the first Ctrl-C, SIGTERM or hang-up only leaves its number; the second is a KeyboardInterrupt.

    A signal that is ignored, as under nohup, stays so.
    """
    request = StopRequest()

    def ask(number: int, frame: FrameType | None) -> None:
        if request.number is not None:
            raise KeyboardInterrupt
        request.number = number
        os.write(2, SAID)  # print could be in the middle of a line of its own

    numbers = [int(getattr(signal, name)) for name in SIGNALS if hasattr(signal, name)]
    former = {number: signal.getsignal(number) for number in numbers}
    heeded = [number for number in numbers if former[number] is not signal.SIG_IGN]
    for number in heeded:
        signal.signal(number, ask)
    try:
        yield request
    finally:
        for number in heeded:
            signal.signal(number, former[number])
