"""The plan of a run: which fits there are, where each lies, and which are done."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Literal

from models.settings import Variant
from models.store import (
    MARKER,
    FitMarker,
    Recipe,
    compute_fingerprint,
    count_finished_fits,
    describe_differences,
    digest,
    locate_fit,
    locate_recipe,
    locate_test_part,
    read_marker,
)
from pipeline.config.messages import suggest_nearest
from pipeline.data.competition import Competition
from pipeline.data.fold_assignment import FoldAssignment
from pipeline.errors import PipelineError
from pipeline.fits.job import Job, State, describe_remedy
from pipeline.fits.recipes import list_recipes, read_recipe
from pipeline.storage.checksums import verify_sealed
from pipeline.storage.run_directory import RunDirectory

FindRecipe = Callable[[Variant], Recipe | None]
Fold = int | Literal["all"]


def make_jobs(
    directory: RunDirectory,
    variants: Sequence[Variant],
    competition: Competition,
    folds: FoldAssignment,
    find_recipe: FindRecipe,
) -> list[Job]:
    """Return every fit of the variants, whole members first. A variant without a recipe gives none."""

    @cache  # every variant trains on the same rows of a fold
    def hash_rows(fold: Fold) -> str:
        return digest({"table": competition.sha256, "rows": folds.train(fold).tolist()})

    jobs = []
    for variant in variants:
        recipe = find_recipe(variant)
        if recipe is None:
            continue
        numbers: list[Fold] = [*folds.numbers]
        if variant.settings.folds == "all":
            numbers.append("all")
        for seed in variant.settings.seeds:
            jobs += [
                _make_job(directory, variant, recipe, seed, fold, hash_rows(fold), competition.test.sha256)
                for fold in numbers
            ]
    return jobs


def select_jobs(jobs: Sequence[Job], folds: Sequence[int] | None) -> list[Job]:
    """Return the fits that `train` does: the folds asked for, or one fit on every row for `folds: all`."""

    def is_wanted(job: Job) -> bool:
        if job.settings.folds == "all":
            return job.fold == "all"
        return folds is None or job.fold in folds

    return [job for job in jobs if is_wanted(job)]


def select_variants(variants: Mapping[str, Variant], only: Sequence[str] | None) -> list[Variant]:
    """Return the variants that a command is restricted to. Raises PipelineError for an unknown one."""
    for name in only or []:
        if name not in variants:
            known = list(variants)
            raise PipelineError(
                f"--only names {name!r}, which is no variant{suggest_nearest(name, known)}; "
                f"variants: {', '.join(known)}"
            )
    return [variant for name, variant in variants.items() if only is None or name in only]


def explain_plan(directory: RunDirectory, jobs: Sequence[Job]) -> list[str]:
    """Return what will be done and why, a line for each variant."""
    lines = []
    for variant in dict.fromkeys(job.variant for job in jobs):
        jobs_of_variant = [job for job in jobs if job.variant == variant]
        states = [job.state for job in jobs_of_variant]
        parts = [f"all {len(states)} fits done"]
        if "fit" in states:
            parts = [f"{states.count('fit')} of {len(states)} fits to do"]
        if "predict" in states:
            parts.append(f"{states.count('predict')} to predict the new test table")
        if "fit" in states:
            parts += _explain_former(directory, variant, jobs_of_variant[0].recipe)
        lines.append(f"{variant}: {', '.join(parts)}")
    return lines


def _explain_former(directory: RunDirectory, variant: str, recipe: Recipe) -> list[str]:
    """Return what has changed since the recipe that was used before and has finished fits; nothing without one."""
    current = locate_recipe(directory.models, variant, recipe)
    for path in list_recipes(directory.models / variant):
        fits = count_finished_fits(path)
        if path.parent != current and fits:
            former, _ = read_recipe(path)
            changes = "; ".join(describe_differences(former.values, recipe.values))
            return [f"{changes}; the {fits} of the former recipe stay"]
    return []


def _make_job(
    directory: RunDirectory, variant: Variant, recipe: Recipe, seed: int, fold: Fold, rows: str, test_sha256: str
) -> Job:
    folder = locate_fit(directory.models, variant.name, recipe, seed, fold)
    fingerprint = compute_fingerprint(recipe, variant=variant.name, seed=seed, fold=fold, rows=rows)
    content = read_marker(folder, fingerprint)
    marker: FitMarker | None = None
    state: State = "fit"
    if content is not None:
        marker = FitMarker.from_json(verify_sealed(content, folder / MARKER, describe_remedy(folder)))
        wanted = [locate_test_part(folder, member, test_sha256).name for member in variant.members.values()]
        state = "done" if all(name in marker.files for name in wanted) else "predict"
    return Job(
        variant=variant.name,
        seed=seed,
        fold=fold,
        settings=variant.settings,
        poolings=variant.poolings,
        members=variant.members,
        recipe=recipe,
        folder=folder,
        fingerprint=fingerprint,
        marker=marker,
        state=state,
    )
