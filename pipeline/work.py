"""The work of `train`: takes fits from the agenda, does one after the other, and says how long the rest will take."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tqdm import tqdm

from pipeline.budget import Agenda, Budget
from pipeline.competition import Competition
from pipeline.display import duration
from pipeline.estimate import Load, earlier_fits, loads_of
from pipeline.failures import note_failure
from pipeline.forecast import reach, time_to_come
from pipeline.job import Job
from pipeline.pace import Pace
from pipeline.progress import shown
from pipeline.scoring import scorer, scores_line
from pipeline.splits import Folds
from pipeline.stopping import StopRequest

if TYPE_CHECKING:
    from models.course import Step
    from pipeline.engine import Shared


CHECKPOINT_SECONDS = 300.0


@dataclass(frozen=True)
class Done:
    """How `do_jobs` ended: the jobs that are left, about their seconds, and sentences on those that failed."""

    left: list[Job]
    seconds: float | None
    failed: list[str]


@dataclass
class Work:
    """Jobs that are not done, the agenda that knows them by number, and what every fit needs.

    A running fit is saved every `interval` seconds, and left when `stop` asks for it; `log` is TensorBoard's folder.
    """

    jobs: list[Job]
    agenda: Agenda
    shared: "Shared"
    stop: StopRequest
    interval: float
    log: Path | None
    failed: list[str] = field(default_factory=list)
    told: bool = False  # how long all of it will take is said once

    def tell(self, lines: Sequence[str]) -> None:
        """Say it, above the progress bar."""
        self.told = True
        for line in lines:
            tqdm.write(f"  {line}")
        sys.stdout.flush()


def check_jobs(jobs: Sequence[Job], competition: Competition) -> None:
    """Refuse what cannot train before the first fit starts, not after the last. Raises ModelError."""
    from pipeline import engine

    for job in {job.variant: job for job in jobs if job.state == "fit"}.values():  # all fits of a variant are alike
        engine.check_job(job, competition)


def do_jobs(
    jobs: Sequence[Job],
    competition: Competition,
    split: Folds,
    budget: Budget,
    stop: StopRequest,
    interval: float,
    log: Path | None,
) -> Done:
    """Do what is not done of the jobs, as far as the budget goes and until `stop` asks to stop.

    Each is handed out by an agenda that learns from what the others took. One that fails leaves a note and the others
    go on, but what the machine refuses, such as room on the disk, ends all: OSError.
    """
    from pipeline import engine
    from pipeline.caches import Caches

    loads = loads_of(jobs, competition, split, _token_size)
    to_do = [(job, _rest(job, load)) for job, load in zip(jobs, loads, strict=True) if job.state != "done"]
    begun = {job.variant for job in jobs if job.state != "fit"}
    leavable = [place for place, (job, _) in enumerate(to_do) if job.state == "fit" and not job.linear]
    agenda = Agenda([load for _, load in to_do], begun, budget, earlier_fits(jobs, loads), leavable)
    caches = Caches(jobs[0].folder.parents[3])  # the models/ of the run
    shared = engine.Shared(competition, split, scorer(competition.metric, competition.spec.task), caches)
    work = Work([job for job, _ in to_do], agenda, shared, stop, interval, log)
    count = 0
    while stop.number is None and (place := agenda.next()) is not None and _do(work, place, count := count + 1):
        pass
    return Done([work.jobs[place] for place in agenda.waiting], agenda.seconds_left(), work.failed)


def _rest(job: Job, load: Load) -> Load:
    """What is to be done of a job: of one that is trained the test table, of one that was left the steps after that."""
    if job.state == "predict":
        return replace(load, train=0.0, valid=0.0)
    return replace(load, train=load.train * (1 - job.share_done))


def _do(work: Work, place: int, count: int) -> bool:
    """Do one job and say so; returns whether others may follow: not after one that was left in the middle."""
    from models.course import LeftError

    job, agenda = work.jobs[place], work.agenda
    clock, of_all = agenda.budget.clock, f"{count} of {len(work.jobs)}"
    pace = Pace(agenda.out[place], None, began := clock())
    try:
        said = _predict(work, job) if job.state == "predict" else _fit(work, place, pace, f"fit {of_all}: {job.title}")
    except LeftError:
        agenda.put_back(place)
        share = job.share_done
        print(f"{job.title}: left after {duration(clock() - began)}, saved at {share:.0%} of its steps", flush=True)
        return False
    except OSError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, the other fits go on
        agenda.drop(place)
        work.failed.append(f"{job.title}: {note_failure(job, error)}")
        print(f"[{of_all.replace(' of ', '/')}] failed: {work.failed[-1]}; the others go on", flush=True)
        return True
    agenda.done(place, spent := clock() - began, pace.start)
    left = agenda.seconds_left() if agenda.waiting else None
    about = "" if left is None else f", about {duration(left)} left"
    print(f"[{of_all.replace(' of ', '/')}] {job.title}: {said}, {duration(spent)}{about}", flush=True)
    if not work.told and left is not None:
        work.tell(reach(agenda))
    return True


def _predict(work: Work, job: Job) -> str:
    """Predict the test table with a finished fit."""
    from pipeline import artefacts, engine

    competition, columns = work.shared.competition, work.shared.competition.targets.columns
    predictions = engine.do_predict(job, competition.test, work.shared.caches, competition.spec.task, len(columns))
    artefacts.keep_test_predictions(job, predictions, competition.test, columns)
    return "test table predicted"


def _fit(work: Work, place: int, pace: Pace, title: str) -> str:
    """Train a job under a progress bar; returns its scores. Raises LeftError where it is left."""
    from pipeline import engine

    job, agenda, metric = work.jobs[place], work.agenda, work.shared.competition.metric
    clock, saved = agenda.budget.clock, agenda.budget.clock()
    steps = engine.steps_of(job, len(work.shared.folds.train(job.fold)))
    behind = round((steps or 0) * job.share_done)
    pace.steps = None if steps is None else steps - behind

    def left() -> float | None:
        later = agenda.seconds_left()
        return None if later is None or not pace.telling else later + pace.rest

    with shown(job, title, steps, behind, metric, left, clock, work.log) as progress:

        def on_epoch(epoch: dict[str, Any]) -> None:
            progress.epoch(epoch, job.settings.get("epochs", 1))

        def on_step(step: "Step") -> None:
            pace.step(clock())
            progress.step(step)
            if not work.told and pace.telling:
                work.tell(time_to_come(agenda, place, pace))

        def pause() -> Literal["go on", "save", "leave"]:
            nonlocal saved
            if work.stop.number is not None or agenda.budget.left < pace.closing:
                return "leave"
            if clock() - saved < work.interval:
                return "go on"
            saved = clock()
            return "save"

        marker = engine.do_fit(job, work.shared, on_step, on_epoch, pause)
    halved = marker["provenance"].get("micro_batch_tokens")
    parts = f", memory was short: {halved} tokens at once" if halved else ""
    return scores_line(marker["epochs"][-1]["scores"], metric) + parts


def _token_size(job: Job) -> float:
    """What a token costs in the backbone of a neural job: the matrix products of the layers that are not frozen."""
    from pipeline import engine

    backbone = engine.backbone_of(job.settings)
    layers = backbone.layers - 1 - (job.settings["freeze_layers"] or 0)
    return float(layers * backbone.config.hidden_size**2)
