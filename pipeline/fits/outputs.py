"""What fits leave in the run directory, and the order in which it is written.

Weights, parts, marker: the marker last, with the checksums of the others, so that whatever a crash leaves before it
never happened.

Notes of fits that failed: one beside where the fit would be, until it succeeds.
"""

import traceback
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from models import ModelError
from models.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from models.store import CHECKPOINT, FAILURE, LOOKS, MARKER, WEIGHTS, read_json, test_part, valid_part, write_json
from models.tfidf import NUMBERS, TERMS, write_linear
from oof.members.prediction_files import write_part
from pipeline.data.competition import Table
from pipeline.display import warn
from pipeline.errors import OUT_OF_MEMORY, PROBLEMS
from pipeline.fits.events import Failed, Outcome
from pipeline.fits.inputs import Shared
from pipeline.fits.job import Job
from pipeline.storage.checksums import checksums, write_sealed
from pipeline.storage.files import atomic, together

Predictions = dict[str, np.ndarray]  # (rows, columns) by pooling name


def keep(job: Job, outcome: Outcome, shared: Shared) -> dict[str, Any]:
    """Write all that a fit gave, and return its marker."""
    files = write_looks(job, outcome.looks, shared.train.ids)
    if outcome.weights:
        with atomic(job.folder / WEIGHTS) as temporary:
            save_file(outcome.weights, temporary)
        files.append(job.folder / WEIGHTS)
    if outcome.linear is not None:
        paths = [job.folder / TERMS, job.folder / NUMBERS]
        with together(*paths) as (terms, numbers):
            write_linear(terms, numbers, outcome.linear)
        files += paths
    if len(rows := shared.folds.valid(job.fold)):
        files += write_parts(job, outcome.valid, [shared.train.ids[row] for row in rows], shared.columns, None)
    files += write_parts(job, outcome.test, shared.test.ids, shared.columns, shared.test.sha256)
    marker = {
        "fingerprint": job.fingerprint,
        "variant": job.variant,
        "seed": job.seed,
        "fold": job.fold,
        "provenance": outcome.provenance,
        "epochs": outcome.epochs,
    }
    write_marker(job, marker, checksums(files))
    for left in (CHECKPOINT, FAILURE):
        (job.folder / left).unlink(missing_ok=True)
    return marker


def write_parts(
    job: Job, predictions: Predictions, ids: list[str], columns: list[str], table: str | None
) -> list[Path]:
    """Write a part for each pooling; `table` is the hash of a test table, or None for validation rows."""
    fold = job.fold if isinstance(job.fold, int) else -1  # a fit on every row belongs to no fold
    paths = []
    for pooling, member in job.members.items():
        path = valid_part(job.folder, member) if table is None else test_part(job.folder, member, table)
        with atomic(path) as temporary:
            write_part(temporary, ids, columns, predictions[pooling], fold, job.seed)
        paths.append(path)
    return paths


def write_looks(job: Job, looks: list[dict[str, Any]], ids: list[str]) -> list[Path]:
    """Write what the poolings of a fit look at, under the rows' ids; nothing where none of them weighs tokens."""
    if not looks:
        return []
    path = job.folder / LOOKS
    rows = [{"id": ids[look["row"]], "tokens": look["tokens"], "weights": look["weights"]} for look in looks]
    with atomic(path) as temporary:
        write_json(temporary, {"rows": rows})
    return [path]


def keep_test_predictions(job: Job, predictions: Predictions, table: Table, columns: list[str]) -> None:
    """Write a finished fit's predictions of a test table beside it, and vouch for them in its marker."""
    assert job.marker is not None
    files = write_parts(job, predictions, table.ids, columns, table.sha256)
    write_marker(job, job.marker, {**job.files, **checksums(files)})


def write_marker(job: Job, marker: dict[str, Any], files: dict[str, str]) -> None:
    with atomic(job.folder / MARKER) as temporary:
        write_sealed(temporary, write_json, marker, files)


def keep_checkpoint(job: Job, checkpoint: Checkpoint) -> bool:
    """Save a checkpoint; returns whether that worked. A disk without room must not end what may finish without."""
    try:
        with atomic(job.folder / CHECKPOINT) as temporary:
            write_checkpoint(temporary, checkpoint, job.fingerprint)
    except OSError as error:
        warn([f"{job.title} could not be saved in the middle: {error.strerror}: {error.filename}"])
        return False
    return True


def left_off(job: Job) -> Checkpoint | None:
    try:
        return read_checkpoint(job.folder / CHECKPOINT, job.fingerprint)
    except ModelError as error:
        warn([f"{error}: {job.title} starts from its beginning"])
        return None


def told(error: Exception) -> Failed:
    """What went wrong in a fit as a sentence, with the traceback of what nobody foresaw."""
    foreseen = isinstance(error, (*PROBLEMS, MemoryError))
    said = OUT_OF_MEMORY if isinstance(error, MemoryError) else " ".join(str(error).split())
    if foreseen:
        return Failed(said)
    return Failed(f"{type(error).__name__}: {said}", "".join(traceback.format_exception(error)))


def note_failure(job: Job, failed: Failed) -> None:
    """Write down why a fit failed."""
    note = {"fingerprint": job.fingerprint, "error": failed.said}
    if failed.traceback is not None:
        note["traceback"] = failed.traceback
    with atomic(job.folder / FAILURE) as temporary:
        write_json(temporary, note)


def failure_of(job: Job) -> str | None:
    """Why the last try of a fit failed; None if it did not, or was not tried."""
    if job.state != "fit" or not (job.folder / FAILURE).is_file():
        return None
    try:
        note = read_json(job.folder / FAILURE)
    except ModelError:
        return "for a reason that cannot be read any more"
    return str(note["error"]) if note.get("fingerprint") == job.fingerprint else None
