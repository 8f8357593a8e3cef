"""The verb `train`: every variant x fold, resumable."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.budget import Budget
from pipeline.competition import Competition, load_competition
from pipeline.config import Config
from pipeline.display import warn
from pipeline.forecast import stopped
from pipeline.plan import Job, explain, make_jobs, wanted_now, wanted_recipe
from pipeline.run_directory import RunDirectory, run_directory, save_config
from pipeline.splits import Folds, chosen_folds, open_folds
from pipeline.work import check_jobs, do_jobs


def train(
    config: Config,
    folder: Path,
    *,
    only: Sequence[str] | None = None,
    folds: Sequence[int] | None = None,
    budget: Budget | None = None,
    again: str = "",
) -> None:
    """Do every fit of the config that is not done, restricted to some variants and folds, and to a time, where asked.

    `again` is the command that goes on where the time was not enough.
    """
    competition = load_competition(config, folder)
    run = run_directory(config, folder)
    split = open_folds(run, config, competition, make=True)
    chosen = chosen_folds(split, folds)
    warn(competition.warnings + split.warnings)
    save_config(run, config)
    jobs = plan_fits(run, config, competition, split, only, chosen)
    classes = f", {len(competition.targets.columns)} outputs" if len(competition.targets.columns) > 1 else ""
    print(f"run {config.run}: {len(competition.ids)} training rows, {len(competition.test.ids)} test rows{classes}")
    print("\n".join(f"  {line}" for line in explain(run, jobs)))
    check_jobs(jobs)
    record_recipes(jobs)
    if all(job.state == "done" for job in jobs):
        print(f"nothing to do; blend next: {config.command('blend')}")
        return
    budget = budget or Budget()
    left, seconds = do_jobs(jobs, competition, split, budget)
    if left:
        print(
            "\n".join(stopped(jobs, left, seconds, budget, again or config.command("train"), config.command("blend")))
        )
        return
    what = "all fits" if only is None and folds is None else "the fits asked for are"
    print(f"{what} done; blend next: {config.command('blend')}")


def plan_fits(
    run: RunDirectory,
    config: Config,
    competition: Competition,
    split: Folds,
    only: Sequence[str] | None,
    folds: Sequence[int],
) -> list[Job]:
    """The fits that `train` would do now, by recipes that name the backbone's bytes."""
    from pipeline.engine import backbone_of

    def recipe_of(variant: str) -> dict[str, Any]:
        settings = config.settings(variant)
        sha256 = None if "model" in settings else backbone_of(settings).sha256
        return wanted_recipe(config, competition, variant, sha256)

    jobs = make_jobs(run, config, competition, split, recipe_of, test_sha256=competition.test.sha256, only=only)
    return wanted_now(jobs, folds)


def record_recipes(jobs: Sequence[Job]) -> None:
    """Leave each variant's recipe at its place, also where fits are done but the record was lost."""
    from pipeline import engine

    for job in {job.folder.parent.parent: job for job in jobs}.values():
        engine.record_recipe(job)
