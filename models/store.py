"""The folder `models/` of a run: recipes, the folders of fits, and the markers of finished fits. Imports no torch.

    models/<variant>/<first 8 of the recipe's hash>/recipe.json
                                                   /seed-<s>/fold-<k>/...  fit.json last

A recipe is the effective settings of a variant as plain values, with the hash of the backbone's bytes and a version of
what the settings mean. The fingerprint of a fit adds seed, fold and training rows. Neither holds where a fit ran, which
is provenance, which weights are kept (`save_weights`), or how many fits there are (`seeds`, `folds`).

`fit.json` is the marker: a fit without it is not done. Where it is missing, there may be the checkpoint of an
interrupted fit, or the note of a failed one. An edited recipe has its own folder, so no finished fit is overwritten,
and reverting the edit finds the former fits again.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from models import ModelError

VERSION = 2  # increase it when the same settings lead to another training
NOT_HASHED = {"seeds", "folds", "save_weights"}
MARKER = "fit.json"
CHECKPOINT = "checkpoint.safetensors"
FAILURE = "failed.json"
LOOKS = "looks.json"
RECIPE = "recipe.json"
BACKBONE = "backbone"
WEIGHTS = "weights.safetensors"


@dataclass(frozen=True)
class Recipe:
    """All that decides the result of a fit, as plain values: the content of `recipe.json`, part of each fingerprint."""

    values: Mapping[str, object]

    @classmethod
    def build(cls, values: Mapping[str, object], backbone_sha256: str | None) -> "Recipe":
        """Return the recipe of a variant: its effective settings without those that do not change a fit."""
        kept = {key: value for key, value in values.items() if key not in NOT_HASHED}
        return cls({**kept, "backbone_sha256": backbone_sha256, "recipe_version": VERSION})

    @property
    def sha256(self) -> str:
        """SHA-256 of its canonical JSON."""
        return digest(self.values)

    @property
    def backbone_sha256(self) -> str | None:
        """Hash of the backbone's bytes; None for a linear variant."""
        value = self.values.get("backbone_sha256")
        return None if value is None else str(value)

    def is_same_but_for_backbone(self, other: "Recipe") -> bool:
        """Return True if both are the same but for the bytes of the backbone."""
        without = [{**recipe.values, "backbone_sha256": None} for recipe in (self, other)]
        return without[0] == without[1]


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Where a fit ran and how long it took; for a linear model, what only a network has is None.

    Seconds are those of the whole fit, `predict_seconds` those of predicting 1,000 rows.
    """

    seconds: float
    train_tokens_per_second: int | None = None
    device: str
    precision: str | None = None
    micro_batch_tokens: int | None = None  # set where memory ran out and batches were split
    threads: int | None = None
    torch: str | None = None
    parameters: int | None = None
    predict_seconds: float | None = None

    def to_json(self) -> dict[str, object]:
        """Return the keys that are not None; those of a network have `micro_batch_tokens` also where it is None."""
        is_network = self.parameters is not None
        return {
            key: value
            for key, value in asdict(self).items()
            if value is not None or (is_network and key == "micro_batch_tokens")
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Provenance":
        """Return the provenance that `to_json` gave; keys of other versions are left out."""
        known = {key: value[key] for key in cls.__dataclass_fields__ if key in value}
        return cls(**{"seconds": value["seconds"], "device": value["device"], **known})


@dataclass(frozen=True)
class EpochLog:
    """One epoch: its number from 1, the mean training loss, and the validation score of each pooling."""

    epoch: int
    scores: Mapping[str, float | None]
    loss: float | None = None

    def to_json(self) -> dict[str, object]:
        """Return {"epoch", "loss" where there is one, "scores"}."""
        loss = {} if self.loss is None else {"loss": self.loss}
        return {"epoch": self.epoch, **loss, "scores": dict(self.scores)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "EpochLog":
        """Return the epoch that `to_json` gave."""
        return cls(value["epoch"], value["scores"], value.get("loss"))


@dataclass(frozen=True)
class TokenWeights:
    """The weight of each token of a training row, by pooling and kind of token pool; the sum of weights is one.

    `row` is its place in the training table. `looks.json` holds the same under the row's id.
    """

    row: int
    tokens: Sequence[str]
    weights: Mapping[str, Mapping[str, Sequence[float]]]


@dataclass(frozen=True)
class FitMarker:
    """`fit.json`: the identity of a fit, where it ran, its epochs, and the checksums of its `files`, by name."""

    fingerprint: str
    variant: str
    seed: int
    fold: int | str
    provenance: Provenance
    epochs: tuple[EpochLog, ...]
    files: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, object]:
        """Return the marker without `files`: they are written together with the checksum of the marker itself."""
        return {
            "fingerprint": self.fingerprint,
            "variant": self.variant,
            "seed": self.seed,
            "fold": self.fold,
            "provenance": self.provenance.to_json(),
            "epochs": [epoch.to_json() for epoch in self.epochs],
        }

    def add_files(self, files: Mapping[str, str]) -> "FitMarker":
        """Return the marker with the checksums of more files."""
        return replace(self, files={**self.files, **files})

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "FitMarker":
        """Return the marker in a file, with its `files`. Raises ModelError if a key is missing or wrong."""
        try:
            return cls(
                fingerprint=str(value["fingerprint"]),
                variant=str(value["variant"]),
                seed=value["seed"],
                fold=value["fold"],
                provenance=Provenance.from_json(value["provenance"]),
                epochs=tuple(EpochLog.from_json(epoch) for epoch in value["epochs"]),
                files=value.get("files", {}),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ModelError(f"a marker of a fit has no {error}: train again") from error


def digest(value: object) -> str:
    """Return the SHA-256 of plain values in canonical JSON."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def compute_fingerprint(recipe: Recipe, *, variant: str, seed: int, fold: int | str, rows: str) -> str:
    """Return the fingerprint of one fit; `rows` is the hash of its training rows."""
    return digest({"recipe": recipe.values, "variant": variant, "seed": seed, "fold": fold, "rows": rows})


def derive_seed(seed: int, variant: str, fold: int | str) -> int:
    """Return the seed that a fit sets, so that any fit can be repeated alone; below 2**63."""
    return int(digest([seed, variant, fold])[:15], 16)


def describe_differences(old: Mapping[str, object], new: Mapping[str, object]) -> list[str]:
    """Return the changes between two sets of plain values, such as "learning_rate 2e-05 -> 3e-05"."""
    keys = sorted(set(old) | set(new))
    return [f"{k} {_shorten(old.get(k))} -> {_shorten(new.get(k))}" for k in keys if old.get(k) != new.get(k)]


def _shorten(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else text[:37] + "..."


def locate_recipe(root: Path, variant: str, recipe: Recipe) -> Path:
    """Return the folder of a recipe under the run's `models/`."""
    return root / variant / recipe.sha256[:8]


def locate_fit(root: Path, variant: str, recipe: Recipe, seed: int, fold: int | str) -> Path:
    """Return the folder of one fit; `fold` is a number or "all"."""
    return locate_recipe(root, variant, recipe) / f"seed-{seed}" / f"fold-{fold}"


def locate_valid_part(folder: Path, member: str) -> Path:
    """Return the file of a fit's predictions of its validation rows."""
    return folder / f"{member}.valid.parquet"


def locate_test_part(folder: Path, member: str, table: str) -> Path:
    """Return the file of a fit's predictions of a test table, which is named by its hash."""
    return folder / f"{member}.test-{table[:8]}.parquet"


def read_marker(folder: Path, fingerprint: str) -> Mapping[str, Any] | None:
    """Return the marker of a finished fit as the file holds it, or None if the fit is not done.

    Raises ModelError if it is damaged or another fit's.
    """
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


def count_finished_fits(recipe: Path) -> int:
    """Return the number of finished fits of the recipe in that file."""
    return len(list(recipe.parent.glob(f"seed-*/fold-*/{MARKER}")))


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object of a file; raises ModelError if it is none."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path} is damaged or unreadable: move its folder away and train again") from error
    if not isinstance(value, dict):
        raise ModelError(f"{path} is damaged: it should hold a JSON object; move its folder away and train again")
    return value


def write_json(path: Path, value: Mapping[str, object]) -> None:
    """Write a JSON object, readable and in a fixed order."""
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


def convert_to_per_thousand(seconds: float, rows: int) -> float:
    """Return the seconds for a thousand rows, from those for `rows`."""
    return round(1000 * seconds / max(rows, 1), 4)
