"""The engine of a machine with several GPUs, or many cores: one fit at a time in each of several processes.

Each process sees one GPU and its share of the cores, and writes its fits into the run directory itself.
"""

import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import connection, get_context, parent_process, resource_tracker
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from pipeline.display import format_count
from pipeline.engines import Hear, Wish
from pipeline.errors import PipelineError
from pipeline.fits.events import (
    Event,
    EventThrottle,
    FitFailed,
    FitFinished,
    FitInterrupted,
    FitLost,
    FitRequest,
    FitStarted,
)
from pipeline.fits.inputs import FitInputs
from pipeline.fits.outputs import FitStorage
from pipeline.storage.files import remove_temporaries

ENDS = (FitFinished, FitInterrupted, FitFailed)
PATIENCE = 1.0  # seconds for a process to end that has closed its pipe
STILLBORN = 3  # processes one after the other that may end before they begin a fit
SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS")


class Processes:
    """As many processes as there are `devices`: the GPU that each of them sees, "" for none. `threads` of a process;
    `models` is the folder of the run that they write into."""

    def __init__(
        self, shared: FitInputs, models: Path, hear: Hear, wish: Wish, devices: Sequence[str], threads: int
    ) -> None:
        self._hear, self._wish, self._threads = hear, wish, threads
        self._given, self._models = (shared, models), models
        self._idle = [Process(number, device) for number, device in enumerate(devices, 1)]
        self._busy: dict[int, Process] = {}  # by the place of its fit
        self._stillborn = 0
        self.at_once = len(devices)

    @property
    def room(self) -> int:
        """The processes that do nothing."""
        return len(self._idle)

    def nodes(self) -> dict[str, str]:
        """The processes, which are alike but for their GPUs."""
        processes = sorted([*self._idle, *self._busy.values()], key=lambda process: process.number)
        return {process.title: format_count(self._threads, "thread") for process in processes}

    def start(self, place: int, order: FitRequest) -> None:
        """Give an order to a process, which is started for the first one."""
        process = self._busy[place] = self._idle.pop(0)
        if process.pipe is None:
            process.begin(self._given, self._threads)
        process.tell(order)

    def wait(self) -> None:
        """Tell what the processes told, and tell them who is to leave."""
        places = {process.pipe: place for place, process in self._busy.items()}
        for pipe in connection.wait([pipe for pipe in places if pipe is not None], timeout=1.0):
            self._listen(places[pipe])  # type: ignore[index]
        for place, process in self._busy.items():
            if self._wish(place) and not process.asked:
                process.asked = True
                process.tell("leave")

    def _listen(self, place: int) -> None:
        process = self._busy[place]
        assert process.pipe is not None
        try:
            event: Event | OSError = process.pipe.recv()
        except (EOFError, OSError):
            event = FitLost(process.end(PATIENCE))
            self._count_stillborn(event)
        if isinstance(event, OSError):
            raise event
        if isinstance(event, FitStarted):
            self._stillborn = 0
        if isinstance(event, (*ENDS, FitLost)):
            self._idle.append(self._busy.pop(place))
            process.asked = False
        self._hear(place, event)

    def _count_stillborn(self, lost: FitLost) -> None:
        """Count processes that end at their start, which none survives. Raises PipelineError after a few."""
        self._stillborn += 1
        if self._stillborn == STILLBORN:
            raise PipelineError(
                f"a process for fits cannot start: {lost.reason}; what it said stands above; --workers 1 does without"
            )

    def close(self) -> None:
        """End all processes; what they have not saved is lost, and what killed ones had begun to write is removed."""
        for process in [*self._idle, *self._busy.values()]:
            process.end()
        remove_temporaries(self._models)


class Process:
    """A process that does fits on a device, or will once it has begun."""

    def __init__(self, number: int, device: str) -> None:
        self.title = f"process {number}" + (f", {gpu(device)}" if device else "")
        self.number, self.device, self.asked = number, device, False
        self.pipe: Connection | None = None
        self._process: Any = None

    def begin(self, given: tuple[FitInputs, Path], threads: int) -> None:
        """Start it."""
        context = get_context("spawn")  # a forked one inherits threads and a GPU in an unknown state
        self.pipe, theirs = context.Pipe()
        if os.name != "nt":
            resource_tracker.ensure_running()  # beforehand: its start would let signals through again
        settings = {"CUDA_VISIBLE_DEVICES": self.device, "TQDM_DISABLE": "1", **dict.fromkeys(THREADS, str(threads))}
        with environment(settings), deaf():  # before its first import: afterwards libraries no longer look
            name = f"fits {self.number}"
            self._process = context.Process(target=_serve, args=(theirs, self.title), name=name, daemon=True)
            self._process.start()
        theirs.close()
        self.tell(given)  # not among the arguments: a write to a process that died at its start would never end

    def tell(self, what: Any) -> None:
        """Send it something. If it is gone, listening to it will show that."""
        assert self.pipe is not None
        with suppress(ConnectionError):
            self.pipe.send(what)

    def end(self, patience: float = 0.0) -> str:
        """Kill it, if it does not end by itself within so many seconds; returns how it ended."""
        if self._process is None or self.pipe is None:
            return ""
        self.pipe.close()
        self._process.join(patience)
        self._process.kill()
        self._process.join()
        code, self._process, self.pipe, self.asked = self._process.exitcode, None, None, False
        memory = ": the machine may be out of memory" if code == -9 else ""
        return f"its process ended ({f'killed by signal {-code}' if code < 0 else f'exit code {code}'}){memory}"


def gpu(device: str) -> str:
    """What messages call a GPU: by its number, or by its own name."""
    return f"GPU {device}" if device.isdecimal() else device


@contextmanager
def deaf() -> Iterator[None]:
    """Signals wait for a while; what starts in it hears none, even before it can say so. Windows has no such thing."""
    if os.name == "nt":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {getattr(signal, name) for name in SIGNALS})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


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


def _serve(pipe: Connection, title: str) -> None:
    """Follow orders until there is nobody to give any."""
    for name in SIGNALS:  # they go to a whole group of processes; `train` answers for all
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    from tqdm import tqdm

    from pipeline.fits.caches import Caches
    from pipeline.fits.run_fit import run_request

    tqdm.set_lock(threading.RLock())  # its own is a semaphore, which outlives a killed process
    with suppress(EOFError, ConnectionError):  # nobody is left to hear
        shared, models = pipe.recv()
        caches = Caches(models)
        while True:
            order = pipe.recv()
            if not isinstance(order, FitRequest):  # it was asked to leave when it was done already
                continue
            pipe.send(FitStarted(title))
            try:
                run_request(
                    order,
                    shared,
                    caches,
                    FitStorage.in_run(order.job, shared),
                    on_event=EventThrottle(pipe.send, time.monotonic),
                    should_stop=pipe.poll,
                )
            except ConnectionError:
                raise
            except OSError as error:
                pipe.send(OSError(error.errno, error.strerror or str(error), error.filename))


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
