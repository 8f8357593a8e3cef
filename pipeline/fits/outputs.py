"""The files that a fit leaves in the run directory, and the order in which they are written.

Weights, predictions, marker: the marker last, with the checksums of the others, so that a crash before it leaves an
unfinished fit. A failed fit leaves a note, until it succeeds.
"""

import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from models import ModelError
from models.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from models.device_errors import is_out_of_memory
from models.store import (
    CHECKPOINT,
    FAILURE,
    LOOKS,
    MARKER,
    WEIGHTS,
    FitMarker,
    TokenWeights,
    locate_test_part,
    locate_valid_part,
    read_json,
    write_json,
)
from models.tfidf import NUMBERS, TERMS, write_linear
from oof.members.prediction_files import write_part
from pipeline.data.competition import TextTable
from pipeline.display import print_warnings
from pipeline.errors import OUT_OF_MEMORY, PROBLEMS
from pipeline.fits.events import FitFailed, FitResult
from pipeline.fits.inputs import FitInputs
from pipeline.fits.job import Job
from pipeline.storage.checksums import compute_checksums, write_sealed
from pipeline.storage.files import write_atomically, write_together

Predictions = Mapping[str, np.ndarray]  # (rows, columns) by pooling name


@dataclass(frozen=True)
class FitStorage:
    """Where a fit finds its checkpoint and puts its checkpoints and its result.

    `save_checkpoint` returns True if the checkpoint is saved, and may be called in another thread where
    `saves_in_background`; `save_result` returns the marker, or None where another process writes it.
    """

    load_checkpoint: Callable[[], Checkpoint | None]
    save_checkpoint: Callable[[Checkpoint], bool]
    save_result: Callable[[FitResult], FitMarker | None]
    saves_in_background: bool = False

    @classmethod
    def in_run(cls, job: Job, inputs: FitInputs) -> "FitStorage":
        """Return the storage of a job in its own folder of the run directory."""
        return cls(
            partial(load_checkpoint, job),
            partial(save_checkpoint, job),
            partial(save_result, job, inputs),
            saves_in_background=True,
        )


def save_result(job: Job, inputs: FitInputs, result: FitResult) -> FitMarker:
    """Write the files of a fit, and return its marker."""
    files = write_token_weights(job, result.token_weights, inputs.train.ids)
    if result.weights:
        with write_atomically(job.folder / WEIGHTS) as temporary:
            save_file(dict(result.weights), temporary)
        files.append(job.folder / WEIGHTS)
    if result.linear is not None:
        paths = [job.folder / TERMS, job.folder / NUMBERS]
        with write_together(*paths) as (terms, numbers):
            write_linear(terms, numbers, result.linear)
        files += paths
    rows = inputs.folds.valid(job.fold)
    if len(rows):
        files += write_parts(job, result.valid, [inputs.train.ids[row] for row in rows], inputs.columns, None)
    files += write_parts(job, result.test, inputs.test.ids, inputs.columns, inputs.test.sha256)
    marker = FitMarker(
        fingerprint=job.fingerprint,
        variant=job.variant,
        seed=job.seed,
        fold=job.fold,
        provenance=result.provenance,
        epochs=tuple(result.epochs),
        files=compute_checksums(files),
    )
    write_marker(job, marker)
    for name in (CHECKPOINT, FAILURE):
        (job.folder / name).unlink(missing_ok=True)
    return marker


def save_test_predictions(job: Job, predictions: Predictions, table: TextTable, columns: list[str]) -> None:
    """Write a finished fit's predictions of a test table beside it, and add their checksums to its marker."""
    assert job.marker is not None
    files = write_parts(job, predictions, table.ids, columns, table.sha256)
    write_marker(job, job.marker.add_files(compute_checksums(files)))


def write_parts(
    job: Job, predictions: Predictions, ids: list[str], columns: list[str], table: str | None
) -> list[Path]:
    """Write the predictions of each pooling; `table` is the hash of a test table, or None for validation rows."""
    fold = job.fold if isinstance(job.fold, int) else -1  # a fit on every row belongs to no fold
    paths = []
    for pooling, member in job.members.items():
        path = locate_valid_part(job.folder, member) if table is None else locate_test_part(job.folder, member, table)
        with write_atomically(path) as temporary:
            write_part(temporary, ids, columns, predictions[pooling], fold, job.seed)
        paths.append(path)
    return paths


def write_token_weights(job: Job, rows: Sequence[TokenWeights], ids: list[str]) -> list[Path]:
    """Write the token weights of some rows under their ids; nothing where no pooling weighs tokens."""
    if not rows:
        return []
    path = job.folder / LOOKS
    values = [{"id": ids[row.row], "tokens": row.tokens, "weights": row.weights} for row in rows]
    with write_atomically(path) as temporary:
        write_json(temporary, {"rows": values})
    return [path]


def write_marker(job: Job, marker: FitMarker) -> None:
    """Write the marker of a finished fit with the checksums of its files."""
    with write_atomically(job.folder / MARKER) as temporary:
        write_sealed(temporary, write_json, marker.to_json(), marker.files)


def save_checkpoint(job: Job, checkpoint: Checkpoint) -> bool:
    """Save a checkpoint; returns False after a warning if the disk refuses: the fit may still finish without it."""
    try:
        with write_atomically(job.folder / CHECKPOINT) as temporary:
            write_checkpoint(temporary, checkpoint, job.fingerprint)
    except OSError as error:
        print_warnings([f"no checkpoint of {job.title} could be saved: {error.strerror}: {error.filename}"])
        return False
    return True


def load_checkpoint(job: Job) -> Checkpoint | None:
    """Return the checkpoint of a fit; None without one, and after a warning for a damaged one."""
    try:
        return read_checkpoint(job.folder / CHECKPOINT, job.fingerprint)
    except ModelError as error:
        print_warnings([f"{error}: {job.title} starts from its beginning"])
        return None


def describe_failure(error: Exception) -> FitFailed:
    """Return the reason why a fit failed as one sentence, with the traceback of an unexpected error."""
    if is_out_of_memory(error):
        return FitFailed(OUT_OF_MEMORY)
    reason = " ".join(str(error).split())
    if isinstance(error, PROBLEMS):
        return FitFailed(reason)
    return FitFailed(f"{type(error).__name__}: {reason}", "".join(traceback.format_exception(error)))


def write_failure(job: Job, failure: FitFailed) -> None:
    """Write the note of a failed fit."""
    note = {"fingerprint": job.fingerprint, "error": failure.reason}
    if failure.traceback is not None:
        note["traceback"] = failure.traceback
    with write_atomically(job.folder / FAILURE) as temporary:
        write_json(temporary, note)


def read_failure(job: Job) -> str | None:
    """Return the reason why the last try of a fit failed; None if it did not fail or was not tried."""
    if job.state != "fit" or not (job.folder / FAILURE).is_file():
        return None
    try:
        note = read_json(job.folder / FAILURE)
    except ModelError:
        return "the note of its failure is damaged"
    return str(note["error"]) if note.get("fingerprint") == job.fingerprint else None
