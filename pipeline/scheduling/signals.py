"""Stopping gently: the first signal asks, the second one stops at once."""

import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")  # Windows has no SIGHUP
PATIENCE = 2.0  # seconds for the second signal to unwind; a library deep in C code never hears of it
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

    numbers = [int(getattr(signal, name)) for name in SIGNALS if hasattr(signal, name)]
    former = {number: signal.getsignal(number) for number in numbers}
    heeded = [number for number in numbers if former[number] is not signal.SIG_IGN]
    ended, (arrivals, wakeup) = threading.Event(), os.pipe()
    os.set_blocking(wakeup, False)
    before = signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(arrivals, heeded, ended), daemon=True).start()
    for number in heeded:
        signal.signal(number, ask)
    try:
        yield request
    finally:
        ended.set()
        signal.set_wakeup_fd(before)
        os.close(wakeup)
        for number in heeded:
            signal.signal(number, former[number])


def _watch(arrivals: int, heeded: Sequence[int], ended: threading.Event) -> None:
    """Answer the first signal, and end the process after the second if nobody else does. Ends when the pipe does."""
    seen = 0
    while number := os.read(arrivals, 1):
        if number[0] not in heeded:
            continue
        seen += 1
        if seen == 1:
            os.write(2, SAID)
        elif seen == 2 and not ended.wait(PATIENCE):
            os._exit(128 + number[0])
    os.close(arrivals)
