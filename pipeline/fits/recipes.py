"""Recipes of variants: what a config asks of one, and what `train` recorded of it."""

from pathlib import Path
from typing import Any

from models.spec import NeuralVariantSpec, plain_poolings
from models.store import RECIPE, build_recipe, digest, read_json, write_json
from pipeline.config.run_config import Config
from pipeline.data.competition import Competition
from pipeline.errors import PipelineError
from pipeline.storage.checksums import open_sealed, write_sealed
from pipeline.storage.files import atomic
from pipeline.storage.run_directory import RunDirectory

ORDER = "order.json"


def members_of(config: Config, variant: str) -> dict[str, str]:
    """The members a variant gives, by pooling name: itself, or one for each of its `poolings`."""
    return {
        pooling: f"{variant}.{pooling}" if pooling else variant for pooling in poolings_of(config, variant) or {"": {}}
    }


def wanted_recipe(
    config: Config, competition: Competition, variant: str, backbone_sha256: str | None
) -> dict[str, Any]:
    """The recipe that this config asks of a variant, with the reading of the table that it trains on."""
    spec = competition.spec
    reading = {"text": spec.text, "target": spec.target, "task": spec.task, "weight": spec.weight}
    settings = {**config.settings(variant), "poolings": poolings_of(config, variant), "reading": reading}
    return build_recipe({**settings, "classes": competition.targets.classes}, backbone_sha256)


def recorded_recipe(run: RunDirectory, config: Config, competition: Competition, variant: str) -> dict[str, Any] | None:
    """The recipe of a variant as `train` recorded it, found without opening the backbone; None if never trained.

    What the config cannot tell, the hash of the backbone's bytes, comes from the record, so that a run can be blended
    and used for prediction where its backbone is not.
    """
    wanted = wanted_recipe(config, competition, variant, None)
    for path in records(run.models / variant):
        recipe, _ = read_recipe(path)
        if {**recipe, "backbone_sha256": None} == wanted:
            return recipe
    return None


def records(root: Path) -> list[Path]:
    """The recorded recipes of a variant, whose folder is `root`, the one that `train` used last first.

    By a list of names, for the times of files are those of a copy, or of a clock that was set back.
    """
    order = _order(root)

    def age(path: Path) -> tuple[int, str]:
        name = path.parent.name
        return (order.index(name) if name in order else len(order), name)

    return sorted(root.glob(f"*/{RECIPE}"), key=age)


def note_use(root: Path, name: str) -> None:
    """Put a recipe's name first in the order of its variant's."""
    order = _order(root)
    if order[:1] != [name]:
        with atomic(root / ORDER) as temporary:
            names = [name, *(other for other in order if other != name)]
            write_sealed(temporary, write_json, {"order": names}, {})


def _order(root: Path) -> list[str]:
    try:
        return [str(name) for name in read_order(root / ORDER)["order"]]
    except PipelineError:  # missing or damaged: it costs no more than the order
        return []


def read_order(path: Path) -> dict[str, Any]:
    """The names of a variant's recipes, the last used first. Raises PipelineError if it is damaged."""
    return open_sealed(path, read_json, "train again, which writes it anew")


def read_recipe(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """A recorded recipe, and the checksums of its backbone's files. Raises PipelineError if it is damaged."""
    remedy = anew(path)
    record = open_sealed(path, read_json, remedy)
    if digest(record.get("recipe"))[:8] != path.parent.name:
        raise PipelineError(f"{path} is the record of another recipe: {remedy}")
    return record["recipe"], record["files"]


def poolings_of(config: Config, variant: str) -> dict[str, dict[str, Any]]:
    """The poolings of a variant as plain values, by name; none for a linear one."""
    spec = config.variants[variant]
    return plain_poolings(spec) if isinstance(spec, NeuralVariantSpec) else {}


def anew(path: Path) -> str:
    """What to do about a damaged record, or the backbone's files beside it."""
    return f"remove {path} and train again, which writes it anew"
