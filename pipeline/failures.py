"""Notes of fits that failed: one beside where the fit would be, until it succeeds."""

import traceback

from models import ModelError
from models.store import FAILURE, read_json, write_json
from pipeline.errors import OUT_OF_MEMORY, PROBLEMS
from pipeline.files import atomic
from pipeline.job import Job


def note_failure(job: Job, error: Exception) -> str:
    """Write down why a fit failed, with the traceback of what nobody foresaw; returns the sentence."""
    foreseen = isinstance(error, (*PROBLEMS, MemoryError))
    said = OUT_OF_MEMORY if isinstance(error, MemoryError) else " ".join(str(error).split())
    said = said if foreseen else f"{type(error).__name__}: {said}"
    note = {"fingerprint": job.fingerprint, "error": said}
    if not foreseen:
        note["traceback"] = "".join(traceback.format_exception(error))
    with atomic(job.folder / FAILURE) as temporary:
        write_json(temporary, note)
    return said


def failure_of(job: Job) -> str | None:
    """Why the last try of a fit failed; None if it did not, or was not tried."""
    if job.state != "fit" or not (job.folder / FAILURE).is_file():
        return None
    try:
        note = read_json(job.folder / FAILURE)
    except ModelError:
        return "for a reason that cannot be read any more"
    return str(note["error"]) if note.get("fingerprint") == job.fingerprint else None
