"""Stop requests by signals: the first one stops after the running step, the second one at once."""

import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")  # Windows has no SIGHUP
FORCE_SECONDS = 2.0  # for the second signal to unwind; Python code does not run inside a long call of a C library
STOP_MESSAGE = b"\nstopping after this step, with the running fit saved; the same signal again stops at once\n"


@dataclass
class StopRequest:
    """The number of the signal that asked to stop; None so far."""

    number: int | None = None


@contextmanager
def handle_stop_signals() -> Iterator[StopRequest]:
    """Record the first Ctrl-C, SIGTERM or hang-up in the yielded request; raise KeyboardInterrupt for the second.

    A signal that is ignored, as under nohup, stays so. Python gives signals to the main thread alone: in another one,
    as in a notebook's, nothing is handled.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def handle_signal(number: int, frame: FrameType | None) -> None:
        if request.number is not None:
            raise KeyboardInterrupt
        request.number = number

    numbers = [int(getattr(signal, name)) for name in SIGNALS if hasattr(signal, name)]
    handlers = {number: signal.getsignal(number) for number in numbers}
    handled = [number for number in numbers if handlers[number] is not signal.SIG_IGN]
    ended = threading.Event()
    read_end, write_end = os.pipe()  # Python writes the number of each signal to it, from C, without running bytecode
    if hasattr(os, "set_blocking"):  # Windows has it from Python 3.12 on
        os.set_blocking(write_end, False)
    wakeup = signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    threading.Thread(target=_watch_signals, args=(read_end, handled, ended), daemon=True).start()
    for number in handled:
        signal.signal(number, handle_signal)
    try:
        yield request
    finally:
        ended.set()
        signal.set_wakeup_fd(wakeup)
        os.close(write_end)
        for number in handled:
            signal.signal(number, handlers[number])


def _watch_signals(read_end: int, handled: Sequence[int], ended: threading.Event) -> None:
    """Answer the first signal; end the process if the second one does not. Returns when the pipe closes."""
    seen = 0
    while number := os.read(read_end, 1):
        if number[0] not in handled:
            continue
        seen += 1
        if seen == 1:
            os.write(2, STOP_MESSAGE)
        elif seen == 2 and not ended.wait(FORCE_SECONDS):
            os._exit(128 + number[0])
    os.close(read_end)
