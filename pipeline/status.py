"""The verb `status`: what is done, what is to do, and about how long it will take."""

from collections.abc import Sequence
from pathlib import Path

from oof.blend_file import read_blend
from pipeline.competition import Competition, load_competition
from pipeline.config import Config
from pipeline.display import duration, table
from pipeline.estimate import earlier_fits, loads_of
from pipeline.members import recorded_jobs, stale_member
from pipeline.plan import Job, wanted_now
from pipeline.run_directory import run_directory
from pipeline.splits import Folds, open_folds


def status(config: Config, folder: Path) -> None:
    """Print a line for each variant, and what to do next."""
    competition = load_competition(config, folder)
    run = run_directory(config, folder)
    if not (run.folds / "folds.csv").exists():
        print(f"run {config.run} has not started: {config.command('train')}")
        return
    split = open_folds(run, config, competition, make=False)
    recorded = recorded_jobs(run, config, competition, split, competition.test.sha256)
    jobs = wanted_now(recorded, None)
    rows, left, unknown = _progress(config, jobs, len(split.numbers), _seconds(jobs, competition, split))
    print(table(["variant", "fits done", "training", "time left"], rows))
    if left or unknown:
        known = f"about {duration(left)} of training left" if left else "fits to do"
        more = ", and variants that no fit has timed yet" if unknown and left else ""
        print(f"{known}{more}: {config.command('train')}")
    elif any(job.state == "predict" for job in jobs):
        print(f"the test table is new to some fits: {config.command('train')} predicts it")
    elif not (run.oof / "blend.json").exists():
        print(f"every fit is done: {config.command('blend')}")
    elif member := stale_member(read_blend(run.oof / "blend.json"), recorded):
        print(f"the blend is older than the fits of {member}: {config.command('blend')}")
    else:
        print(f"blended; {len(competition.test.ids)} test rows: {config.command('submit')}")


def _seconds(jobs: Sequence[Job], competition: Competition, split: Folds) -> list[float | None]:
    """For each job the seconds that a fit of it takes; None where no fit of its backbone was timed."""
    loads = loads_of(jobs, competition, split)
    estimates = earlier_fits(jobs, loads)
    return [estimates.seconds(load) for load in loads]


def _progress(
    config: Config, jobs: Sequence[Job], folds: int, seconds: Sequence[float | None]
) -> tuple[list[list[str]], float, bool]:
    """A row for each variant, the seconds left, and whether some variant has no timed fit to guess from."""
    rows: list[list[str]] = []
    left, unknown = 0.0, False
    for variant in config.variants:
        own = [(job, need) for job, need in zip(jobs, seconds, strict=True) if job.variant == variant]
        settings = config.settings(variant)
        seeds = len(settings.get("seeds", [0]))
        total = seeds if settings["folds"] == "all" else seeds * folds
        spent = [float(job.marker["provenance"]["seconds"]) for job, _ in own if job.marker is not None]
        needs = [need for job, need in own if job.state == "fit" and need is not None]
        missing = total - len(spent)
        known = len(needs) == missing
        left += sum(needs)
        unknown |= not known
        time_left = "-" if not missing else duration(sum(needs)) if known else "unknown"
        rows.append([variant, f"{len(spent)}/{total}", duration(sum(spent)) if spent else "-", time_left])
    return rows, left, unknown
