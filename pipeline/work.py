"""The work of `train`: takes fits from the agenda, does one after the other, and says how long the rest will take."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from pipeline.budget import Agenda, Budget
from pipeline.competition import Competition
from pipeline.display import duration, number
from pipeline.estimate import earlier_fits, loads_of
from pipeline.forecast import reach, time_to_come
from pipeline.pace import Pace
from pipeline.plan import Job
from pipeline.scoring import scorer, scores_line
from pipeline.splits import Folds

if TYPE_CHECKING:
    from pipeline.engine import Shared


class _LimitReachedError(Exception):
    """The budget ran out inside a fit; raised by its step, so that nothing of it is written."""


@dataclass
class Work:
    """Jobs that are not done, the agenda that knows them by number, and what every fit needs."""

    jobs: list[Job]
    agenda: Agenda
    shared: "Shared"
    told: bool = False  # how long all of it will take is said once

    def tell(self, lines: Sequence[str]) -> None:
        """Say it, above the progress bar."""
        self.told = True
        for line in lines:
            tqdm.write(f"  {line}")
        sys.stdout.flush()


def check_jobs(jobs: Sequence[Job]) -> None:
    """Refuse what cannot train before the first fit starts, not after the last. Raises ModelError."""
    from pipeline import engine

    for job in {job.variant: job for job in jobs if job.state == "fit"}.values():  # all fits of a variant are alike
        engine.check_job(job)


def do_jobs(
    jobs: Sequence[Job], competition: Competition, split: Folds, budget: Budget
) -> tuple[list[Job], float | None]:
    """Do what is not done of the jobs, as far as the budget goes; returns those that are left, and about their seconds.

    Each is handed out by an agenda that learns from what the others took.
    """
    from pipeline import engine

    loads = loads_of(jobs, competition, split, _token_size)
    to_do = [(job, load) for job, load in zip(jobs, loads, strict=True) if job.state != "done"]
    # one that is only to predict is trained already: what it takes is the test table's share
    rest = [load if job.state == "fit" else replace(load, train=0.0, valid=0.0) for job, load in to_do]
    begun = {job.variant for job in jobs if job.state != "fit"}
    agenda = Agenda(rest, begun, budget, earlier_fits(jobs, loads))
    caches = engine.Caches(jobs[0].folder.parents[3])  # the models/ of the run
    score = scorer(competition.metric, competition.spec.task)
    work = Work([job for job, _ in to_do], agenda, engine.Shared(competition, split, score, caches))
    done = 0
    while (place := agenda.next()) is not None and _do(work, place, done + 1):
        done += 1
    return [work.jobs[place] for place in agenda.waiting], agenda.seconds_left()


def _do(work: Work, place: int, count: int) -> bool:
    """Do one job and say so; returns whether it was finished before the budget's end."""
    from pipeline import engine

    job, agenda, competition = work.jobs[place], work.agenda, work.shared.competition
    clock, of_all = agenda.budget.clock, f"{count} of {len(work.jobs)}"
    pace = Pace(agenda.out[place], None, began := clock())
    if job.state == "predict":
        columns = competition.targets.columns
        predictions = engine.do_predict(job, competition.test, work.shared.caches, competition.spec.task, len(columns))
        engine.keep_test_predictions(job, predictions, competition.test, columns)
        said = "test table predicted"
    else:
        pace.steps = engine.steps_of(job, len(work.shared.folds.train(job.fold)))
        try:
            said = _fit(work, place, pace, f"fit {of_all}: {job.title}")
        except _LimitReachedError:
            agenda.put_back(place)
            print(f"{job.title}: the budget ended {duration(clock() - began)} into this fit, and nothing of it is kept")
            return False
    agenda.done(place, spent := clock() - began, pace.start)
    left = agenda.seconds_left() if agenda.waiting else None
    about = "" if left is None else f", about {duration(left)} left"
    print(f"[{of_all.replace(' of ', '/')}] {job.title}: {said}, {duration(spent)}{about}", flush=True)
    if not work.told and left is not None:
        work.tell(reach(agenda))
    return True


def _fit(work: Work, place: int, pace: Pace, title: str) -> str:
    """Train a job under a progress bar; returns its scores. Raises _LimitReachedError at the budget's end."""
    from pipeline import engine

    job, agenda, metric = work.jobs[place], work.agenda, work.shared.competition.metric
    with tqdm(total=pace.steps, desc=title, unit="step", leave=False, disable=None, delay=1) as bar:

        def on_epoch(epoch: dict[str, Any]) -> None:
            line = f"epoch {epoch['epoch']}: loss {number(epoch['loss'])}, {scores_line(epoch['scores'], metric)}"
            if sys.stdout.isatty():
                bar.set_postfix_str(line)
            elif epoch["epoch"] < job.settings["epochs"]:
                print(f"  {title}, {line}", flush=True)

        def on_step() -> None:
            bar.update()
            pace.step(agenda.budget.clock())
            if not work.told and pace.telling:
                work.tell(time_to_come(agenda, place, pace))
            if agenda.budget.left < pace.closing:
                raise _LimitReachedError

        marker = engine.do_fit(job, work.shared, on_step, on_epoch)
    halved = marker["provenance"].get("micro_batch_tokens")
    parts = f", memory was short: {halved} tokens at once" if halved else ""
    return scores_line(marker["epochs"][-1]["scores"], metric) + parts


def _token_size(job: Job) -> float:
    """What a token costs in the backbone of a neural job: the matrix products of the layers that are not frozen."""
    from pipeline import engine

    backbone = engine.backbone_of(job.settings)
    layers = backbone.layers - 1 - (job.settings["freeze_layers"] or 0)
    return float(layers * backbone.config.hidden_size**2)
