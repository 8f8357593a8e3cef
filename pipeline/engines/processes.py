"""The engine of a machine with several GPUs, or many cores: one fit at a time in each of several processes.

Each process sees one GPU and its share of the cores, and writes its fits into the run directory itself.
"""

import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from multiprocessing import connection, get_context, parent_process
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from pipeline.artefacts import keep, keep_checkpoint, left_off
from pipeline.engines import Hear, Wish
from pipeline.orders import Began, Event, Failed, Finished, Left, Lost, Order
from pipeline.reports import Reports
from pipeline.shared import Shared

ENDS = (Finished, Left, Failed)
PATIENCE = 1.0  # seconds for a process to end that has lost its pipe
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS")


class Processes:
    """As many processes as there are `devices`: the GPU that each of them sees, "" for none. `threads` of a process;
    `models` is the folder of the run for frozen layers' states."""

    def __init__(
        self, shared: Shared, models: Path, hear: Hear, wish: Wish, devices: Sequence[str], threads: int
    ) -> None:
        self._hear, self._wish, self._threads = hear, wish, threads
        self._given = (shared, models)
        self._idle = [Process(number, device) for number, device in enumerate(devices)]
        self._busy: dict[Connection, tuple[int, Process]] = {}
        self.at_once = len(devices)

    @property
    def room(self) -> int:
        """The processes that do nothing."""
        return len(self._idle)

    def nodes(self) -> dict[str, str]:
        """The processes, which are alike but for their GPUs."""
        processes = sorted([*self._idle, *(process for _, process in self._busy.values())], key=lambda p: p.number)
        return {process.title: f"{self._threads} threads" for process in processes}

    def start(self, place: int, order: Order) -> None:
        """Give an order to a process, which is started for the first one."""
        process = self._idle.pop(0)
        if process.pipe is None:
            process.begin(self._given, self._threads)
        assert process.pipe is not None
        process.pipe.send(order)
        self._busy[process.pipe] = (place, process)
        self._hear(place, Began(process.title))

    def wait(self) -> None:
        """Tell what the processes told, and tell them who is to leave."""
        for pipe in connection.wait(list(self._busy), timeout=1.0):
            self._listen(pipe)  # type: ignore[arg-type]
        for pipe, (place, process) in self._busy.items():
            if self._wish(place) and not process.asked:
                process.asked = True
                pipe.send("leave")

    def _listen(self, pipe: Connection) -> None:
        place, process = self._busy[pipe]
        try:
            event: Event | OSError = pipe.recv()
        except (EOFError, ConnectionError):
            event = Lost(process.end(PATIENCE))
        if isinstance(event, OSError):
            raise event
        if isinstance(event, (*ENDS, Lost)):
            del self._busy[pipe]
            process.asked = False
            self._idle.append(process)
        self._hear(place, event)

    def close(self) -> None:
        """End all processes; what they have not saved is lost."""
        for process in [*self._idle, *(process for _, process in self._busy.values())]:
            process.end()


class Process:
    """A process that does fits on a device, or will once it has begun."""

    def __init__(self, number: int, device: str) -> None:
        self.title = f"process {number + 1}" + (f", {gpu(device)}" if device else "")
        self.number, self.device, self.asked = number + 1, device, False
        self.pipe: Connection | None = None
        self._process: Any = None

    def begin(self, given: tuple[Shared, Path], threads: int) -> None:
        """Start it."""
        context = get_context("spawn")  # a forked one inherits threads and a GPU in an unknown state
        self.pipe, theirs = context.Pipe()
        settings = {"CUDA_VISIBLE_DEVICES": self.device, "TQDM_DISABLE": "1", **dict.fromkeys(THREADS, str(threads))}
        with environment(settings):  # before its first import: afterwards libraries no longer look
            name = f"fits {self.number}"
            self._process = context.Process(target=_serve, args=(theirs, *given), name=name, daemon=True)
            self._process.start()
        theirs.close()

    def end(self, patience: float = 0.0) -> str:
        """Kill it, if it does not end by itself within so many seconds; returns how it ended."""
        if self._process is None or self.pipe is None:
            return ""
        self.pipe.close()
        self._process.join(patience)
        self._process.kill()
        self._process.join()
        code, self._process, self.pipe, self.asked = self._process.exitcode, None, None, False
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return f"its process ended ({how})" + (": the machine may be out of memory" if code == -9 else "")


def gpu(device: str) -> str:
    """What messages call a GPU: by its number, or by its own name."""
    return f"GPU {device}" if device.isdecimal() else device


@contextmanager
def environment(settings: dict[str, str]) -> Iterator[None]:
    """Environment variables for a while; what starts in it keeps them."""
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _serve(pipe: Connection, shared: Shared, models: Path) -> None:
    """Follow orders until there is nobody to give any."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):  # they go to a whole group of processes; `train` answers for all
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    from pipeline.caches import Caches
    from pipeline.worker import do_order

    caches = Caches(models)
    while True:
        try:
            order = pipe.recv()
        except EOFError:
            return
        if not isinstance(order, Order):  # it was asked to leave when it was done already
            continue
        reports = Reports(pipe.send, time.monotonic)
        try:
            do_order(
                order,
                shared,
                caches,
                tell=reports,
                asked=pipe.poll,
                start=partial(left_off, order.job),
                save=partial(keep_checkpoint, order.job),
                keep=lambda outcome, job=order.job: keep(job, outcome, shared),  # type: ignore[misc]
            )
        except OSError as error:
            pipe.send(error)


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
