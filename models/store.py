"""Recipes: what makes a fit what it is, hashed. Imports no torch.

A recipe is the effective settings of a variant as plain values, with the backbone's bytes and the version of the
training code's meaning. A fit's fingerprint adds seed, fold and training rows. Where a fit ran is provenance, no part
of either, and so is what is kept of it (`save_weights`) and how many of its kind there are (`seeds`, `folds`).

The folder `models/` of a run: where fits live and what says that one is done. Imports no torch.

    models/<variant>/<first 8 of the recipe's hash>/recipe.json
                                                   /seed-<s>/fold-<k>/...  fit.json last

`fit.json` is the marker: a fit without it never happened. Beside it, and only without it, may lie the checkpoint of a
fit that was left in the middle and the note of one that failed. An edited recipe finds its own place, so nothing
finished is overwritten, and reverting the edit finds the former fits again.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from models import ModelError

VERSION = 2  # raise it when the same settings come to mean another training
NOT_HASHED = {"seeds", "folds", "save_weights"}
MARKER = "fit.json"
CHECKPOINT = "checkpoint.safetensors"
FAILURE = "failed.json"
LOOKS = "looks.json"
RECIPE = "recipe.json"
BACKBONE = "backbone"
WEIGHTS = "weights.safetensors"


def build_recipe(settings: Mapping[str, Any], backbone_sha256: str | None) -> dict[str, Any]:
    """The recipe of a variant: its effective settings without what does not change a fit."""
    recipe = {key: value for key, value in settings.items() if key not in NOT_HASHED}
    return {**recipe, "backbone_sha256": backbone_sha256, "recipe_version": VERSION}


def digest(value: Any) -> str:
    """SHA-256 of plain values in canonical JSON."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def fingerprint(recipe: Mapping[str, Any], *, variant: str, seed: int, fold: int | str, rows: str) -> str:
    """The fingerprint of one fit; `rows` is the hash of its training rows."""
    return digest({"recipe": recipe, "variant": variant, "seed": seed, "fold": fold, "rows": rows})


def derive_seed(seed: int, variant: str, fold: int | str) -> int:
    """The seed set inside a fit, so that any fit reruns alone; below 2**63."""
    return int(digest([seed, variant, fold])[:15], 16)


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What changed between two recipes, a sentence fragment each: "learning_rate 2e-05 -> 3e-05"."""
    keys = sorted(set(old) | set(new))
    return [f"{k} {_short(old.get(k))} -> {_short(new.get(k))}" for k in keys if old.get(k) != new.get(k)]


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else text[:37] + "..."


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
