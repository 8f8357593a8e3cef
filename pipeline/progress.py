"""What is shown of a running fit: a bar on a terminal, a line a minute elsewhere, TensorBoard's log if asked for."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from oof.metrics import Metric
from pipeline.display import duration, number
from pipeline.job import Job
from pipeline.scoring import scores_line

if TYPE_CHECKING:
    from models.course import Step

SMOOTHING = 0.9  # of the loss that is shown: a step's own says little
SILENCE = 60.0  # seconds between lines where no terminal shows a bar


class Progress:
    """Loss, tokens a second, score of the last epoch and time left of one fit, as it runs.

    Some steps are `behind` it from an earlier call; `left` gives the seconds that all fits still need, None while
    unknown; `clock` the time in seconds.
    """

    def __init__(
        self,
        bar: "tqdm[Any]",
        title: str,
        behind: int,
        metric: Metric,
        left: Callable[[], float | None],
        clock: Callable[[], float],
        board: Any,
    ) -> None:
        self.bar, self.title, self.metric, self.left, self.clock, self.board = bar, title, metric, left, clock, board
        self.loss: float | None = None
        self.taken = behind  # a bar that is not shown does not count
        self.score, self.tokens, self.began, self.said = "", 0, clock(), clock()

    def step(self, step: "Step") -> None:
        """A step was taken."""
        self.tokens += step.tokens
        for place, loss in step.losses:
            self.loss = loss if self.loss is None else SMOOTHING * self.loss + (1 - SMOOTHING) * loss
            if self.board is not None:
                self.board.add_scalar("loss", loss, place)
        self.bar.set_postfix_str(self.line(), refresh=False)
        self.bar.update()
        self.taken += 1
        if not sys.stderr.isatty() and self.clock() - self.said >= SILENCE:
            self.said = self.clock()
            print(f"  {self.title}, step {self.taken} of {self.bar.total}: {self.line()}", flush=True)

    def epoch(self, epoch: dict[str, Any], last: int) -> None:
        """An epoch of the `last` ended, and its validation rows were predicted."""
        self.score = scores_line(epoch["scores"], self.metric)
        for pooling, value in epoch["scores"].items():
            if self.board is not None and value is not None:
                self.board.add_scalar(f"{self.metric.name}/{pooling}".rstrip("/"), value, epoch["epoch"])
        if not sys.stdout.isatty() and epoch["epoch"] < last:
            said = f"epoch {epoch['epoch']}: loss {number(epoch['loss'])}, {self.score}"
            print(f"  {self.title}, {said}", flush=True)

    def line(self) -> str:
        """What is known by now: loss, tokens a second, the score of the last epoch, the time left for all fits."""
        spent, left = self.clock() - self.began, self.left()
        parts = [
            "" if self.loss is None else f"loss {self.loss:.3f}",
            f"{self.tokens / spent:,.0f} tokens/s" if spent > 0 else "",
            self.score,
            "" if left is None else f"about {duration(left)} left for all",
        ]
        return ", ".join(part for part in parts if part)


@contextmanager
def shown(
    job: Job,
    title: str,
    steps: int | None,
    behind: int,
    metric: Metric,
    left: Callable[[], float | None],
    clock: Callable[[], float],
    log: Path | None,
) -> Iterator[Progress]:
    """Show a fit of so many `steps`, of which some are `behind` it, while it runs; `log` is TensorBoard's folder."""
    from models.board import open_board

    # runs and recipes apart, or their curves would be one
    place = Path(
        job.folder.parents[4].name, job.variant, job.folder.parents[1].name, f"seed-{job.seed}_fold-{job.fold}"
    )
    board = None if log is None else open_board(log / place)
    try:
        with tqdm(total=steps, initial=behind, desc=title, unit="step", leave=False, disable=None, delay=1) as bar:
            yield Progress(bar, title, behind, metric, left, clock, board)
    finally:
        if board is not None:
            board.close()
