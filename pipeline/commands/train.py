"""The verb `train`: every variant x fold, resumable.

`train --dry-run`: the fits that would be done, where, how long they will take and what they cost. Writes nothing.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from math import inf
from pathlib import Path
from typing import Any

from models.store import CHECKPOINT, FAILURE, MARKER
from pipeline.config.run_config import Config
from pipeline.data.competition import Competition, load_competition
from pipeline.data.fold_assignment import Folds, chosen_folds, foreseen_folds, open_folds
from pipeline.display import duration, table, warn
from pipeline.engines.select import CLOSING, Choice, make_engine, resources
from pipeline.errors import PipelineError
from pipeline.fits.job import Job
from pipeline.fits.plan import explain, make_jobs, wanted_now
from pipeline.fits.recipes import note_use, wanted_recipe
from pipeline.fits.timing import Estimates, Load, earlier_fits
from pipeline.scheduling.budget import Budget, time_for
from pipeline.scheduling.forecast import check_jobs, loads_to_do, stopped
from pipeline.scheduling.scheduler import CHECKPOINT_SECONDS, Terms, do_jobs
from pipeline.scheduling.signals import stoppable
from pipeline.storage.files import sweep
from pipeline.storage.locks import only_one
from pipeline.storage.run_directory import RunDirectory, run_directory, save_config


def train(
    config: Config,
    folder: Path,
    *,
    only: Sequence[str] | None = None,
    folds: Sequence[int] | None = None,
    budget: Budget | None = None,
    interval: float = CHECKPOINT_SECONDS,
    log: Path | None = None,
    choice: Choice = Choice(),  # noqa: B008 - frozen
    again: str = "",
) -> int:
    """Do every fit of the config that is not done, restricted to some variants and folds, and to a time, where asked.

    `choice` says where. Running fits are saved every `interval` seconds; `log` is a folder for TensorBoard, `again` the
    command that goes on where the time was not enough. Returns the exit code: 0, 1 if a fit failed, 128 and the number
    of the signal that stopped it.
    """
    if log is not None:
        from models.training.tensorboard import need_board

        need_board()
    competition = load_competition(config, folder)
    run = run_directory(config, folder)
    with only_one(run.root, "train"), stoppable() as stop:
        sweep(run.root, below=False)
        sweep(run.folds)
        sweep(run.models)
        split = open_folds(run, config, competition, make=True)
        chosen = chosen_folds(split, folds)
        warn(competition.warnings + split.warnings)
        save_config(run, config)
        jobs = [to_redo(job) for job in plan_fits(run, config, competition, split, only, chosen)]
        classes = f", {len(competition.targets.columns)} outputs" if len(competition.targets.columns) > 1 else ""
        print(f"run {config.run}: {len(competition.ids)} training rows, {len(competition.test.ids)} test rows{classes}")
        print("\n".join(f"  {line}" for line in explain(run, jobs)), flush=True)
        check_jobs(jobs, competition)
        record_recipes(jobs)
        drop_leftovers(run)
        if all(job.state == "done" for job in jobs):
            print(f"nothing to do; blend next: {config.command('blend')}")
            return 0
        engine = partial(make_engine, choice, run.models)
        budget = replace(budget, closing=CLOSING[choice.engine]) if budget else Budget()
        done = do_jobs(jobs, competition, split, budget, Terms(stop, interval, log), engine)
    again = again or config.command("train")
    if done.left:
        limited = f"by the budget of {duration(budget.seconds)}" if budget.seconds < inf else ""
        why = "as asked" if stop.number else limited
        print("\n".join(stopped(jobs, done, why, again, config.command("blend"), asked=stop.number is not None)))
    if done.failed:
        listed = "".join(f"\n  {line}" for line in done.failed)
        warn([f"{len(done.failed)} of {len(jobs)} fits failed; the same command tries them again: {again}{listed}"])
    elif not done.left:
        what = "all fits" if only is None and folds is None else "the fits asked for are"
        print(f"{what} done; blend next: {config.command('blend')}{_these(folds)}")
    return 128 + stop.number if stop.number else int(bool(done.failed))


def _these(folds: Sequence[int] | None) -> str:
    """The option that restricts a blend to what was trained."""
    return "" if folds is None else f" --folds {','.join(map(str, sorted(set(folds))))}"


def plan_fits(
    run: RunDirectory,
    config: Config,
    competition: Competition,
    split: Folds,
    only: Sequence[str] | None,
    folds: Sequence[int],
) -> list[Job]:
    """The fits that `train` would do now, by recipes that name the backbone's bytes."""
    from pipeline.fits.caches import backbone_of

    def recipe_of(variant: str) -> dict[str, Any]:
        settings = config.settings(variant)
        sha256 = None if "model" in settings else backbone_of(settings).sha256
        return wanted_recipe(config, competition, variant, sha256)

    jobs = make_jobs(run, config, competition, split, recipe_of, test_sha256=competition.test.sha256, only=only)
    return wanted_now(jobs, folds)


def to_redo(job: Job) -> Job:
    """A finished fit whose predictions are not as they were written is to be done again: a blend would refuse it."""
    try:
        for name in job.files:
            if name.endswith(".parquet"):
                job.checked(name)
    except PipelineError as damage:
        warn([f"{str(damage).partition(':')[0]}: that fit is done again"])
        return replace(job, marker=None, state="fit")
    return job


def drop_leftovers(run: RunDirectory) -> None:
    """Remove what a process left that was killed just after it finished a fit."""
    for marker in run.models.glob(f"*/*/seed-*/fold-*/{MARKER}"):
        for left in (CHECKPOINT, FAILURE):
            marker.with_name(left).unlink(missing_ok=True)


def record_recipes(jobs: Sequence[Job]) -> None:
    """Leave each variant's recipe at its place, also where fits are done but the record was lost."""
    from pipeline.fits import run_fit

    for job in {job.folder.parent.parent: job for job in jobs}.values():
        run_fit.record_recipe(job)
        place = job.folder.parent.parent
        note_use(place.parent, place.name)


def dry_run(
    config: Config,
    folder: Path,
    *,
    only: Sequence[str] | None = None,
    folds: Sequence[int] | None = None,
    choice: Choice,
    price: float | None = None,
    command: str = "",
) -> None:
    """Print what `train` would do with the same arguments, which `command` repeats; `price` is of a worker's hour."""
    competition, run = load_competition(config, folder), run_directory(config, folder)
    split = foreseen_folds(run, config, competition)
    jobs = plan_fits(run, config, competition, split, only, chosen_folds(split, folds))
    warn(competition.warnings + split.warnings)
    print(f"run {config.run}, as train would go on with it:")
    print("\n".join(f"  {line}" for line in explain(run, jobs)))
    check_jobs(jobs, competition)
    loads, to_do = loads_to_do(jobs, competition, split)
    if not to_do:
        print(f"nothing to do; blend next: {config.command('blend')}")
        return
    workers, where = resources(choice, len(to_do))
    estimates = earlier_fits(jobs, loads)
    print(f"{len(to_do)} fits, {workers} at a time {where}")
    print("\n".join(_forecast(to_do, estimates, workers, price, command or config.command("train"), _device(jobs))))


def _forecast(
    to_do: Sequence[tuple[Job, Load]],
    estimates: Estimates,
    workers: int,
    price: float | None,
    command: str,
    device: str,
) -> list[str]:
    """How long the fits take, by variant and in all, and what that costs."""
    loads = [load for _, load in to_do]
    rows, unknown = [], list[str]()
    for variant in dict.fromkeys(load.variant for load in loads):
        own = [load for load in loads if load.variant == variant]
        if (each := time_for(own, estimates)) is None:
            unknown.append(variant)
        rows.append([variant, str(len(own)), "unknown" if each is None else duration(each)])
    lines = [table(["variant", "fits", "time of a worker"], rows)]
    if unknown:
        first = f"{command} --only {unknown[0]} --folds 0"
        no_price = "" if price is None else ", and without a time there is no price"
        return [*lines, f"no fit like those of {', '.join(unknown)} was timed yet{no_price}; this times one: {first}"]
    busy, whole = time_for(loads, estimates) or 0.0, time_for(loads, estimates, workers) or 0.0
    lines.append(f"about {duration(whole)}, by the fits timed so far{device}")
    if price is not None:
        paid = min(workers, len(loads)) * whole
        lines.append(
            f"about {price * busy / 3600:.2f} for {busy / 3600:.2f} hours of a worker at {price:g} an hour"
            f"; {price * paid / 3600:.2f} if all are paid until the last is done"
        )
    return lines


def _device(jobs: Sequence[Job]) -> str:
    """Where the timed fits were done, so that nobody takes a laptop's time for a GPU's."""
    found = {job.marker["provenance"]["device"]: None for job in jobs if job.marker is not None and not job.linear}
    return f" on {', '.join(found)}" if found else ""
