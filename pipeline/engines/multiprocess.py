"""The engine of a machine with several GPUs, or many cores: one fit at a time in each of several processes.

Each process uses one GPU and its share of the cores, and writes its fits into the run directory itself.
"""

import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import connection, get_all_start_methods, get_context, parent_process, resource_tracker
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from pipeline.display import format_count, print_warnings
from pipeline.engines.protocol import OnEvent, ShouldStop
from pipeline.errors import PipelineError
from pipeline.fits.caches import Caches
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
from pipeline.fits.run_fit import run_request
from pipeline.storage.files import remove_temporaries

LAST_EVENTS = (FitFinished, FitInterrupted, FitFailed, FitLost)
EXIT_SECONDS = 1.0  # for a process to exit that has closed its pipe
MAX_STARTUP_FAILURES = 3  # processes in a row that may end before they start a fit
MAX_FAILURES = 2  # unforeseen errors in a row after which a process gets no more fits, unless it is the last one
STOP = "stop"  # asks a process to save its fit and stop it
SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS")


class MultiprocessEngine:
    """Runs a process for each of `devices`: the GPU that it uses, "" for none.

    `threads` is for one process; `models` is the run's folder that the processes write into; `preload` names the
    modules that are imported once for all of them.
    """

    def __init__(
        self,
        inputs: FitInputs,
        models: Path,
        on_event: OnEvent,
        should_stop: ShouldStop,
        *,
        devices: Sequence[str],
        threads: int,
        preload: Sequence[str],
    ) -> None:
        self.slots = len(devices)
        self._inputs = inputs
        self._models = models
        self._on_event = on_event
        self._should_stop = should_stop
        self._threads = threads
        self._preload = list(preload)
        self._idle = [WorkerProcess(number, device) for number, device in enumerate(devices, 1)]
        self._busy: dict[int, WorkerProcess] = {}  # by the number of the fit
        self._resting: list[WorkerProcess] = []  # after an unforeseen error, until another process has finished a fit
        self._startup_failures = 0

    @property
    def free_slots(self) -> int:
        """The number of idle processes."""
        return len(self._idle)

    def describe_nodes(self) -> dict[str, str]:
        """Return the processes with their threads."""
        processes = sorted([*self._idle, *self._busy.values(), *self._resting], key=lambda process: process.number)
        return {process.title: format_count(self._threads, "thread") for process in processes}

    def start(self, number: int, request: FitRequest) -> None:
        """Send a request to an idle process, which is started for its first one."""
        process = self._busy[number] = self._idle.pop(0)
        if process.pipe is None:
            process.begin(self._inputs, self._models, self._threads, self._preload)
        process.send(request)

    def wait(self) -> None:
        """Report what the processes sent, and tell those to stop whose fits are to be stopped."""
        numbers = {process.pipe: number for number, process in self._busy.items() if process.pipe is not None}
        for pipe in connection.wait(list(numbers), timeout=1.0):
            self._receive(numbers[pipe])  # type: ignore[index]
        for number, process in self._busy.items():
            if self._should_stop(number) and not process.is_stopping:
                process.is_stopping = True
                process.send(STOP)

    def close(self) -> None:
        """Kill all processes, and remove the files that they were writing; unsaved work is lost."""
        for process in [*self._idle, *self._busy.values(), *self._resting]:
            process.end()
        remove_temporaries(self._models)

    def _receive(self, number: int) -> None:
        """Report one event of a fit. Raises OSError if the process sent one."""
        process = self._busy[number]
        assert process.pipe is not None
        try:
            event: Event | OSError = process.pipe.recv()
        except (EOFError, OSError):
            event = FitLost(process.end(EXIT_SECONDS))
            self._count_startup_failure(event)
        if isinstance(event, OSError):
            raise event
        if isinstance(event, FitLost) and process.pipe is not None:
            process.end(EXIT_SECONDS)  # it cannot use its GPU any more; the next fit gets a new process
        if isinstance(event, FitStarted):
            self._startup_failures = 0
        if isinstance(event, LAST_EVENTS):
            self._free(self._busy.pop(number), event)
        self._on_event(number, event)

    def _free(self, process: "WorkerProcess", event: Event) -> None:
        """Put a process whose fit ended among the idle ones.

        After an unforeseen error it is replaced, and rests until another one finished a fit: a broken GPU fails fast,
        and would take one fit after the other. A process that fails again and again gets no more.
        """
        process.is_stopping = False
        if isinstance(event, FitFailed) and event.traceback is not None:
            process.end(EXIT_SECONDS)
            process.failures += 1
            self._resting.append(process)
        else:
            if isinstance(event, FitFinished):
                process.failures = 0
            self._idle.append(process)
        if isinstance(event, FitFinished) or not self._busy:
            others = len(self._idle) + len(self._busy)
            rested, self._resting = self._resting, []
            for one in rested:
                if one.failures < MAX_FAILURES or not others:
                    self._idle.append(one)
                    others += 1
                else:
                    self.slots -= 1
                    print_warnings([f"{one.title} gets no more fits, after {one.failures} errors in a row"])

    def _count_startup_failure(self, lost: FitLost) -> None:
        """Count a process that ended; the next fit that starts resets the count. Raises PipelineError after a few."""
        self._startup_failures += 1
        if self._startup_failures == MAX_STARTUP_FAILURES:
            raise PipelineError(
                f"worker processes cannot start: {lost.reason}; their messages are above; --workers 1 needs none"
            )


class WorkerProcess:
    """A process that runs fits on a device; `pipe` is None until it has begun and after it has ended."""

    def __init__(self, number: int, device: str) -> None:
        self.number = number
        self.device = device
        self.title = f"process {number}" + (f", {name_gpu(device)}" if device else "")
        self.is_stopping = False
        self.failures = 0  # unforeseen errors in a row
        self.pipe: Connection | None = None
        self._process: Any = None

    def begin(self, inputs: FitInputs, models: Path, threads: int, preload: list[str]) -> None:
        """Start the process."""
        context = make_context(preload)
        self.pipe, child_pipe = context.Pipe()
        if os.name != "nt":
            resource_tracker.ensure_running()  # first: its start would unblock signals
        variables = {"CUDA_VISIBLE_DEVICES": self.device, "TQDM_DISABLE": "1", **list_thread_variables(threads)}
        with set_environment(variables), block_signals():
            name = f"fits {self.number}"
            arguments = (child_pipe, self.title, variables, threads)
            self._process = context.Process(target=_serve_requests, args=arguments, name=name, daemon=True)
            self._process.start()
        child_pipe.close()
        self.send((inputs, models))  # not as an argument: a write to a process that died at its start would never end

    def send(self, message: Any) -> None:
        """Send a message. If the process is gone, the next read from it shows that."""
        assert self.pipe is not None
        with suppress(ConnectionError):
            self.pipe.send(message)

    def end(self, seconds: float = 0.0) -> str:
        """Kill the process unless it ends by itself within some seconds; return how it ended."""
        if self._process is None or self.pipe is None:
            return ""
        self.pipe.close()
        self._process.join(seconds)
        self._process.kill()
        self._process.join()
        code = self._process.exitcode
        self._process = None
        self.pipe = None
        self.is_stopping = False
        if code == -9:  # SIGKILL, which Windows does not name
            return "its process was killed by signal 9, the machine may be out of memory"
        return f"its process was killed by signal {-code}" if code < 0 else f"its process ended with exit code {code}"


def make_context(preload: list[str]) -> Any:
    """Return how processes start: as copies of one that has imported modules, and has used nothing of them.

    A copy of this process itself would inherit threads and a GPU in an unknown state. Windows starts each afresh.
    """
    if "forkserver" not in get_all_start_methods():
        return get_context("spawn")
    context = get_context("forkserver")
    context.set_forkserver_preload(preload)
    return context


def list_thread_variables(threads: int) -> dict[str, str]:
    """Return the environment variables from which libraries read their number of threads when they are loaded."""
    return dict.fromkeys(THREAD_VARIABLES, str(threads))


def name_gpu(device: str) -> str:
    """Return the name of a GPU in messages: its number, or the name that CUDA_VISIBLE_DEVICES gives it."""
    return f"GPU {device}" if device.isdecimal() else device


@contextmanager
def block_signals() -> Iterator[None]:
    """Block signals for a while; a process that starts meanwhile begins with them blocked. Not on Windows."""
    if os.name == "nt":
        yield
        return
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {getattr(signal, name) for name in SIGNALS})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


@contextmanager
def set_environment(variables: dict[str, str]) -> Iterator[None]:
    """Set environment variables for a while; a process that starts meanwhile keeps them."""
    former = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in former.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _serve_requests(pipe: Connection, title: str, variables: dict[str, str], threads: int) -> None:
    """Run in a worker process: execute requests until the pipe is closed."""
    os.environ.update(variables)  # the process that this one is a copy of may have others
    for name in SIGNALS:  # a terminal sends them to all processes of a group; only `train` handles them
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    from threadpoolctl import threadpool_limits
    from tqdm import tqdm

    threadpool_limits(threads)  # of libraries that read the variables when they were loaded
    tqdm.set_lock(threading.RLock())  # its default is a semaphore, which outlives a killed process
    with suppress(EOFError, ConnectionError):  # the parent is gone
        inputs, models = pipe.recv()
        caches = Caches(models)
        while True:
            request = pipe.recv()
            if not isinstance(request, FitRequest):  # STOP arrived after the end of its fit
                continue
            pipe.send(FitStarted(title))
            if not request.job.is_linear:
                from models.device import set_threads

                set_threads(threads)
            try:
                run_request(
                    request,
                    inputs,
                    caches,
                    FitStorage.in_run(request.job, inputs),
                    on_event=EventThrottle(pipe.send, time.monotonic),
                    should_stop=pipe.poll,  # STOP is the only message during a fit
                )
                # After a FitLost the parent closes the pipe.
            except ConnectionError:
                raise
            except OSError as error:
                pipe.send(OSError(error.errno, error.strerror or str(error), error.filename))


def _exit_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
