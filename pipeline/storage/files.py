"""Atomic files: each is either complete or not there.

Everything Poolblend writes goes through `write_atomically` or `write_together`: a temporary folder beside the target,
fsync, then a rename. A reader never sees half a file, and a crash leaves the former one in place.
"""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pipeline.errors import PROBLEMS

PREFIX = ".poolblend-"  # of temporary folders; killed libraries leave files in them
NUMBER = re.compile(r"(?:os error|errno) (\d+)", re.IGNORECASE)


@contextmanager
def write_atomically(path: Path) -> Iterator[Path]:
    """Yield a temporary path; on a clean exit it is synced to disk and takes the place of `path`.

    It has the name of `path`, because some writers choose their format by it. On an error it is removed and `path`
    stays as it was. Raises OSError for a full disk or a folder that cannot be written, whatever the writer makes of it.
    """
    with write_together(path) as (temporary,):
        yield temporary


@contextmanager
def write_together(*paths: Path) -> Iterator[list[Path]]:
    """Yield temporary paths for several files: all are on the disk before the first is renamed; the last goes last."""
    with ExitStack() as stack:
        temporaries = [stack.enter_context(_make_temporary(path)) for path in paths]
        modes = [temporary.stat().st_mode for temporary in temporaries]
        with raise_plain_errors(paths[0]):
            yield temporaries
        for path, temporary, mode in zip(paths, temporaries, modes, strict=True):
            with raise_plain_errors(path):
                temporary.chmod(mode)  # safetensors makes files that their owner alone can read
                sync_to_disk(temporary)
        for path, temporary in zip(paths, temporaries, strict=True):
            temporary.replace(path)
        for folder in {path.parent for path in paths}:
            sync_to_disk(folder)


@contextmanager
def _make_temporary(path: Path) -> Iterator[Path]:
    """Yield a path of that name in a temporary folder beside it, which is removed afterwards."""
    with raise_plain_errors(path):
        _make_folders(path.parent)
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=path.parent))
    try:
        (folder / path.name).touch()
        yield folder / path.name
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _make_folders(folder: Path) -> None:
    """Make a folder and those above it; the name of each is on the disk before anything is in it."""
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for one in reversed(missing):
        sync_to_disk(one.parent)


@contextmanager
def raise_plain_errors(path: Path) -> Iterator[None]:
    """Raise an OSError about `path` in place of the errors that Rust, Arrow or a temporary name make of it."""
    try:
        yield
    except PROBLEMS:  # its words are the user's: an id may be called "errno 28"
        raise
    except Exception as error:
        match = NUMBER.search(str(error))
        number = getattr(error, "errno", None) or (int(match[1]) if match else None)
        if number is None:
            raise
        raise OSError(number, os.strerror(number), str(path)) from error


def remove_temporaries(folder: Path, *, below: bool = True) -> None:
    """Remove temporary folders of killed processes in `folder` and `below`. Only for the holder of its lock."""
    find = folder.rglob if below else folder.glob
    for left in list(find(f"{PREFIX}*")):
        shutil.rmtree(left, ignore_errors=True)


def sync_to_disk(path: Path) -> None:
    """Flush a file, or the names in a directory, to the disk."""
    if path.is_dir() and os.name == "nt":  # Windows cannot open a directory
        return
    descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
