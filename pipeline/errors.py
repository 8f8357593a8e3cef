"""What the user did wrong, or what went wrong around the program: one sentence each, exit code 2."""

from folds import FoldError
from models import ModelError
from oof import OOFError
from submissions import SubmissionError


class PipelineError(ValueError):
    """A config, table or run directory that cannot be used; the message is for the user."""


PROBLEMS = (PipelineError, FoldError, ModelError, OOFError, SubmissionError)
