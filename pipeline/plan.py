"""The plan of a run: which fits there are, where each lives, and which are done."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from models.recipe import build_recipe, derive_seed, differences, digest, fingerprint
from models.spec import NeuralVariantSpec, plain_poolings
from models.store import RECIPE, fit_folder, former_recipes, read_json, read_marker, recipe_folder, test_part
from pipeline.competition import Competition
from pipeline.config import Config
from pipeline.errors import PipelineError
from pipeline.problems import nearest
from pipeline.run_directory import RunDirectory
from pipeline.splits import Folds

State = Literal["done", "predict", "fit"]


@dataclass(frozen=True)
class Job:
    """One fit: (variant, seed, fold), what it is made of and where it lives.

    `members` maps a pooling's name to the member it gives. `state`: fit = to be trained, predict = trained, but
    without predictions of this test table.
    """

    variant: str
    seed: int
    fold: int | str
    settings: dict[str, Any]
    poolings: dict[str, dict[str, Any]]
    members: dict[str, str]
    recipe: dict[str, Any]
    folder: Path
    fingerprint: str
    marker: dict[str, Any] | None
    state: State

    @property
    def linear(self) -> bool:
        """Whether the variant is the linear one."""
        return "model" in self.settings

    @property
    def derived_seed(self) -> int:
        """The seed to set inside the fit."""
        return derive_seed(self.seed, self.variant, self.fold)

    @property
    def title(self) -> str:
        """What messages call this fit."""
        return f"{self.variant}, seed {self.seed}, fold {self.fold}"


def members_of(config: Config, variant: str) -> dict[str, str]:
    """The members a variant gives, by pooling name: itself, or one for each of its `poolings`."""
    return {
        pooling: f"{variant}.{pooling}" if pooling else variant for pooling in _poolings(config, variant) or {"": {}}
    }


def wanted_recipe(
    config: Config, competition: Competition, variant: str, backbone_sha256: str | None
) -> dict[str, Any]:
    """The recipe that this config asks of a variant, with the reading of the table that it trains on."""
    spec = competition.spec
    reading = {"text": spec.text, "target": spec.target, "task": spec.task, "weight": spec.weight}
    settings = {**config.settings(variant), "poolings": _poolings(config, variant), "reading": reading}
    return build_recipe({**settings, "classes": competition.targets.classes}, backbone_sha256)


def recorded_recipe(run: RunDirectory, config: Config, competition: Competition, variant: str) -> dict[str, Any] | None:
    """The recipe of a variant as `train` recorded it, found without opening the backbone; None if never trained.

    What the config cannot tell, the hash of the backbone's bytes, comes from the record, so that a run can be blended
    and used for prediction where its backbone is not.
    """
    wanted = wanted_recipe(config, competition, variant, None)
    records = sorted((run.models / variant).glob(f"*/{RECIPE}"), key=lambda path: -path.stat().st_mtime)
    for path in records:
        recipe = read_json(path)
        if {**recipe, "backbone_sha256": None} == wanted and path.parent.name == digest(recipe)[:8]:
            return recipe
    return None


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
            former = former_recipes(run.models, variant, recipe_folder(run.models, variant, own[0].recipe))
            parts += [_why(recipe, own[0].recipe, fits) for recipe, fits in former[:1]]
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
    members = members_of(config, variant)
    predicted = all(test_part(folder, member, test_sha256).exists() for member in members.values())
    state: State = "fit" if marker is None else "done" if predicted else "predict"
    poolings = _poolings(config, variant)
    return Job(variant, seed, fold, settings, poolings, members, recipe, folder, mark, marker, state)


def _poolings(config: Config, variant: str) -> dict[str, dict[str, Any]]:
    spec = config.variants[variant]
    return plain_poolings(spec) if isinstance(spec, NeuralVariantSpec) else {}
