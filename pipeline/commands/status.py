"""The command `status`: what is done, what is to do, and about how long it will take."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from models.store import describe_differences, digest
from oof.blends.blend_file import SavedBlend
from pipeline.blending.saved_blend import (
    BLEND,
    describe_request,
    find_changed_source,
    list_new_members,
    read_saved_blend,
    read_submission_record,
)
from pipeline.commands.verify import verify_run
from pipeline.config.run_config import RunConfig
from pipeline.data.competition import load_competition
from pipeline.data.fold_assignment import FOLDS
from pipeline.display import format_duration, format_table, print_line
from pipeline.fits.job import Job
from pipeline.fits.open_run import OpenRun, format_folds_option, open_run
from pipeline.fits.outputs import read_failure
from pipeline.fits.plan import select_jobs
from pipeline.fits.timing import learn_from_finished, measure_loads
from pipeline.scheduling.live_status import describe_status, read_live_status
from pipeline.storage.run_directory import locate_run


def print_status(config: RunConfig, folder: Path, *, deep: bool = False, as_json: bool = False) -> None:
    """Print a line for each variant, and what to do next; `deep` reads every file of the run instead and checks it.

    `as_json` prints one JSON object: run, variants with their fits, what runs now, and the next steps.
    """
    directory = locate_run(folder, config.run)
    if not (directory.folds / FOLDS).exists():
        load_competition(config.competition, config.submission, folder)
        train = config.command_line.format("train")
        if as_json:
            print_line(json.dumps({"run": config.run, "variants": [], "running": None, "next": [train]}))
        else:
            print_line(f"run {config.run} has not started: {train}")
        return
    if deep:
        summary = verify_run(directory)
        open_run(config, folder)  # the folds are complete, and of this table and config
        print_line(summary)
        return
    run = open_run(config, folder)
    live = read_live_status(directory)
    jobs = select_jobs(run.jobs, None)
    progress = _measure_progress(run, jobs)
    if as_json:
        content = {
            "run": run.name,
            "variants": [asdict(variant) for variant in progress.variants],
            "running": None if live is None else live.to_json(),
            "unfinished": _list_unfinished(jobs),
            "next": [] if live is not None else _list_next_steps(run, jobs, progress),
        }
        print_line(json.dumps(content, ensure_ascii=False))
        return
    if live is not None:
        print_line("\n".join(describe_status(live)) + "\n")
    rows = [variant.tabulate() for variant in progress.variants]
    print_line(format_table(["variant", "fits done", "training", "time left"], rows))
    if live is not None:
        return
    for line in [*_list_unfinished(jobs), *_list_next_steps(run, jobs, progress)]:
        print_line(line)


@dataclass(frozen=True)
class _VariantProgress:
    """The fits of a variant, those that are done, their seconds, and the seconds left; None where that is unknown."""

    name: str
    fits: int
    done: int
    seconds: float | None
    seconds_left: float | None

    def tabulate(self) -> list[str]:
        left = "unknown" if self.seconds_left is None else format_duration(self.seconds_left)
        spent = "-" if self.seconds is None else format_duration(self.seconds)
        return [self.name, f"{self.done}/{self.fits}", spent, "-" if self.done == self.fits else left]


@dataclass(frozen=True)
class _Progress:
    """The variants, the seconds left, and whether a variant has no timed fit to learn from."""

    variants: list[_VariantProgress]
    seconds_left: float
    is_unknown: bool


def _list_next_steps(run: OpenRun, jobs: Sequence[Job], progress: _Progress) -> list[str]:
    """Return what to do next, with the command."""
    train, blend_again = run.commands.format("train"), run.commands.format("blend")
    if progress.seconds_left or progress.is_unknown:
        known = f"about {format_duration(progress.seconds_left)} of training left"
        if not progress.seconds_left:
            known = "fits to do"
        elif progress.is_unknown:
            known += ", and variants that no fit has timed yet"
        return [f"{known}: {train}"]
    if any(job.state == "predict" for job in jobs):
        return [f"the test table is new to some fits: {train} predicts it"]
    if not (run.directory.oof / BLEND).exists():
        return [f"every fit is done: {blend_again}"]
    blend = read_saved_blend(run.directory)
    reason = _find_reason_to_blend(run, blend)
    if reason is not None:
        return [f"{reason}: {blend_again}"]
    path = run.directory.submissions / run.submission.file
    record = read_submission_record(path) or {}
    if record.get("of") == "blend" and record.get("blend") == digest(blend.to_json()):
        return [f"submitted: {path} holds the blend"]
    folds = "" if blend.folds == run.split.numbers else format_folds_option(blend.folds)
    return [
        f"look at it: {run.commands.format('report', folds)}",
        f"blended; {len(run.competition.test.ids)} test rows: {run.commands.format('submit')}",
    ]


def _find_reason_to_blend(run: OpenRun, blend: SavedBlend) -> str | None:
    """Return why the blend is out of date; None if it is not."""
    source = find_changed_source(run, blend)
    if source is not None:
        return f"the blend was made of other {source}"
    new = list_new_members(run, blend)
    if new:
        return f"the blend does not know {', '.join(new)}"
    if blend.test_table != run.competition.test.sha256:
        return "the blend is of another test table"
    changed = describe_differences(blend.asked, describe_request(run))
    return f"the blend was made by other settings: {'; '.join(changed)}" if changed else None


def _list_unfinished(jobs: Sequence[Job]) -> list[str]:
    """Return a line for each fit that was interrupted or failed."""
    lines = [
        f"interrupted: {job.title} at {job.share_done:.0%}" for job in jobs if job.state == "fit" and job.share_done
    ]
    failures = [(job, read_failure(job)) for job in jobs]
    return lines + [f"failed: {job.title}: {reason}" for job, reason in failures if reason]


def _measure_progress(run: OpenRun, jobs: Sequence[Job]) -> _Progress:
    """Return how far each variant is; a fit takes as long as finished ones like it."""
    loads = measure_loads(jobs, run.competition, run.split)
    estimates = learn_from_finished(jobs, loads)
    expected = [estimates.estimate_seconds(load) for load in loads]
    variants: list[_VariantProgress] = []
    seconds_left = 0.0
    is_unknown = False
    for variant in run.variants.values():
        seeds = len(variant.settings.seeds)
        total = seeds if variant.settings.folds == "all" else seeds * len(run.split.numbers)
        own = [(job, seconds) for job, seconds in zip(jobs, expected, strict=True) if job.variant == variant.name]
        spent = [job.seconds for job, _ in own if job.seconds is not None]
        needs = [seconds for job, seconds in own if job.state == "fit" and seconds is not None]
        missing = total - len(spent)
        is_known = len(needs) == missing
        seconds_left += sum(needs)
        is_unknown |= not is_known
        left = sum(needs) if is_known else None
        variants.append(_VariantProgress(variant.name, total, len(spent), sum(spent) if spent else None, left))
    return _Progress(variants, seconds_left, is_unknown)
