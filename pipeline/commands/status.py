"""The verb `status`: what is done, what is to do, and about how long it will take."""

from collections.abc import Sequence
from pathlib import Path

from models.store import differences, digest
from pipeline.blending.run_members import recorded_jobs
from pipeline.blending.saved_blend import BLEND, asked, changed_source, not_offered, read_blended
from pipeline.commands.submit import submission_record
from pipeline.commands.verify import check_run
from pipeline.config.run_config import Config
from pipeline.data.competition import Competition, load_competition
from pipeline.data.fold_assignment import FOLDS, Folds, open_folds
from pipeline.display import duration, table
from pipeline.fits.job import Job
from pipeline.fits.outputs import failure_of
from pipeline.fits.plan import wanted_now
from pipeline.fits.timing import earlier_fits, loads_of
from pipeline.scheduling.live_status import read_live, sentences
from pipeline.storage.run_directory import run_directory


def status(config: Config, folder: Path, *, deep: bool = False) -> None:
    """Print a line for each variant, and what to do next; `deep` reads every file of the run instead and checks it."""
    competition = load_competition(config, folder)
    run = run_directory(config, folder)
    if not (run.folds / FOLDS).exists():
        print(f"run {config.run} has not started: {config.command('train')}")
        return
    if deep:
        found = check_run(run)
        open_folds(run, config, competition, make=False)  # whole, and of this table and config
        print(found)
        return
    if (now := read_live(run)) is not None:
        print("\n".join(sentences(now)) + "\n")
    split = open_folds(run, config, competition, make=False)
    recorded = recorded_jobs(run, config, competition, split, competition.test.sha256)
    jobs = wanted_now(recorded, None)
    rows, left, unknown = _progress(config, jobs, len(split.numbers), _seconds(jobs, competition, split))
    print(table(["variant", "fits done", "training", "time left"], rows))
    if now is not None:
        return
    print("".join(f"{line}\n" for line in _unfinished(jobs)), end="")
    if left or unknown:
        known = f"about {duration(left)} of training left" if left else "fits to do"
        more = ", and variants that no fit has timed yet" if unknown and left else ""
        print(f"{known}{more}: {config.command('train')}")
    elif any(job.state == "predict" for job in jobs):
        print(f"the test table is new to some fits: {config.command('train')} predicts it")
    elif not (run.oof / BLEND).exists():
        print(f"every fit is done: {config.command('blend')}")
    elif source := changed_source(blend := read_blended(run), recorded, config, folder):
        print(f"the blend was made of other {source}: {config.command('blend')}")
    elif new := not_offered(blend, recorded, config):
        print(f"the blend does not know {', '.join(new)}: {config.command('blend')}")
    elif blend["test_table"] != competition.test.sha256:
        print(f"the blend is of another test table: {config.command('blend')}")
    elif changed := differences(blend["asked"], asked(config)):
        print(f"the blend was made by other settings: {'; '.join(changed)}: {config.command('blend')}")
    elif (submission_record(path := run.submissions / config.submission.file) or {}).get("blend") != digest(blend):
        part = "" if blend["folds"] == split.numbers else f" --folds {','.join(map(str, blend['folds']))}"
        print(f"look at it: {config.command('report')}{part}")
        print(f"blended; {len(competition.test.ids)} test rows: {config.command('submit')}")
    else:
        print(f"submitted: {path} holds the blend")


def _unfinished(jobs: Sequence[Job]) -> list[str]:
    """Fits that were left in the middle or failed."""
    left = [f"left: {job.title} at {job.share_done:.0%}" for job in jobs if job.state == "fit" and job.share_done]
    return left + [f"failed: {job.title}: {failure}" for job in jobs if (failure := failure_of(job))]


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
