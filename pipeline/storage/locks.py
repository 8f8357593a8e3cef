"""Locks: one process at a time writes a part of a run. The system lets go of a lock when its process dies."""

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from pipeline.errors import PipelineError
from pipeline.storage.files import plainly

LOOK = 0.3  # seconds to wait for a lock that somebody may just be looking at


@contextmanager
def only_one(root: Path, verb: str) -> Iterator[None]:
    """Hold the run directory `root` for a verb. Raises PipelineError that says who does, if another process has it."""
    path, existed = root / f".{verb}.lock", root.exists()
    with plainly(path):
        root.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        with plainly(path):
            lock.acquire(timeout=LOOK)
    except Timeout as error:
        raise PipelineError(
            f"`{verb}` already works on run {root.name}: {_holder(path)}; wait until it is done, or stop it"
        ) from error
    try:
        with plainly(path):
            path.write_text(f"process {os.getpid()} on {platform.node()}, since {datetime.now():%Y-%m-%d %H:%M:%S}")
        yield
    finally:
        with suppress(OSError):  # whoever waits for a removed file notices; Windows removes no open one
            path.unlink()
        lock.release()
        with suppress(OSError):  # a run that was refused leaves nothing behind
            if not existed:
                root.rmdir()


def held(root: Path, verb: str) -> bool:
    """Whether a process holds a run for a verb now."""
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


def _holder(path: Path) -> str:
    try:
        return path.read_text() or "another process"
    except OSError:  # Windows lets nobody read a locked file
        return "another process"
