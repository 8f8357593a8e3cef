"""The scheduler of `train`: it gives fits from the queue to an engine, handles their events, and estimates the rest."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from statistics import fmean

from oof.metrics.metric_registry import Metric
from pipeline.data.competition import Competition
from pipeline.data.fold_assignment import FoldAssignment
from pipeline.display import format_duration, print_line, print_warnings
from pipeline.engines.protocol import Engine, MakeEngine
from pipeline.fits.events import (
    CheckpointSaved,
    EpochEnded,
    Event,
    FitFailed,
    FitFinished,
    FitInterrupted,
    FitLost,
    FitRequest,
    FitStarted,
    StepsTaken,
)
from pipeline.fits.inputs import build_inputs, format_scores
from pipeline.fits.job import Job
from pipeline.fits.outputs import write_failure
from pipeline.fits.run_fit import count_steps
from pipeline.fits.timing import FitLoad, Pace, learn_from_finished
from pipeline.scheduling.budget import Budget, FitQueue
from pipeline.scheduling.forecast import SchedulerResult, describe_budget, describe_time_left, list_remaining_loads
from pipeline.scheduling.live_status import MAX_FITS, FitStatus, LiveStatusFile, Snapshot
from pipeline.scheduling.progress import MAX_VERBOSE_FITS, FitProgress, RunningFit, RunProgress, open_tensorboard
from pipeline.scheduling.signals import StopRequest

CHECKPOINT_SECONDS = 300.0
MAX_LOSSES = 5  # of one fit without a checkpoint in between
# Seconds without a new fit after one was lost before it began, in a row; then the fit fails. A node without a library,
# say, loses each fit at once, and would be handed fits without end.
PAUSES = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 30.0, 30.0)


@dataclass(frozen=True)
class RunLimits:
    """How fits run: saved every `interval` seconds, stopped when `stop` asks for it, logged in the folder `log`."""

    stop: StopRequest
    interval: float = CHECKPOINT_SECONDS
    log: Path | None = None


def run_jobs(
    jobs: Sequence[Job],
    competition: Competition,
    split: FoldAssignment,
    budget: Budget,
    limits: RunLimits,
    make_engine: MakeEngine,
) -> SchedulerResult:
    """Run the jobs that are not done, as far as the budget goes and until a signal asks to stop.

    A fit that fails leaves a note and the others continue, but an error of the machine, such as a full disk, ends the
    call: OSError.
    """
    loads, remaining = list_remaining_loads(jobs, competition, split)
    started = {job.variant for job in jobs if job.state != "fit"}
    resumable = [number for number, (job, _) in enumerate(remaining) if job.state == "fit" and not job.is_linear]
    estimates = learn_from_finished(jobs, loads)
    queue = FitQueue([load for _, load in remaining], started, budget, estimates, resumable)
    status_file = LiveStatusFile(jobs[0].run_folder, budget.clock)
    scheduler = Scheduler([job for job, _ in remaining], queue, limits, competition.metric, status_file)
    engine = make_engine(
        inputs=build_inputs(competition, split),
        jobs=[job for job, _ in remaining],
        on_event=scheduler.handle_event,
        should_stop=scheduler.should_stop,
        clock=budget.clock,
    )
    scheduler.run(engine, lambda job: count_steps(job, len(split.train(job.fold))))
    return scheduler.get_result()


class Scheduler:
    """Runs jobs that are not done. A job's position in `jobs` is its number in the queue and in the engine."""

    def __init__(
        self, jobs: list[Job], queue: FitQueue, limits: RunLimits, metric: Metric, status_file: LiveStatusFile
    ) -> None:
        self.jobs = jobs
        self.queue = queue
        self.limits = limits
        self.metric = metric
        self.status_file = status_file
        self.active: dict[int, RunningFit] = {}
        self.failures: list[str] = []
        self.ended = 0
        self.restarts = 0
        self._clock = queue.budget.clock
        self._losses: Counter[int] = Counter()  # of a fit since its last checkpoint
        self._losses_before_start: Counter[int] = Counter()  # of a fit since it last began
        self._paused_until: float | None = None
        self._tried_again: set[int] = set()  # fits that failed by an unforeseen error, maybe the machine's
        self._forecast_printed = False  # once is enough
        self._interrupted = False  # once a fit was stopped no other is started
        self._run_progress: RunProgress | None = None  # None where one fit runs at a time
        self._describe_nodes: Callable[[], dict[str, str]] = dict

    def run(self, engine: Engine, count_steps: Callable[[Job], int | None]) -> None:
        """Run all jobs, as far as the budget goes; `count_steps` returns the steps of a whole fit."""
        self._describe_nodes = engine.describe_nodes
        if engine.describe_nodes():
            self._run_progress = RunProgress(len(self.jobs), self.estimate_seconds_left, self._clock)
        try:
            self._start_fits(engine, count_steps)
            while self.active or self._is_pausing:
                if self.active:
                    engine.wait()
                else:
                    time.sleep(min(PAUSES) / 4)
                self._show_run()
                self._start_fits(engine, count_steps)
        finally:
            engine.close()
            self.status_file.remove()
            for progress in [self._run_progress, *(fit.progress for fit in self.active.values())]:
                if progress is not None:
                    progress.close()

    def should_stop(self, number: int) -> bool:
        """Return True if a fit is to be saved and stopped: after a signal, or at the end of the budget."""
        return self.limits.stop.number is not None or self.queue.budget.left < self.active[number].pace.closing

    def handle_event(self, number: int, event: Event) -> None:
        """Handle an event of a fit."""
        fit = self.active[number]
        match event:
            case FitStarted(where):
                fit.where = where
                self._losses_before_start[number] = 0
            case StepsTaken():
                fit.pace = event.pace
                fit.progress.show_steps(event)
                if not self._forecast_printed and event.pace.is_reliable:
                    self._print_forecast(describe_time_left(self.queue, number, event.pace, self._list_not_started()))
            case EpochEnded(epoch):
                fit.progress.show_epoch(epoch, self.jobs[number].epochs)
            case CheckpointSaved():
                self._losses[number] = 0
            case FitFinished():
                self._handle_finished(number, event)
            case FitFailed():
                self._handle_failed(number, event)
            case FitInterrupted(seconds):
                self._handle_interrupted(number, seconds)
            case FitLost(reason):
                self._handle_lost(number, reason)
        if self._run_progress is None:
            self.status_file.write_if_due(self.take_snapshot)

    def get_result(self) -> SchedulerResult:
        """Return the jobs that are left, how long they will take, and the failures."""
        seconds = [self.queue.estimates.estimate_seconds(load) for load in self.queue.waiting.values()]
        known = [value for value in seconds if value is not None]
        seconds_per_fit = fmean(known) if known and len(known) == len(seconds) else None
        left = [self.jobs[number] for number in self.queue.waiting]
        return SchedulerResult(left, self.queue.estimate_seconds_left(), seconds_per_fit, self.failures)

    def take_snapshot(self) -> Snapshot:
        """Return the state of the call, for the status file."""
        busy = [(self.jobs[number].title, fit) for number, fit in self.active.items() if fit.has_started]
        fits = [FitStatus(title, fit.where, fit.progress.taken, fit.progress.steps) for title, fit in busy[:MAX_FITS]]
        fits_by_node = Counter(fit.where for _, fit in busy)
        return Snapshot(
            ended=self.ended,
            total=len(self.jobs),
            restarts=self.restarts,
            busy=len(busy),
            seconds_left=self.estimate_seconds_left(),
            running=fits,
            nodes={name: f"{has}, {fits_by_node[name]} running" for name, has in self._describe_nodes().items()},
        )

    def estimate_seconds_left(self) -> float | None:
        """Return the seconds until all fits are done; None while unknown."""
        running = self._estimate_running()
        known = [seconds for seconds in running if seconds is not None]
        if len(known) < len(running):
            return None
        return self.queue.estimate_seconds_left(self._list_not_started(), known)

    @property
    def _is_stopping(self) -> bool:
        return self._interrupted or self.limits.stop.number is not None

    @property
    def _is_pausing(self) -> bool:
        """True until `_start_fits` has ended the pause, so that none that is over ends the call without its fits."""
        return not self._is_stopping and self._paused_until is not None

    def _start_fits(self, engine: Engine, count_steps: Callable[[Job], int | None]) -> None:
        """Start as many fits as the engine has free slots for, unless the call is stopping or pausing."""
        self.queue.slots = engine.slots
        if self._paused_until is not None and self._clock() < self._paused_until:
            return
        self._paused_until = None
        # With a budget fits wait in the queue, which chooses again after each fit, and not in the engine.
        most = inf if self.queue.budget.seconds == inf else engine.slots
        while not self._is_stopping and engine.free_slots and len(self.active) < most:
            if (number := self.queue.take_next()) is None:
                return
            job, load = self.jobs[number], self.queue.active[number]
            all_steps = count_steps(job)
            taken = round((all_steps or 0) * job.share_done)
            steps = None if all_steps is None else all_steps - taken
            self.active[number] = RunningFit(
                Pace(load, steps, self._clock()), self._open_progress(job, all_steps, taken)
            )
            engine.start(number, FitRequest(job, load, steps, self.limits.interval))

    def _open_progress(self, job: Job, steps: int | None, taken: int) -> FitProgress:
        is_alone = self._run_progress is None
        title = f"fit {self.ended + 1} of {len(self.jobs)}: {job.title}" if is_alone else job.title
        return FitProgress(
            title,
            steps,
            taken,
            self.metric,
            self.estimate_seconds_left,
            self._clock,
            open_tensorboard(job, self.limits.log),
            bar=is_alone,
            quiet=self.queue.slots > MAX_VERBOSE_FITS,
        )

    def _show_run(self) -> None:
        if self._run_progress is not None:
            self._run_progress.show(self.ended, self._list_running, self.restarts)
            self.status_file.write_if_due(self.take_snapshot)

    def _print_forecast(self, lines: Sequence[str]) -> None:
        self._forecast_printed = True
        for line in lines:
            print_line(f"  {line}")

    def _list_running(self) -> list[RunningFit]:
        return [fit for fit in self.active.values() if fit.has_started]

    def _list_not_started(self) -> list[FitLoad]:
        return [fit.pace.load for fit in self.active.values() if not fit.has_started]

    def _estimate_running(self) -> list[float | None]:
        """Return the seconds that each running fit still needs; None where unknown."""
        estimate = self.queue.estimates.estimate_seconds
        paces = [fit.pace for fit in self._list_running()]
        return [pace.rest if pace.is_reliable else estimate(pace.load) for pace in paces]

    def _handle_finished(self, number: int, event: FitFinished) -> None:
        job, count = self._end_fit(number)
        self.queue.finish(number, event.seconds, event.start)
        left = self.estimate_seconds_left() if self.queue.waiting or self.active else None
        about = "" if left is None else f", about {format_duration(left)} left"
        scores = _describe_result(event, self.metric)
        print_line(f"{count} {job.title}: {scores}, {format_duration(event.seconds)}{about}")
        if not self._forecast_printed and left is not None:
            running = [seconds for seconds in self._estimate_running() if seconds is not None]
            self._print_forecast(describe_budget(self.queue, running))

    def _handle_failed(self, number: int, event: FitFailed) -> None:
        if event.traceback is not None and self._run_progress is not None and number not in self._tried_again:
            self._tried_again.add(number)
            self._put_back(number)
            print_line(f"{self.jobs[number].title}: {event.reason}; it is tried once more")
            return
        job, count = self._end_fit(number)
        self.queue.drop(number)
        write_failure(job, event)
        self.failures.append(f"{job.title}: {event.reason}")
        print_line(f"{count} failed: {self.failures[-1]}; the other fits continue")

    def _handle_interrupted(self, number: int, seconds: float) -> None:
        self._interrupted = True
        self._put_back(number)
        job = self.jobs[number]
        if share := job.share_done:
            print_line(f"{job.title}: stopped after {format_duration(seconds)}, saved at {share:.0%} of its steps")

    def _handle_lost(self, number: int, reason: str) -> None:
        job = self.jobs[number]
        if not self.active[number].has_started:  # nothing is lost of a fit that had not started
            self._handle_lost_before_start(number, reason)
            return
        self._losses[number] += 1
        if self._losses[number] == MAX_LOSSES:
            self._handle_failed(number, FitFailed(f"lost {MAX_LOSSES} times, the last time because {reason}"))
            return
        self._put_back(number)
        self.restarts += 1
        outcome = "saved at" if self._is_stopping else "restarts from"
        print_line(f"{job.title}: fit lost ({reason}): {outcome} {job.share_done:.0%} of its steps")

    def _handle_lost_before_start(self, number: int, reason: str) -> None:
        losses = self._losses_before_start[number]
        if losses == len(PAUSES):
            self._handle_failed(
                number, FitFailed(f"lost {losses} times before it began, the last time because {reason}")
            )
            return
        self._losses_before_start[number] += 1
        self._paused_until = self._clock() + PAUSES[losses]
        self._put_back(number)
        if losses:  # once is the end of a node, or of a process that was idle
            wait = format_duration(PAUSES[losses])
            print_warnings([f"{self.jobs[number].title}: lost before it began ({reason}); the next try in {wait}"])

    def _put_back(self, number: int) -> None:
        self.active.pop(number).progress.close()
        self.queue.put_back(number)

    def _end_fit(self, number: int) -> tuple[Job, str]:
        """Return the job of a fit that finished or failed, and its count among all, as [3/9]."""
        self.active.pop(number).progress.close()
        self.ended += 1
        return self.jobs[number], f"[{self.ended}/{len(self.jobs)}]"


def _describe_result(event: FitFinished, metric: Metric) -> str:
    """Return the scores of a finished fit, and a note where memory was short."""
    if event.marker is None:
        return "test table predicted"
    scores = format_scores(event.marker.epochs[-1].scores, metric)
    tokens = event.marker.provenance.micro_batch_tokens
    return f"{scores}, memory was short: {tokens} tokens at once" if tokens else scores
