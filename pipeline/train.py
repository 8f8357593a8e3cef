"""The verb `train`: every variant x fold, resumable."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from oof import OOFError
from oof.decide import decide
from oof.metrics import Metric
from pipeline.competition import Competition, load_competition
from pipeline.config import Config
from pipeline.display import command, duration, number, warn
from pipeline.plan import Job, explain, make_jobs, wanted_now, wanted_recipe
from pipeline.run_directory import RunDirectory, run_directory, save_config
from pipeline.splits import Folds, chosen_folds, open_folds


def train(
    config: Config, folder: Path, *, only: Sequence[str] | None = None, folds: Sequence[int] | None = None
) -> None:
    """Do every fit of the config that is not done, restricted to some variants and folds where asked."""
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
    record_recipes(jobs)
    to_do = [job for job in jobs if job.state != "done"]
    if not to_do:
        print(f"nothing to do; blend next: {command('blend', folder)}")
        return
    _do(to_do, competition, split)
    what = "all fits" if only is None and folds is None else "the fits asked for are"
    print(f"{what} done; blend next: {command('blend', folder)}")


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


def scorer(metric: Metric, task: str) -> Any:
    """The metric as a function of truth and predictions; None where it is undefined on the rows at hand."""

    def score(truth: np.ndarray, predictions: np.ndarray) -> float | None:
        try:
            return metric.function(truth, decide(task, predictions) if metric.needs == "labels" else predictions)
        except OOFError:
            return None

    return score


def _do(jobs: Sequence[Job], competition: Competition, split: Folds) -> None:
    from pipeline import engine

    # refuse what cannot train before the first fit starts, not after the last; all fits of a variant are alike
    for job in {job.variant: job for job in jobs if job.state == "fit"}.values():
        engine.check_job(job)
    cache, started = engine.TokenCache(), time.perf_counter()
    for number_, job in enumerate(jobs, 1):
        began = time.perf_counter()
        if job.state == "predict":
            columns = competition.targets.columns
            predictions = engine.do_predict(job, competition.test, cache, competition.spec.task, len(columns))
            engine.keep_test_predictions(job, predictions, competition.test, columns)
            said = "test table predicted"
        else:
            said = _fit_with_bar(job, competition, split, cache, f"fit {number_} of {len(jobs)}: {job.title}")
        spent = time.perf_counter() - started
        left = f", about {duration(spent / number_ * (len(jobs) - number_))} left" if number_ < len(jobs) else ""
        print(f"[{number_}/{len(jobs)}] {job.title}: {said}, {duration(time.perf_counter() - began)}{left}", flush=True)


def _fit_with_bar(job: Job, competition: Competition, split: Folds, cache: Any, title: str) -> str:
    from pipeline import engine

    metric = competition.metric
    steps = engine.steps_of(job, len(split.train(job.fold)))
    with tqdm(total=steps, desc=title, unit="step", leave=False, disable=None, delay=1) as bar:

        def on_epoch(epoch: dict[str, Any]) -> None:
            line = f"epoch {epoch['epoch']}: loss {number(epoch['loss'])}, {_scores(epoch['scores'], metric)}"
            if sys.stdout.isatty():
                bar.set_postfix_str(line)
            elif epoch["epoch"] < job.settings["epochs"]:
                print(f"  {title}, {line}", flush=True)

        def on_step() -> None:
            bar.update()

        score = scorer(metric, competition.spec.task)
        marker = engine.do_fit(job, competition, split, cache, score, on_step, on_epoch)
    return _scores(marker["epochs"][-1]["scores"], metric)


def _scores(scores: dict[str, float | None], metric: Metric) -> str:
    if not scores:
        return "every row trained on, no score"
    return f"{metric.name} " + ", ".join(f"{name} {number(value)}".strip() for name, value in scores.items())
