"""The folder `models/` of a run: where fits live and what says that one is done. Imports no torch.

    models/<variant>/<first 8 of the recipe's hash>/recipe.json
                                                   /seed-<s>/fold-<k>/...  fit.json last

`fit.json` is the marker: a fit without it never happened. Beside it, and only without it, may lie the checkpoint of a
fit that was left in the middle and the note of one that failed. An edited recipe finds its own place, so nothing
finished is overwritten, and reverting the edit finds the former fits again.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from models import ModelError
from models.recipe import digest

MARKER = "fit.json"
CHECKPOINT = "checkpoint.safetensors"
FAILURE = "failed.json"
LOOKS = "looks.json"
RECIPE = "recipe.json"
BACKBONE = "backbone"
WEIGHTS = "weights.safetensors"


def recipe_folder(root: Path, variant: str, recipe: Mapping[str, Any]) -> Path:
    """The place of a recipe under the run's `models/`."""
    return root / variant / digest(recipe)[:8]


def fit_folder(root: Path, variant: str, recipe: Mapping[str, Any], seed: int, fold: int | str) -> Path:
    """The place of one fit; `fold` is a number or "all"."""
    return recipe_folder(root, variant, recipe) / f"seed-{seed}" / f"fold-{fold}"


def valid_part(folder: Path, member: str) -> Path:
    """Where a fit's predictions of its validation rows stand."""
    return folder / f"{member}.valid.parquet"


def test_part(folder: Path, member: str, table: str) -> Path:
    """Where a fit's predictions of a test table, named by its hash, stand."""
    return folder / f"{member}.test-{table[:8]}.parquet"


def read_marker(folder: Path, fingerprint: str) -> dict[str, Any] | None:
    """The marker of a finished fit, or None if it is not done. Raises ModelError if it is damaged or another fit's."""
    path = folder / MARKER
    if not path.exists():
        return None
    marker = read_json(path)
    if marker.get("fingerprint") != fingerprint:
        raise ModelError(
            f"{path} belongs to another fit: its fingerprint is not that of this config, these rows and folds; "
            "move that folder away and train again"
        )
    return marker


def finished_fits(recipe: Path) -> int:
    """How many fits of the recipe recorded in that file are done."""
    return len(list(recipe.parent.glob(f"seed-*/fold-*/{MARKER}")))


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file; raises ModelError if it is none."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path} is damaged or unreadable: move its folder away and train again") from error
    if not isinstance(value, dict):
        raise ModelError(f"{path} is damaged: it should hold a JSON object; move its folder away and train again")
    return value


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON object, readable and in a fixed order."""
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
