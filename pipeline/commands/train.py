"""The command `train`: every variant x fold, resumable; and `train --dry-run`, which writes nothing."""

import platform
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from importlib import metadata
from math import inf
from pathlib import Path

from models.settings import SEPARATOR, TfidfSettings, Variant
from models.store import CHECKPOINT, FAILURE, MARKER, Recipe, digest
from pipeline.config.run_config import RunConfig, write_effective_yaml
from pipeline.data.competition import describe_score
from pipeline.data.fold_assignment import describe_test_duplicates
from pipeline.data.texts import uses_separator
from pipeline.display import (
    escape_controls,
    format_duration,
    format_table,
    print_detail,
    print_line,
    print_warnings,
    write_log,
)
from pipeline.engines.select import (
    CLOSING_SECONDS,
    EngineOptions,
    count_local_workers,
    describe_resources,
    list_devices_for,
    make_engine,
)
from pipeline.errors import PipelineError
from pipeline.fits.caches import open_backbone_of
from pipeline.fits.disk_room import check_room
from pipeline.fits.job import Job
from pipeline.fits.open_run import OpenRun, format_folds_option, open_run
from pipeline.fits.plan import explain_plan, make_jobs, select_jobs, select_variants
from pipeline.fits.recipes import build_wanted_recipe, note_use
from pipeline.fits.run_fit import record_recipe
from pipeline.fits.timing import FitLoad, TimeEstimates, learn_from_finished
from pipeline.scheduling.budget import Budget, estimate_time
from pipeline.scheduling.forecast import check_jobs, describe_stop, list_remaining_loads
from pipeline.scheduling.scheduler import CHECKPOINT_SECONDS, RunLimits, run_jobs
from pipeline.scheduling.signals import handle_stop_signals
from pipeline.storage.files import remove_temporaries
from pipeline.storage.locks import hold_lock
from pipeline.storage.run_directory import LOG, RunDirectory, locate_run, save_config

OUT_OF_TIME = 3  # exit code of a call whose budget ended before the last fit
LIBRARIES = ("torch", "transformers", "scikit-learn", "pandas", "numpy")  # whose versions the log keeps


def train(
    config: RunConfig,
    folder: Path,
    *,
    only: Sequence[str] | None = None,
    folds: Sequence[int] | None = None,
    budget: Budget | None = None,
    interval: float = CHECKPOINT_SECONDS,
    log: Path | None = None,
    choice: EngineOptions = EngineOptions(),  # noqa: B008 - frozen
    command: str = "",
) -> int:
    """Do every fit of the config that is not done, restricted to some variants and folds, and to a time, where asked.

    `choice` is the engine. Running fits are saved every `interval` seconds; `log` is a folder for TensorBoard,
    `command` the command line that continues a stopped run. Returns the exit code: 0, 1 if a fit failed, 3 if the
    budget left some to do, 128 and the number of the signal that stopped it.
    """
    if log is not None:
        from models.training.tensorboard import require_tensorboard

        require_tensorboard()
    directory = locate_run(folder, config.run)
    command = command or config.command_line.format("train")
    with ExitStack() as stack:
        stack.enter_context(hold_lock(directory.root, "train"))
        stop = stack.enter_context(handle_stop_signals())
        remove_temporaries(directory.root, below=False)
        remove_temporaries(directory.folds)
        remove_temporaries(directory.models)
        run = open_run(config, folder, folds=folds, fold_source="make")
        stack.enter_context(write_log(directory.root / LOG))
        print_detail(f"{command}\n{describe_environment()}")
        print_warnings(run.competition.warnings + run.split.warnings + describe_test_duplicates(run.competition))
        save_config(directory, write_effective_yaml(config))
        jobs = [check_predictions(job) for job in plan_fits(run, only)]
        print_line(f"run {run.name}: {_describe_tables(run)}")
        for line in describe_score(run.competition):
            print_line(escape_controls(f"  {line}"))
        print_line("\n".join(f"  {line}" for line in explain_plan(directory, jobs)))
        check_jobs(jobs, run.competition)
        record_recipes(jobs)
        remove_leftovers(directory)
        if all(job.state == "done" for job in jobs):
            print_line(f"nothing to do; blend next: {run.commands.format('blend')}")
            return 0
        check_room(jobs, directory.root, count_local_workers(choice, list_devices_for(jobs), len(jobs)))
        engine = partial(make_engine, choice, directory.models)
        budget = replace(budget, closing=CLOSING_SECONDS[choice.engine]) if budget else Budget()
        limits = RunLimits(stop, interval, log)
        result = run_jobs(jobs, run.competition, run.split, budget, limits, engine)
        if result.left:
            limit = f"by the budget of {format_duration(budget.seconds)}" if budget.seconds < inf else ""
            reason = "as asked" if stop.number else limit
            blend = run.commands.format("blend")
            lines = describe_stop(jobs, result, reason, command, blend, requested=stop.number is not None)
            print_line("\n".join(lines))
        if result.failures:
            failures = "".join(f"\n  {line}" for line in result.failures)
            summary = f"{len(result.failures)} of {len(jobs)} fits failed; the same command tries them again: {command}"
            print_warnings([summary + failures])
        elif not result.left:
            fits = "all fits" if only is None and folds is None else "the fits asked for are"
            option = "" if folds is None else format_folds_option(folds)
            print_line(f"{fits} done; blend next: {run.commands.format('blend', option)}")
    if stop.number:
        return 128 + stop.number
    return 1 if result.failures else OUT_OF_TIME if result.left else 0


def describe_environment() -> str:
    """Return the versions of Python and of the libraries that a training depends on, without importing them."""
    versions = [f"{name} {metadata.version(name)}" for name in LIBRARIES]
    return f"Python {platform.python_version()} on {platform.platform()}: {', '.join(versions)}"


def _describe_tables(run: OpenRun) -> str:
    """Return the sizes of the tables."""
    competition = run.competition
    columns = len(competition.targets.columns)
    outputs = f", {columns} outputs" if columns > 1 else ""
    return f"{len(competition.ids)} training rows, {len(competition.test.ids)} test rows{outputs}"


def plan_fits(run: OpenRun, only: Sequence[str] | None) -> list[Job]:
    """Return the fits that `train` would do now; their recipes hold the hash of the backbone's bytes."""

    def find_recipe(variant: Variant) -> Recipe:
        settings = variant.settings
        if isinstance(settings, TfidfSettings):
            return build_wanted_recipe(variant, run.competition, None)
        backbone = open_backbone_of(settings)
        sha256 = backbone.sha256
        if backbone.separator != SEPARATOR and uses_separator(run.competition.spec.text):
            sha256 = digest([sha256, backbone.separator])  # fits of versions that left [SEP] as it is are others
        return build_wanted_recipe(variant, run.competition, sha256)

    variants = select_variants(run.variants, only)
    return select_jobs(make_jobs(run.directory, variants, run.competition, run.split, find_recipe), run.folds)


def check_predictions(job: Job) -> Job:
    """Return the job, to be done again after a warning if its predictions were changed: a blend would refuse them."""
    try:
        for name in job.files:
            if name.endswith(".parquet"):
                job.check_file(name)
    except PipelineError as damage:
        print_warnings([f"{str(damage).partition(':')[0]}: that fit is done again"])
        return replace(job, marker=None, state="fit")
    return job


def remove_leftovers(directory: RunDirectory) -> None:
    """Remove checkpoints and notes beside markers: their process was killed just after it finished a fit."""
    for marker in directory.models.glob(f"*/*/seed-*/fold-*/{MARKER}"):
        for name in (CHECKPOINT, FAILURE):
            marker.with_name(name).unlink(missing_ok=True)


def record_recipes(jobs: Sequence[Job]) -> None:
    """Write each variant's recipe into its folder, also where fits are done but the record was lost."""
    for job in {job.recipe_folder: job for job in jobs}.values():
        record_recipe(job)
        note_use(job.recipe_folder.parent, job.recipe_folder.name)


def print_forecast(
    config: RunConfig,
    folder: Path,
    *,
    only: Sequence[str] | None = None,
    folds: Sequence[int] | None = None,
    choice: EngineOptions,
    price: float | None = None,
    command: str = "",
) -> None:
    """Print what `train` would do with the same arguments, which `command` repeats; `price` is of a worker's hour."""
    run = open_run(config, folder, folds=folds, fold_source="forecast")
    jobs = plan_fits(run, only)
    print_warnings(run.competition.warnings + run.split.warnings + describe_test_duplicates(run.competition))
    print_line(f"run {run.name}, as train would continue it:")
    print_line("\n".join(f"  {line}" for line in explain_plan(run.directory, jobs)))
    check_jobs(jobs, run.competition)
    loads, to_do = list_remaining_loads(jobs, run.competition, run.split)
    if not to_do:
        print_line(f"nothing to do; blend next: {run.commands.format('blend')}")
        return
    workers, place = describe_resources(choice, [job for job, _ in to_do])
    estimates = learn_from_finished(jobs, loads)
    print_line(f"{len(to_do)} fits, {workers} at a time {place}")
    repeat = command or run.commands.format("train")
    remaining = [load for _, load in to_do]
    print_line("\n".join(_describe_forecast(remaining, estimates, workers, price, repeat, _describe_device(jobs))))


def _describe_forecast(
    loads: Sequence[FitLoad],
    estimates: TimeEstimates,
    workers: int,
    price: float | None,
    command: str,
    device: str,
) -> list[str]:
    """Return how long the fits take, by variant and in all, and their cost."""
    rows = []
    unknown = []
    for variant in dict.fromkeys(load.variant for load in loads):
        own = [load for load in loads if load.variant == variant]
        seconds = estimate_time(own, estimates)
        if seconds is None:
            unknown.append(variant)
        rows.append([variant, str(len(own)), "unknown" if seconds is None else format_duration(seconds)])
    lines = [format_table(["variant", "fits", "time of a worker"], rows)]
    if unknown:
        first = f"{command} --only {unknown[0]} --folds 0"
        no_price = "" if price is None else ", and without a time there is no price"
        return [*lines, f"no fit like those of {', '.join(unknown)} was timed yet{no_price}; this times one: {first}"]
    busy = estimate_time(loads, estimates) or 0.0
    whole = estimate_time(loads, estimates, workers) or 0.0
    lines.append(f"about {format_duration(whole)}, by the fits timed so far{device}")
    if price is not None:
        paid = min(workers, len(loads)) * whole
        lines.append(
            f"about {price * busy / 3600:.2f} for {busy / 3600:.2f} hours of a worker at {price:g} an hour"
            f"; {price * paid / 3600:.2f} if all are paid until the last is done"
        )
    return lines


def _describe_device(jobs: Sequence[Job]) -> str:
    """Return the devices of the timed fits: a laptop's time is not a GPU's."""
    markers = [job.marker for job in jobs if job.marker is not None and not job.is_linear]
    devices = dict.fromkeys(marker.provenance.device for marker in markers)
    return f" on {', '.join(devices)}" if devices else ""
