"""Recipes: what makes a fit what it is, hashed. Imports no torch.

A recipe is the effective settings of a variant as plain values, with the backbone's bytes and the version of the
training code's meaning. A fit's fingerprint adds seed, fold and training rows. Where a fit ran is provenance, no part
of either, and so is what is kept of it (`save_weights`) and how many of its kind there are (`seeds`, `folds`).
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

VERSION = 2  # raise it when the same settings come to mean another training
NOT_HASHED = {"seeds", "folds", "save_weights"}


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
