"""Errors that a user can mend: one sentence each, exit code 2."""

import errno

from folds import FoldError
from models import ModelError
from oof import OOFError
from pipeline.display import escape_controls
from submissions import SubmissionError


class PipelineError(ValueError):
    """A config, table or run directory that cannot be used; the message is for the user."""


PROBLEMS = (PipelineError, FoldError, ModelError, OOFError, SubmissionError)

OUT_OF_MEMORY = "memory ran out; a smaller backbone, a shorter max_length or fewer rows need less"
ADVICE = {
    errno.ENOSPC: "make room, then the same command continues",
    errno.EDQUOT: "make room, then the same command continues",
    errno.EROFS: "take a folder that can be written",
    errno.EACCES: "take a folder that you may write to, or change its permissions",
    errno.EPERM: "take a folder that you may write to, or change its permissions",
}


def describe_machine_error(error: OSError) -> str:
    """Return an operating system's error as a sentence: what failed, where, and what to do where that is clear."""
    where = f": {error.filename}" if error.filename else ""
    advice = f"; {ADVICE[error.errno]}" if error.errno in ADVICE else ""
    return escape_controls(f"{error.strerror or error}{where}{advice}")
