"""The way of a fit's inputs and results through a Ray cluster's object store.

On the driver, `ObjectStore` puts inputs there once for all fits, and each node fetches them once. On a node,
`run_on_node` unpacks them, runs the fit, and returns its result.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from models.checkpoint import Checkpoint
from pipeline.engines.ray_events import CheckpointSent, EventChannel, Message
from pipeline.fits.caches import Caches, list_token_tables
from pipeline.fits.events import (
    Event,
    EventThrottle,
    FitFailed,
    FitFinished,
    FitInterrupted,
    FitLost,
    FitRequest,
    FitResult,
    FitStarted,
)
from pipeline.fits.inputs import FitInputs
from pipeline.fits.job import Job
from pipeline.fits.outputs import FitStorage, describe_failure
from pipeline.fits.run_fit import run_request

if TYPE_CHECKING:
    from models.tokens import Tokens

BackboneFiles = Mapping[str, np.ndarray]  # their bytes by name


class ObjectStore:
    """References to inputs, tokens and backbones; `put` puts each into the store when a fit first needs it."""

    def __init__(self, put: Callable[[Any], Any], inputs: FitInputs, caches: Caches) -> None:
        self._put = put
        self._inputs = inputs
        self._caches = caches
        self._references: dict[str, Any] = {}

    def put_inputs(self, job: Job) -> tuple[Any, dict[str, Any], tuple[str, Any] | None]:
        """Return references to a fit's inputs, to its tokens by their keys, and its backbone's hash and reference.

        A linear fit has no tokens and no backbone. Texts are Arrow arrays, which all fits of a node share.
        """
        inputs = self._put_once("inputs", lambda: self._inputs)
        if job.is_linear:
            return inputs, {}, None
        tables = list_token_tables(job.training, self._inputs, self._caches)
        tokens = {key: self._put_once(key, make_tokens) for key, make_tokens in tables.items()}
        return inputs, tokens, self._put_backbone(job)

    def _put_backbone(self, job: Job) -> tuple[str, Any]:
        backbone = self._caches.open_backbone(job.training)

        def read_files() -> BackboneFiles:
            from models.encoder.backbone import list_backbone_files

            return {path.name: np.fromfile(path, np.uint8) for path in list_backbone_files(backbone.folder)}

        return backbone.sha256, self._put_once(backbone.sha256, read_files)

    def _put_once(self, key: str, make: Callable[[], Any]) -> Any:
        if key not in self._references:
            self._references[key] = self._put(make())
        return self._references[key]


def run_on_node(
    request: FitRequest,
    checkpoint: Checkpoint | None,
    inputs: FitInputs,
    tokens: Mapping[str, "Tokens"],
    backbone: tuple[str, BackboneFiles] | None,
    send: Callable[[Message | None], bool],
    put: Callable[[Checkpoint], Any],
    every: float,
) -> tuple[Event, FitResult | None]:
    """Run a fit on a node; return its last event, and its result if it finished.

    `backbone` is its hash and its files. `send` gives a message to the queue and returns True if the fit is to stop,
    `put` puts a checkpoint into the object store; steps are reported every `every` seconds.
    """
    caches = get_process_caches()
    channel = EventChannel(send, every)
    throttle = EventThrottle(channel.send, time.monotonic, every)
    results: list[FitResult] = []
    last_events: list[Event] = []

    def handle_event(event: Event) -> None:
        if isinstance(event, FitFinished | FitFailed | FitInterrupted | FitLost):
            last_events.append(event)  # it is returned together with the result
        else:
            throttle(event)

    def send_checkpoint(checkpoint: Checkpoint) -> bool:
        channel.send(CheckpointSent(put(checkpoint)))
        return False  # the driver saves it

    storage = FitStorage(
        load_checkpoint=lambda: None if checkpoint is None else copy_checkpoint(checkpoint),
        save_checkpoint=send_checkpoint,
        save_result=results.append,
    )
    channel.send(FitStarted(""))  # `send` knows the node
    try:
        caches.tokens.update(tokens)
        if backbone is not None:
            caches.backbone_folders[request.job.training.backbone] = unpack_backbone(*backbone)
        run_request(request, inputs, caches, storage, on_event=handle_event, should_stop=channel.should_stop)
    except OSError as error:  # of this node, not of the run
        return describe_failure(error), None
    return last_events[0], results[0] if results else None


@cache
def get_process_caches() -> Caches:
    """Return the caches that the fits of one process of a node share."""
    return Caches(Path(tempfile.gettempdir()))


def copy_checkpoint(checkpoint: Checkpoint) -> Checkpoint:
    """Return a checkpoint that may be written to: arrays from the object store are shared and read-only."""
    return Checkpoint({name: array.copy() for name, array in checkpoint.arrays.items()}, checkpoint.place)


def unpack_backbone(sha256: str, files: BackboneFiles) -> Path:
    """Return the folder of a backbone on this node, written by the first process that needs it."""
    user = os.getuid() if hasattr(os, "getuid") else 0
    root = Path(tempfile.gettempdir(), f"poolblend-{user}")
    root.mkdir(mode=0o700, exist_ok=True)
    if root.stat().st_uid != user:  # another user made it: its files cannot be trusted
        root = Path(tempfile.mkdtemp(prefix="poolblend-"))
    folder = root / sha256
    if not _is_complete(folder, files):
        with tempfile.TemporaryDirectory(dir=root) as temporary:
            unpacked = Path(temporary, "backbone")
            unpacked.mkdir()
            for name, content in files.items():
                (unpacked / name).write_bytes(content.data)
            shutil.rmtree(folder, ignore_errors=True)  # incomplete, if temporary files were cleaned
            with suppress(OSError):  # another process was first
                unpacked.rename(folder)
    return folder


def _is_complete(folder: Path, files: BackboneFiles) -> bool:
    return all((folder / name).is_file() and (folder / name).stat().st_size == len(files[name]) for name in files)
