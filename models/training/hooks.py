"""What a training tells its caller, and asks of it, while it runs. Imports no torch: engines use it too."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from models.checkpoint import Checkpoint
from models.store import EpochLog

Decision = Literal["continue", "save", "stop"]


class TrainingInterruptedError(Exception):
    """The training stopped on request, after its checkpoint was passed to `save_checkpoint`."""


@dataclass(frozen=True)
class StepReport:
    """An optimizer step: the tokens in it, and the mean losses read since the last report, by number of their step."""

    tokens: int
    losses: list[tuple[int, float]]


@dataclass(frozen=True)
class FitHooks:
    """Functions that a fit calls: after each step, after each epoch, and to save a checkpoint.

    `decide` is called after every step and every batch of predictions: "continue", "save" a checkpoint and continue,
    or save one and "stop".
    """

    on_step: Callable[[StepReport], None] = lambda step: None
    on_epoch: Callable[[EpochLog], None] = lambda epoch: None
    decide: Callable[[], Decision] = lambda: "continue"
    save_checkpoint: Callable[[Checkpoint], None] = lambda checkpoint: None
