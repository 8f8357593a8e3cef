"""The progress of running fits: a bar on a terminal, a line a minute elsewhere, TensorBoard's log where asked for."""

import sys
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from models.store import EpochLog
from oof.metrics.metric_registry import Metric
from pipeline.display import format_duration, format_score, print_line
from pipeline.fits.events import StepsTaken
from pipeline.fits.inputs import format_scores
from pipeline.fits.job import Job
from pipeline.fits.timing import Pace

SMOOTHING = 0.9  # of the loss that is shown, because the loss of one step is noisy
LINE_SECONDS = 60.0  # between lines where no terminal shows a bar
REFRESH_SECONDS = 0.5  # between two updates of the bar of all fits
MAX_VERBOSE_FITS = 8  # fits at a time whose epochs are printed


class FitProgress:
    """The progress of one fit: loss, tokens a second, score of the last epoch, and time left.

    `taken` of its `steps` were taken, also in earlier calls; `estimate_left` gives the seconds that all fits still
    need, None while unknown; `clock` the time in seconds. One of several fits has no `bar`; a `quiet` one prints no
    epochs.
    """

    def __init__(
        self,
        title: str,
        steps: int | None,
        taken: int,
        metric: Metric,
        estimate_left: Callable[[], float | None],
        clock: Callable[[], float],
        tensorboard: Any = None,
        *,
        bar: bool = True,
        quiet: bool = False,
    ) -> None:
        self.title = title
        self.steps = steps
        self.taken = taken  # counted here, because a bar that is not shown does not count
        self.metric = metric
        self.loss: float | None = None
        self.score = ""
        self._estimate_left = estimate_left
        self._clock = clock
        self._tensorboard = tensorboard
        self._quiet = quiet
        self._tokens = 0
        self._began = clock()
        self._printed = self._began
        options: Any = {"unit": "step", "leave": False, "disable": None, "delay": 1}
        self._bar: tqdm[Any] | None = tqdm(total=steps, initial=taken, desc=title, **options) if bar else None

    def show_steps(self, event: StepsTaken) -> None:
        """Show that steps were taken."""
        self._tokens += event.tokens
        self.taken += event.steps
        for step, loss in event.losses:
            self.loss = loss if self.loss is None else SMOOTHING * self.loss + (1 - SMOOTHING) * loss
            if self._tensorboard is not None:
                self._tensorboard.add_scalar("loss", loss, step)
        if self._bar is None:
            return
        self._bar.set_postfix_str(self.format_line(), refresh=False)
        self._bar.update(event.steps)
        if not sys.stderr.isatty() and self._clock() - self._printed >= LINE_SECONDS:
            self._printed = self._clock()
            print_line(f"  {self.title}, step {self.taken} of {self.steps}: {self.format_line()}")

    def show_epoch(self, epoch: EpochLog, last: int) -> None:
        """Show the end of an epoch, whose validation rows were predicted; `last` is the number of epochs."""
        self.score = format_scores(epoch.scores, self.metric)
        for pooling, value in epoch.scores.items():
            if self._tensorboard is not None and value is not None:
                self._tensorboard.add_scalar(f"{self.metric.name}/{pooling}".rstrip("/"), value, epoch.epoch)
        if not self._quiet and not sys.stdout.isatty() and epoch.epoch < last:
            text = f"epoch {epoch.epoch}: loss {format_score(epoch.loss)}, {self.score}"
            print_line(f"  {self.title}, {text}")

    def format_line(self) -> str:
        """Return what is known by now: loss, tokens a second, score of the last epoch, time left for all fits."""
        left = self._estimate_left()
        speed = self.tokens_per_second
        parts = [
            "" if self.loss is None else f"loss {self.loss:.3f}",
            f"{speed:,.0f} tokens/s" if speed else "",
            self.score,
            "" if left is None else f"about {format_duration(left)} left for all",
        ]
        return ", ".join(part for part in parts if part)

    @property
    def tokens_per_second(self) -> float:
        """The mean since the fit started."""
        spent = self._clock() - self._began
        return self._tokens / spent if spent > 0 else 0.0

    def close(self) -> None:
        """Remove the bar, and close TensorBoard's log."""
        if self._bar is not None:
            self._bar.close()
        if self._tensorboard is not None:
            self._tensorboard.close()


@dataclass
class RunningFit:
    """A fit that an engine has: its pace, its progress, and its process or node, empty until it has started."""

    pace: Pace
    progress: FitProgress
    where: str = ""

    @property
    def has_started(self) -> bool:
        """False while the fit waits in the engine."""
        return bool(self.where)


class RunProgress:
    """One bar for all fits, where several run at a time: how many are done, how many run and where, the time left."""

    def __init__(self, total: int, estimate_left: Callable[[], float | None], clock: Callable[[], float]) -> None:
        self._bar: tqdm[Any] = tqdm(total=total, desc="fits", unit="fit", leave=False, disable=None)
        self._total = total
        self._estimate_left = estimate_left
        self._clock = clock
        self._shown = clock()

    def show(self, ended: int, list_running: Callable[[], Collection[RunningFit]], restarts: int) -> None:
        """Show how many fits ended, the running ones, and the number of restarts."""
        interval = LINE_SECONDS if self._bar.disable else REFRESH_SECONDS
        if self._clock() - self._shown < interval:
            return
        line = describe_running(list_running(), restarts, self._estimate_left())
        self._shown = self._clock()
        if self._bar.disable:
            print_line(f"  {ended} of {self._total} fits done, {line}")
        else:
            self._bar.set_postfix_str(line, refresh=False)
            self._bar.n = ended
            self._bar.refresh()

    def close(self) -> None:
        """Remove the bar."""
        self._bar.close()


def describe_running(running: Collection[RunningFit], restarts: int, left: float | None) -> str:
    """Say how many fits run, in how many places, how fast, how many were restarted, and the time left."""
    places = len({fit.where for fit in running})
    speed = sum(fit.progress.tokens_per_second for fit in running)
    parts = [
        f"{len(running)} running" + (f" in {places} places" if places > 1 else ""),
        f"{speed:,.0f} tokens/s" if speed else "",
        f"{restarts} restarted" if restarts else "",
        "" if left is None else f"about {format_duration(left)} left",
    ]
    return ", ".join(part for part in parts if part)


def open_tensorboard(job: Job, folder: Path | None) -> Any:
    """Return the writer of a fit's log in TensorBoard's folder; None without a folder."""
    if folder is None:
        return None
    from models.training.tensorboard import open_writer

    # Runs and recipes have folders of their own, or TensorBoard would join their curves.
    recipe = Path(job.run_folder.name, job.variant, job.recipe_folder.name)
    return open_writer(folder / recipe / f"seed-{job.seed}_fold-{job.fold}")
