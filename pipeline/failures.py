"""Notes of fits that failed: one beside where the fit would be, until it succeeds."""

import traceback

from models import ModelError
from models.store import FAILURE, read_json, write_json
from pipeline.errors import OUT_OF_MEMORY, PROBLEMS
from pipeline.fits.events import Failed
from pipeline.fits.job import Job
from pipeline.storage.files import atomic


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
