"""What the user did wrong, or what went wrong around the program: one sentence each, exit code 2."""

import errno

from folds import FoldError
from models import ModelError
from oof import OOFError
from pipeline.display import printable
from submissions import SubmissionError


class PipelineError(ValueError):
    """A config, table or run directory that cannot be used; the message is for the user."""


PROBLEMS = (PipelineError, FoldError, ModelError, OOFError, SubmissionError)

OUT_OF_MEMORY = "memory ran out; a smaller backbone, a shorter max_length or fewer rows need less"
ADVICE = {
    errno.ENOSPC: "make room, then the same command goes on from what is finished",
    errno.EDQUOT: "make room, then the same command goes on from what is finished",
    errno.EROFS: "take a folder that can be written",
    errno.EACCES: "take a folder that you may write to, or change its permissions",
    errno.EPERM: "take a folder that you may write to, or change its permissions",
}


def machine_problem(error: OSError) -> str:
    """What the machine refused and where, in a sentence, with what to do where that is plain."""
    where = f": {error.filename}" if error.filename else ""
    advice = f"; {ADVICE[error.errno]}" if error.errno in ADVICE else ""
    return printable(f"{error.strerror or error}{where}{advice}")
