"""The verb `status`: what is done, what is to do, and about how long it will take."""

from collections.abc import Sequence
from pathlib import Path

from oof.blend_file import read_blend
from pipeline.competition import load_competition
from pipeline.config import Config
from pipeline.display import command, duration, table
from pipeline.members import recorded_jobs, stale_member
from pipeline.plan import Job, wanted_now
from pipeline.run_directory import run_directory
from pipeline.splits import open_folds


def status(config: Config, folder: Path) -> None:
    """Print a line for each variant, and what to do next."""
    competition = load_competition(config, folder)
    run = run_directory(config, folder)
    if not (run.folds / "folds.csv").exists():
        print(f"run {config.run} has not started: {command('train', folder)}")
        return
    split = open_folds(run, config, competition, make=False)
    recorded = recorded_jobs(run, config, competition, split, competition.test.sha256)
    jobs = wanted_now(recorded, None)
    rows, left, unknown = _progress(config, jobs, len(split.numbers))
    print(table(["variant", "fits done", "training", "time left"], rows))
    if left or unknown:
        known = f"about {duration(left)} of training left" if left else "fits to do"
        more = ", and variants that no fit has timed yet" if unknown and left else ""
        print(f"{known}{more}: {command('train', folder)}")
    elif any(job.state == "predict" for job in jobs):
        print(f"the test table is new to some fits: {command('train', folder)} predicts it")
    elif not (run.oof / "blend.json").exists():
        print(f"every fit is done: {command('blend', folder)}")
    elif member := stale_member(read_blend(run.oof / "blend.json"), recorded):
        print(f"the blend is older than the fits of {member}: {command('blend', folder)}")
    else:
        print(f"blended; {len(competition.test.ids)} test rows: {command('submit', folder)}")


def _progress(config: Config, jobs: Sequence[Job], folds: int) -> tuple[list[list[str]], float, bool]:
    """A row for each variant, the seconds left, and whether some variant has no timed fit to guess from."""
    rows: list[list[str]] = []
    left, unknown = 0.0, False
    for variant in config.variants:
        own = [job for job in jobs if job.variant == variant]
        settings = config.settings(variant)
        seeds = len(settings.get("seeds", [0]))
        total = seeds if settings["folds"] == "all" else seeds * folds
        done = [job for job in own if job.state != "fit"]
        spent = [float((job.marker or {})["provenance"]["seconds"]) for job in done]
        missing = total - len(done)
        guess = missing * sum(spent) / len(spent) if spent else None
        left += guess or 0.0
        unknown |= bool(missing and guess is None)
        time_left = "-" if not missing else duration(guess) if guess is not None else "unknown"
        rows.append([variant, f"{len(done)}/{total}", duration(sum(spent)) if spent else "-", time_left])
    return rows, left, unknown
