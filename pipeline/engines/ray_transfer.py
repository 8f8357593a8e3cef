"""What is put into a cluster's object store: once for all fits, and fetched once by each node.

A fit on a node of a cluster: what was put into the object store is unpacked, what it gives travels back.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from models.checkpoint import Checkpoint
from models.tokens import Tokens
from pipeline.fits.caches import Caches, list_token_tables
from pipeline.fits.events import (
    Event,
    EventThrottle,
    FitFailed,
    FitFinished,
    FitInterrupted,
    FitRequest,
    FitResult,
    FitStarted,
)
from pipeline.fits.inputs import FitInputs
from pipeline.fits.job import Job
from pipeline.fits.outputs import FitStorage, describe_failure
from pipeline.fits.run_fit import run_request

Files = Mapping[str, np.ndarray]  # bytes of a backbone's files by name


class ObjectStore:
    """References to rows, tokens and backbones, each put there by `put` when a fit first needs it."""

    def __init__(self, put: Callable[[Any], Any], shared: FitInputs, caches: Caches) -> None:
        self._put, self._shared, self._caches = put, shared, caches
        self._there: dict[str, Any] = {}

    def given(self, job: Job) -> tuple[Any, dict[str, Any], tuple[str, Any] | None]:
        """What a fit is given: the shared rows, tokens by their keys, and its backbone's hash and files.

        A linear one needs neither tokens nor a backbone. Texts are Arrow's, which all fits of a node share.
        """
        shared = self._once("shared", lambda: self._shared)
        if job.is_linear:
            return shared, {}, None
        tokens = {
            key: self._once(key, make)
            for key, make in list_token_tables(job.training, self._shared, self._caches).items()
        }
        return shared, tokens, self._backbone(job)

    def _backbone(self, job: Job) -> tuple[str, Any]:
        from models.encoder.backbone import files_of

        found = self._caches.backbone(job.training)
        files = files_of(found.folder)
        return found.sha256, self._once(
            found.sha256, lambda: {path.name: np.fromfile(path, np.uint8) for path in files}
        )

    def _once(self, what: str, make: Callable[[], Any]) -> Any:
        if what not in self._there:
            self._there[what] = self._put(make())
        return self._there[what]


class Line:
    """The line to the driver's desk: tells events of a fit and hears in answer whether it is to leave."""

    def __init__(self, tell: Callable[[Any], bool], every: float) -> None:
        self._tell, self._every, self._leave, self._spoke = tell, every, False, time.monotonic()

    def tell(self, event: Any) -> None:
        """Tell something, None to listen only."""
        self._leave, self._spoke = self._tell(event), time.monotonic()

    def asked(self) -> bool:
        """Whether to leave; as of so many seconds ago at most."""
        if time.monotonic() - self._spoke > self._every:
            self.tell(None)
        return self._leave


@cache
def process_caches() -> Caches:
    """What the fits share that one process of a node does, one after the other."""
    return Caches(Path(tempfile.gettempdir()))


def do_on_node(
    order: FitRequest,
    start: Checkpoint | None,
    shared: FitInputs,
    tokens: Mapping[str, Tokens],
    backbone: tuple[str, Files] | None,
    tell: Callable[[Any], bool],
    put: Callable[[Checkpoint], Any],
    every: float,
) -> tuple[Event, FitResult | None]:
    """Do a fit; returns its last event, for a Finished one with what it gave.

    `backbone` is the hash and the files of it; `tell` gives an event to the driver's desk, `put` a checkpoint to the
    object store; the driver hears of steps `every` so many seconds.
    """
    caches = process_caches()
    line = Line(tell, every)
    results: list[FitResult] = []
    last: list[Event] = []
    throttle = EventThrottle(line.tell, time.monotonic, every)

    def on_event(event: Event) -> None:
        if isinstance(event, FitFinished | FitFailed | FitInterrupted):
            last.append(event)
        else:
            throttle(event)

    def send_checkpoint(checkpoint: Checkpoint) -> bool:
        line.tell([put(checkpoint)])
        return False  # the driver will have saved it

    storage = FitStorage(
        load_checkpoint=lambda: None if start is None else writable(start),
        save_checkpoint=send_checkpoint,
        save_result=results.append,
    )
    line.tell(FitStarted(""))
    try:
        caches.kept.update(tokens)
        if backbone is not None:
            caches.folders[order.job.training.backbone] = unpacked(*backbone)
        run_request(order, shared, caches, storage, on_event=on_event, should_stop=line.asked)
    except OSError as error:  # of this node, not of the run
        return describe_failure(error), None
    return last[0], results[0] if results else None


def writable(checkpoint: Checkpoint) -> Checkpoint:
    """A checkpoint whose arrays are its own: those out of the object store are shared, and must not be written to."""
    return Checkpoint({name: array.copy() for name, array in checkpoint.arrays.items()}, checkpoint.place)


def unpacked(sha256: str, files: Files) -> Path:
    """The folder of a backbone on this node, written by whichever process needs it first."""
    user = os.getuid() if hasattr(os, "getuid") else 0
    root = Path(tempfile.gettempdir(), f"poolblend-{user}")
    root.mkdir(mode=0o700, exist_ok=True)
    if root.stat().st_uid != user:  # somebody else made it: whatever lies there is theirs
        root = Path(tempfile.mkdtemp(prefix="poolblend-"))
    folder = root / sha256
    if not _whole(folder, files):
        with tempfile.TemporaryDirectory(dir=root) as temporary:
            made = Path(temporary, "backbone")
            made.mkdir()
            for name, content in files.items():
                (made / name).write_bytes(content.data)
            shutil.rmtree(folder, ignore_errors=True)  # half of it, if a cleaner of temporary files was there
            with suppress(OSError):  # another process was first
                made.rename(folder)
    return folder


def _whole(folder: Path, files: Files) -> bool:
    return all((folder / name).is_file() and (folder / name).stat().st_size == len(files[name]) for name in files)
