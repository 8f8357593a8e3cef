"""The work of `train`: hands fits from the agenda to an engine, hears how they go, and says how long the rest takes."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from statistics import fmean
from typing import Protocol

from oof.metrics.metric_registry import Metric
from pipeline.data.competition import Competition
from pipeline.data.fold_assignment import FoldAssignment
from pipeline.display import format_duration, print_line
from pipeline.engines import Engine, Hear, Wish
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
from pipeline.fits.inputs import FitInputs, build_inputs, format_scores
from pipeline.fits.job import Job
from pipeline.fits.outputs import write_failure
from pipeline.fits.timing import FitLoad, Pace, learn_from_finished
from pipeline.scheduling.budget import Agenda, Budget
from pipeline.scheduling.forecast import Done, loads_to_do, reach, time_to_come
from pipeline.scheduling.live_status import MOST, Live, Running, Snapshot
from pipeline.scheduling.progress import FEW, Overview, Progress, board_of
from pipeline.scheduling.signals import StopRequest

CHECKPOINT_SECONDS = 300.0
TRIES = 5  # times that a fit may be lost without a checkpoint in between


class MakeEngine(Protocol):
    """Makes the engine that does the fits."""

    def __call__(
        self, *, shared: FitInputs, fits: int, hear: Hear, wish: Wish, clock: Callable[[], float]
    ) -> Engine: ...


@dataclass
class Out:
    """A fit that is handed out: how it goes, how it is shown, and where it is done, empty until it has begun."""

    pace: Pace
    progress: Progress
    where: str = ""


@dataclass(frozen=True)
class Terms:
    """How fits are done: saved every `interval` seconds, left when `stop` asks for it, logged in `log`."""

    stop: StopRequest
    interval: float = CHECKPOINT_SECONDS
    log: Path | None = None


class Work:
    """Jobs that are not done, which the agenda knows by their places. Hears of each what an engine tells."""

    def __init__(self, jobs: list[Job], agenda: Agenda, terms: Terms, metric: Metric, live: Live) -> None:
        self.jobs, self.agenda, self.terms, self.metric, self.live = jobs, agenda, terms, metric, live
        self.clock = agenda.budget.clock
        self.out: dict[int, Out] = {}
        self.failed: list[str] = []
        self.ended = 0
        self.lost: Counter[int] = Counter()  # since the last checkpoint
        self.again = 0  # fits handed out again
        self.told = False  # how long all of it will take is said once
        self.leaving = False  # once a fit was left no other is handed out
        self.overview: Overview | None = None
        self.nodes: Callable[[], dict[str, str]] = dict

    def do(self, engine: Engine, steps_of: Callable[[Job], int | None]) -> None:
        """Do them all, as far as the budget goes; `steps_of` says how many steps a whole fit has."""
        self.nodes = engine.nodes
        if engine.nodes():
            self.overview = Overview(len(self.jobs), self.seconds_left, self.clock)
        try:
            while self._hand_out(engine, steps_of):
                engine.wait()
                self._show()
        finally:
            engine.close()
            self.live.close()
            for shown in [self.overview, *(out.progress for out in self.out.values())]:
                if shown is not None:
                    shown.close()

    def wish(self, place: int) -> bool:
        """Whether a fit is to be saved and left: somebody asked to stop, or the budget is at its end."""
        return self.terms.stop.number is not None or self.agenda.budget.left < self.out[place].pace.closing

    def hear(self, place: int, event: Event) -> None:
        """Take note of what an engine tells of a fit."""
        out = self.out[place]
        match event:
            case FitStarted(where):
                out.where = where
            case StepsTaken():
                out.pace = event.pace
                out.progress.step(event)
                if not self.told and event.pace.is_reliable:
                    self.tell(time_to_come(self.agenda, place, event.pace, self._waiting()))
            case EpochEnded(epoch):
                out.progress.show_epoch(epoch, self.jobs[place].epochs)
            case CheckpointSaved():
                self.lost[place] = 0
            case FitLost(why):
                self._lost(place, why)
            case FitInterrupted(seconds):
                self._left(place, seconds)
            case FitFailed():
                self._failed(place, event)
            case FitFinished():
                self._finished(place, event)
        if self.overview is None:
            self.live.note(self.snapshot)

    def tell(self, lines: Sequence[str]) -> None:
        """Say how long it will take, above the progress bar."""
        self.told = True
        for line in lines:
            print_line(f"  {line}")

    def seconds_left(self) -> float | None:
        """Seconds until all is done; None while unknown."""
        running = self._rests()
        known = [rest for rest in running if rest is not None]
        return self.agenda.seconds_left(self._waiting(), known) if len(known) == len(running) else None

    def _waiting(self) -> list[FitLoad]:
        """What is handed out and has not begun."""
        return [out.pace.load for out in self.out.values() if not out.where]

    def _rests(self) -> list[float | None]:
        """Seconds that those still need which have begun."""
        guess = self.agenda.estimates.estimate_seconds
        began = [out.pace for out in self.out.values() if out.where]
        return [pace.rest if pace.is_reliable else guess(pace.load) for pace in began]

    def snapshot(self) -> Snapshot:
        """How it stands."""
        busy = [(self.jobs[place].title, out) for place, out in self.out.items() if out.where]
        running = [Running(title, out.where, out.progress.taken, out.progress.steps) for title, out in busy[:MOST]]
        there = Counter(out.where for _, out in busy)
        nodes = {name: f"{has}, {there[name]} running" for name, has in self.nodes().items()}
        left = self.seconds_left()
        return Snapshot(self.ended, len(self.jobs), self.again, len(busy), left, running, nodes)

    def _hand_out(self, engine: Engine, steps_of: Callable[[Job], int | None]) -> bool:
        """Give the engine all it has room for; returns whether anything is out."""
        self.agenda.at_once = engine.at_once
        most = inf if self.agenda.budget.seconds == inf else engine.at_once  # what waits elsewhere ends at no limit
        while not self.leaving and self.terms.stop.number is None and engine.room and len(self.out) < most:
            if (place := self.agenda.next()) is None:
                break
            job, load = self.jobs[place], self.agenda.out[place]
            whole = steps_of(job)
            behind = round((whole or 0) * job.share_done)
            steps = None if whole is None else whole - behind
            self.out[place] = Out(Pace(load, steps, self.clock()), self._progress(job, whole, behind))
            engine.start(place, FitRequest(job, load, steps, self.terms.interval))
        return bool(self.out)

    def _progress(self, job: Job, steps: int | None, behind: int) -> Progress:
        title = job.title
        if alone := self.overview is None:
            title = f"fit {self.ended + 1} of {len(self.jobs)}: {title}"
        board, quiet = board_of(job, self.terms.log), self.agenda.at_once > FEW
        return Progress(title, steps, behind, self.metric, self.seconds_left, self.clock, board, bar=alone, quiet=quiet)

    def _show(self) -> None:
        if self.overview is not None:
            self.overview.show(self.ended, self._running, self.again)
            self.live.note(self.snapshot)

    def _running(self) -> list[tuple[str, Progress]]:
        return [(out.where, out.progress) for out in self.out.values() if out.where]

    def _take(self, place: int) -> tuple[Job, str]:
        """A fit that is out no more: its job, and which it is of all that end."""
        self.out.pop(place).progress.close()
        self.ended += 1
        return self.jobs[place], f"[{self.ended}/{len(self.jobs)}]"

    def _finished(self, place: int, event: FitFinished) -> None:
        job, which = self._take(place)
        self.agenda.done(place, event.seconds, event.start)
        left = self.seconds_left() if self.agenda.waiting or self.out else None
        about = "" if left is None else f", about {format_duration(left)} left"
        print_line(f"{which} {job.title}: {_said(job, event, self.metric)}, {format_duration(event.seconds)}{about}")
        if not self.told and left is not None:
            self.tell(reach(self.agenda, [rest for rest in self._rests() if rest is not None]))

    def _failed(self, place: int, event: FitFailed) -> None:
        job, which = self._take(place)
        self.agenda.drop(place)
        write_failure(job, event)
        self.failed.append(f"{job.title}: {event.reason}")
        print_line(f"{which} failed: {self.failed[-1]}; the others go on")

    def _left(self, place: int, seconds: float) -> None:
        self.out.pop(place).progress.close()
        self.agenda.put_back(place)
        self.leaving = True
        job = self.jobs[place]
        if share := job.share_done:
            print_line(f"{job.title}: left after {format_duration(seconds)}, saved at {share:.0%} of its steps")

    def _lost(self, place: int, why: str) -> None:
        job, begun = self.jobs[place], bool(self.out[place].where)
        self.lost[place] += begun  # of one that had not begun nothing is lost
        if self.lost[place] == TRIES:
            self._failed(place, FitFailed(f"lost {TRIES} times, the last time because {why}"))
            return
        self.out.pop(place).progress.close()
        self.agenda.put_back(place)
        self.again += begun
        if begun:
            stopping = self.leaving or self.terms.stop.number is not None
            then = "saved" if stopping else "it is done again from"
            print_line(f"{job.title}: lost, {why}; {then} {job.share_done:.0%} of its steps")


def do_jobs(
    jobs: Sequence[Job],
    competition: Competition,
    split: FoldAssignment,
    budget: Budget,
    terms: Terms,
    make_engine: MakeEngine,
) -> Done:
    """Do what is not done of the jobs, as far as the budget goes and until somebody asks to stop.

    Each is handed out by an agenda that learns from what the others took. One that fails leaves a note and the others
    go on, but what the machine refuses, such as room on the disk, ends all: OSError.
    """
    from pipeline.fits import run_fit

    loads, to_do = loads_to_do(jobs, competition, split)
    begun = {job.variant for job in jobs if job.state != "fit"}
    leavable = [place for place, (job, _) in enumerate(to_do) if job.state == "fit" and not job.is_linear]
    agenda = Agenda([load for _, load in to_do], begun, budget, learn_from_finished(jobs, loads), leavable)
    live = Live(jobs[0].folder.parents[4], budget.clock)
    work = Work([job for job, _ in to_do], agenda, terms, competition.metric, live)

    def steps_of(job: Job) -> int | None:
        return run_fit.count_steps(job, len(split.train(job.fold)))

    shared = build_inputs(competition, split)
    work.do(make_engine(shared=shared, fits=len(to_do), hear=work.hear, wish=work.wish, clock=budget.clock), steps_of)
    left = [agenda.estimates.estimate_seconds(load) for load in agenda.waiting.values()]
    one = fmean(each for each in left if each is not None) if left and None not in left else None
    return Done([work.jobs[place] for place in agenda.waiting], agenda.seconds_left(), one, work.failed)


def _said(job: Job, event: FitFinished, metric: Metric) -> str:
    """What a finished fit gave."""
    if job.state == "predict":
        return "test table predicted"
    assert event.marker is not None
    halved = event.marker.provenance.micro_batch_tokens
    short = f", memory was short: {halved} tokens at once" if halved else ""
    return format_scores(event.marker.epochs[-1].scores, metric) + short
