"""Recipes of variants: what the config asks for, and what `train` recorded.

`order.json` in a variant's folder lists its recipes, the last used first: times of files are those of a copy, or of a
clock that was set back.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from models.settings import Variant
from models.store import RECIPE, Recipe, digest, read_json, write_json
from pipeline.data.competition import Competition
from pipeline.errors import PipelineError
from pipeline.storage.checksums import read_sealed, write_sealed
from pipeline.storage.files import write_atomically
from pipeline.storage.run_directory import RunDirectory

ORDER = "order.json"


def build_wanted_recipe(variant: Variant, competition: Competition, backbone_sha256: str | None) -> Recipe:
    """Return the recipe that the config asks of a variant, with how the table that it trains on is read."""
    spec = competition.spec
    values = {
        **variant.settings.to_json(),
        "poolings": {name: pooling.to_json() for name, pooling in variant.poolings.items()},
        "reading": {"text": spec.text, "target": spec.target, "task": spec.task, "weight": spec.weight},
        "classes": competition.targets.classes,
    }
    return Recipe.build(values, backbone_sha256)


def find_recorded_recipe(directory: RunDirectory, competition: Competition, variant: Variant) -> Recipe | None:
    """Return the recipe of a variant as `train` recorded it, without opening the backbone; None if never trained.

    The config does not hold the hash of the backbone's bytes. It comes from the record, so that a run can be blended
    and used for prediction where its backbone is not.
    """
    wanted = build_wanted_recipe(variant, competition, None)
    for path in list_recipes(directory.models / variant.name):
        recipe, _ = read_recipe(path)
        if recipe.is_same_but_for_backbone(wanted):
            return recipe
    return None


def list_recipes(folder: Path) -> list[Path]:
    """Return the recorded recipes in a variant's folder, the last used first."""
    order = _read_names(folder)

    def sort_key(path: Path) -> tuple[int, str]:
        name = path.parent.name
        return (order.index(name) if name in order else len(order), name)

    return sorted(folder.glob(f"*/{RECIPE}"), key=sort_key)


def note_use(folder: Path, name: str) -> None:
    """Put a recipe's name first in the order of its variant."""
    order = _read_names(folder)
    if order[:1] != [name]:
        with write_atomically(folder / ORDER) as temporary:
            names = [name, *(other for other in order if other != name)]
            write_sealed(temporary, write_json, {"order": names}, {})


def read_order(path: Path) -> Mapping[str, Any]:
    """Return the names of a variant's recipes, the last used first. Raises PipelineError if the file is damaged."""
    return read_sealed(path, read_json, "train again, which writes it again")


def read_recipe(path: Path) -> tuple[Recipe, Mapping[str, str]]:
    """Return a recorded recipe and the checksums of its backbone's files. Raises PipelineError if it is damaged."""
    remedy = describe_recipe_remedy(path)
    record = read_sealed(path, read_json, remedy)
    if digest(record.get("recipe"))[:8] != path.parent.name:
        raise PipelineError(f"{path} is the record of another recipe: {remedy}")
    return Recipe(record["recipe"]), record["files"]


def describe_recipe_remedy(path: Path) -> str:
    """Return what to do about a damaged record, or the backbone's files beside it."""
    return f"remove {path} and train again, which writes it again"


def _read_names(folder: Path) -> list[str]:
    try:
        return [str(name) for name in read_order(folder / ORDER)["order"]]
    except PipelineError:  # missing or damaged: only the order is lost
        return []
