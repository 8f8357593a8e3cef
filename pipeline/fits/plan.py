"""The plan of a run: which fits there are, where each lives, and which are done."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from models.store import (
    MARKER,
    differences,
    digest,
    fingerprint,
    finished_fits,
    fit_folder,
    read_marker,
    recipe_folder,
    test_part,
)
from pipeline.config.messages import nearest
from pipeline.config.run_config import Config
from pipeline.data.competition import Competition
from pipeline.data.fold_assignment import Folds
from pipeline.errors import PipelineError
from pipeline.fits.job import Job, State, again
from pipeline.fits.recipes import members_of, poolings_of, read_recipe, records
from pipeline.storage.checksums import unseal
from pipeline.storage.run_directory import RunDirectory


def make_jobs(
    run: RunDirectory,
    config: Config,
    competition: Competition,
    folds: Folds,
    recipe_of: Callable[[str], dict[str, Any] | None],
    *,
    test_sha256: str,
    only: Sequence[str] | None = None,
) -> list[Job]:
    """Every fit of the config, whole members first. A variant whose recipe is None has no fits yet and gives none."""

    @cache  # every variant trains on the same rows of a fold
    def rows_of(fold: int | str) -> str:
        return digest({"table": competition.sha256, "rows": folds.train(fold).tolist()})

    jobs = []
    for variant in chosen_variants(config, only):
        recipe = recipe_of(variant)
        if recipe is None:
            continue
        settings = config.settings(variant)
        for seed in settings.get("seeds", [0]):
            places: list[int | str] = [*folds.numbers, *(["all"] if settings["folds"] == "all" else [])]
            jobs += [
                _job(run, config, variant, settings, recipe, seed, fold, rows_of(fold), test_sha256) for fold in places
            ]
    return jobs


def wanted_now(jobs: Sequence[Job], folds: Sequence[int] | None) -> list[Job]:
    """The fits that `train` does: folds: all fits every row once, otherwise the folds asked for."""
    return [
        job
        for job in jobs
        if (job.fold == "all" if job.settings["folds"] == "all" else folds is None or job.fold in folds)
    ]


def chosen_variants(config: Config, only: Sequence[str] | None) -> list[str]:
    """The variants that a command is restricted to. Raises PipelineError for an unknown one."""
    for name in only or []:
        if name not in config.variants:
            known = list(config.variants)
            raise PipelineError(
                f"--only names {name!r}, which is no variant{nearest(name, known)}; variants: {', '.join(known)}"
            )
    return [name for name in config.variants if only is None or name in only]


def explain(run: RunDirectory, jobs: Sequence[Job]) -> list[str]:
    """What will be done and why, a line for each variant."""
    lines = []
    for variant in dict.fromkeys(job.variant for job in jobs):
        own = [job for job in jobs if job.variant == variant]
        counts = {state: sum(job.state == state for job in own) for state in ("fit", "predict", "done")}
        parts = [f"{counts['fit']} of {len(own)} fits to do" if counts["fit"] else f"all {len(own)} fits done"]
        if counts["predict"]:
            parts.append(f"{counts['predict']} to predict the new test table")
        if counts["fit"]:
            current = recipe_folder(run.models, variant, own[0].recipe)
            former = [path for path in records(run.models / variant) if path.parent != current and finished_fits(path)]
            parts += [_why(read_recipe(path)[0], own[0].recipe, finished_fits(path)) for path in former[:1]]
        lines.append(f"{variant}: {', '.join(parts)}")
    return lines


def _why(former: Mapping[str, Any], recipe: Mapping[str, Any], fits: int) -> str:
    return f"{'; '.join(differences(former, recipe))}; the {fits} of the former recipe stay"


def _job(
    run: RunDirectory,
    config: Config,
    variant: str,
    settings: dict[str, Any],
    recipe: dict[str, Any],
    seed: int,
    fold: int | str,
    rows: str,
    test_sha256: str,
) -> Job:
    folder = fit_folder(run.models, variant, recipe, seed, fold)
    mark = fingerprint(recipe, variant=variant, seed=seed, fold=fold, rows=rows)
    marker = read_marker(folder, mark)
    if marker is not None:
        marker = unseal(marker, folder / MARKER, again(folder))
    members = members_of(config, variant)
    predicted = marker is not None and all(
        test_part(folder, member, test_sha256).name in marker["files"] for member in members.values()
    )
    state: State = "fit" if marker is None else "done" if predicted else "predict"
    poolings = poolings_of(config, variant)
    return Job(variant, seed, fold, settings, poolings, members, recipe, folder, mark, marker, state)
