"""`train --dry-run`: the fits that would be done, where, how long they will take and what they cost. Writes nothing."""

from collections.abc import Sequence
from pathlib import Path

from pipeline.commands.train import plan_fits
from pipeline.config.run_config import Config
from pipeline.data.competition import load_competition
from pipeline.data.fold_assignment import chosen_folds, foreseen_folds
from pipeline.display import duration, table, warn
from pipeline.engines.select import Choice, resources
from pipeline.fits.job import Job
from pipeline.fits.plan import explain
from pipeline.fits.timing import Estimates, Load, earlier_fits
from pipeline.scheduling.budget import time_for
from pipeline.storage.run_directory import run_directory
from pipeline.workload import check_jobs, loads_to_do


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
