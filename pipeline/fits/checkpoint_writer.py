"""When the checkpoints of a fit are saved, and how: copied first, then hashed and written in a thread."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from models.checkpoint import Checkpoint

COST_FACTOR = 20  # seconds between two saves for a second of saving: checkpoints cost a fit 5 % of its time at most


class CheckpointWriter:
    """Saves checkpoints with `save`, which returns True if it did, one at a time.

    A save is due `interval` seconds of `clock` after the end of the one before, and later where saves are slow. With
    `in_background` the training goes on while a checkpoint is written.
    """

    def __init__(
        self, save: Callable[[Checkpoint], bool], interval: float, clock: Callable[[], float], in_background: bool
    ) -> None:
        self._save = save
        self._interval = interval
        self._clock = clock
        self._thread = ThreadPoolExecutor(1, "checkpoint") if in_background else None
        self._running: Future[bool] | None = None
        self._ended = clock()
        self._seconds = 0.0  # of the slowest save

    def is_due(self) -> bool:
        """Return True if a checkpoint is to be saved now."""
        if self._running is not None and not self._running.done():
            return False
        return self._clock() - self._ended >= max(self._interval, COST_FACTOR * self._seconds)

    def write(self, checkpoint: Checkpoint) -> None:
        """Save a checkpoint, after the one before; in the background, the caller may go on once this returns."""
        started = self._clock()
        if self._thread is None:
            self._running = Future()
            self._running.set_result(self._save_timed(checkpoint, started))
            return
        if self._running is not None:
            self._running.result()
        self._running = self._thread.submit(self._save_timed, checkpoint.copy_shared(), started)

    def collect(self, wait: bool = False) -> bool:
        """Return True if a checkpoint was saved since the last call. Raises the error of a save that failed."""
        if self._running is None or not (wait or self._running.done()):
            return False
        running, self._running = self._running, None
        return running.result()

    def close(self) -> None:
        """Wait for a save that is running."""
        if self._thread is not None:
            self._thread.shutdown()

    def _save_timed(self, checkpoint: Checkpoint, started: float) -> bool:
        try:
            return self._save(checkpoint)
        finally:
            self._ended = self._clock()
            self._seconds = max(self._seconds, self._ended - started)
