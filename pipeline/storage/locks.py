"""Locks: one process at a time writes a part of a run. The system releases a lock when its process dies."""

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from pipeline.errors import PipelineError
from pipeline.storage.files import raise_plain_errors

WAIT_SECONDS = 0.3  # another process may test the lock at this moment


@contextmanager
def hold_lock(root: Path, verb: str) -> Iterator[None]:
    """Hold the lock of the run directory `root` for a command. Raises PipelineError if another process holds it."""
    path, note, existed = root / f".{verb}.lock", root / f".{verb}.holder", root.exists()
    with raise_plain_errors(path):
        root.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        with raise_plain_errors(path):
            lock.acquire(timeout=WAIT_SECONDS)
    except Timeout as error:
        raise PipelineError(
            f"`{verb}` already works on run {root.name}: {_read_holder(note)}; wait until it is done, or stop it"
        ) from error
    try:
        # Beside the lock: where a file system has no flock, the lock itself says which process holds it, and one that
        # was killed would hold it for ever.
        with raise_plain_errors(note):
            note.write_text(f"process {os.getpid()} on {platform.node()}, since {datetime.now():%Y-%m-%d %H:%M:%S}")
        yield
    finally:
        with suppress(OSError):
            note.unlink()
        with suppress(OSError):  # a waiting process notices a removed file; Windows removes no open one
            path.unlink()
        lock.release()
        with suppress(OSError):  # a run that was refused leaves nothing behind
            if not existed:
                root.rmdir()


def is_locked(root: Path, verb: str) -> bool:
    """Return True if a process holds the lock of a run for a command."""
    path = root / f".{verb}.lock"
    if not path.exists():
        return False
    lock = FileLock(path)
    try:
        lock.acquire(blocking=False)
    except (Timeout, OSError):
        return True
    lock.release()
    return False


def _read_holder(note: Path) -> str:
    try:
        return note.read_text() or "another process"
    except OSError:  # it has the lock, and has not written its note yet
        return "another process"
