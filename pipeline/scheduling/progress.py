"""What is shown of running fits: a bar on a terminal, a line a minute elsewhere, TensorBoard's log if asked for."""

import sys
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from tqdm import tqdm

from models.store import EpochLog
from oof.metrics.metric_registry import Metric
from pipeline.display import format_duration, format_score
from pipeline.fits.events import StepsTaken
from pipeline.fits.inputs import format_scores
from pipeline.fits.job import Job

SMOOTHING = 0.9  # of the loss that is shown: a step's own says little
SILENCE = 60.0  # seconds between lines where no terminal shows a bar
BLINK = 0.5  # seconds between two looks of a bar
FEW = 8  # fits at a time whose epochs are told


class Progress:
    """Loss, tokens a second, score of the last epoch and time left of one fit, as it runs.

    Of its `steps` some are `behind` it from an earlier call; `left` gives the seconds that all fits still need, None
    while unknown; `clock` the time in seconds. One of several has no `bar`; a `quiet` one of many tells no epochs.
    """

    def __init__(
        self,
        title: str,
        steps: int | None,
        behind: int,
        metric: Metric,
        left: Callable[[], float | None],
        clock: Callable[[], float],
        board: Any = None,
        *,
        bar: bool = True,
        quiet: bool = False,
    ) -> None:
        self.title, self.steps, self.metric, self.left, self.clock = title, steps, metric, left, clock
        self.board, self.quiet = board, quiet
        look: Any = {"unit": "step", "leave": False, "disable": None, "delay": 1}
        self.bar: tqdm[Any] | None = tqdm(total=steps, initial=behind, desc=title, **look) if bar else None
        self.loss: float | None = None
        self.taken = behind  # a bar that is not shown does not count
        self.score, self.tokens, self.began, self.said = "", 0, clock(), clock()

    def step(self, step: StepsTaken) -> None:
        """Steps were taken."""
        self.tokens += step.tokens
        self.taken += step.steps
        for place, loss in step.losses:
            self.loss = loss if self.loss is None else SMOOTHING * self.loss + (1 - SMOOTHING) * loss
            if self.board is not None:
                self.board.add_scalar("loss", loss, place)
        if self.bar is None:
            return
        self.bar.set_postfix_str(self.line(), refresh=False)
        self.bar.update(step.steps)
        if not sys.stderr.isatty() and self.clock() - self.said >= SILENCE:
            self.said = self.clock()
            print(f"  {self.title}, step {self.taken} of {self.steps}: {self.line()}", flush=True)

    def show_epoch(self, epoch: EpochLog, last: int) -> None:
        """Show the end of an epoch of `last`, whose validation rows were predicted."""
        self.score = format_scores(epoch.scores, self.metric)
        for pooling, value in epoch.scores.items():
            if self.board is not None and value is not None:
                self.board.add_scalar(f"{self.metric.name}/{pooling}".rstrip("/"), value, epoch.epoch)
        if not self.quiet and not sys.stdout.isatty() and epoch.epoch < last:
            text = f"epoch {epoch.epoch}: loss {format_score(epoch.loss)}, {self.score}"
            print(f"  {self.title}, {text}", flush=True)

    def line(self) -> str:
        """What is known by now: loss, tokens a second, the score of the last epoch, the time left for all fits."""
        left = self.left()
        parts = [
            "" if self.loss is None else f"loss {self.loss:.3f}",
            f"{self.pace:,.0f} tokens/s" if self.pace else "",
            self.score,
            "" if left is None else f"about {format_duration(left)} left for all",
        ]
        return ", ".join(part for part in parts if part)

    @property
    def pace(self) -> float:
        """Tokens a second."""
        spent = self.clock() - self.began
        return self.tokens / spent if spent > 0 else 0.0

    def close(self) -> None:
        """Nothing more comes."""
        if self.bar is not None:
            self.bar.close()
        if self.board is not None:
            self.board.close()


class Overview:
    """One bar for all fits, where several run at a time: how many are done and run, and where, and the time left."""

    def __init__(self, total: int, left: Callable[[], float | None], clock: Callable[[], float]) -> None:
        self.bar: tqdm[Any] = tqdm(total=total, desc="fits", unit="fit", leave=False, disable=None)
        self.total, self.left, self.clock, self.said = total, left, clock, clock()

    def show(self, ended: int, running: Callable[[], Collection[tuple[str, Progress]]], again: int) -> None:
        """`ended` fits, and those that are running with where they are; `again` were handed out more than once."""
        if self.clock() - self.said < (SILENCE if self.bar.disable else BLINK):
            return
        line, self.said = overview(running(), again, self.left()), self.clock()
        if self.bar.disable:
            print(f"  {ended} of {self.total} fits done, {line}", flush=True)
        else:
            self.bar.set_postfix_str(line, refresh=False)
            self.bar.n = ended
            self.bar.refresh()

    def close(self) -> None:
        """Nothing more comes."""
        self.bar.close()


def overview(running: Collection[tuple[str, Progress]], again: int, left: float | None) -> str:
    """How many fits run and where, how fast, how many were done again, and the time left."""
    places = len({where for where, _ in running if where})
    parts = [
        f"{len(running)} running" + (f" in {places} places" if places > 1 else ""),
        f"{speed:,.0f} tokens/s" if (speed := sum(progress.pace for _, progress in running)) else "",
        f"{again} handed out again" if again else "",
        "" if left is None else f"about {format_duration(left)} left",
    ]
    return ", ".join(part for part in parts if part)


def board_of(job: Job, log: Path | None) -> Any:
    """The log of a fit in TensorBoard's folder, if there is one."""
    if log is None:
        return None
    from models.training.tensorboard import open_board

    # runs and recipes apart, or their curves would be one
    recipe = Path(job.folder.parents[4].name, job.variant, job.folder.parents[1].name)
    return open_board(log / recipe / f"seed-{job.seed}_fold-{job.fold}")
