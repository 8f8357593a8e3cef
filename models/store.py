"""The folder `models/` of a run: recipes, where fits lie, and the marker that says one is done. Imports no torch.

    models/<variant>/<first 8 of the recipe's hash>/recipe.json
                                                   /seed-<s>/fold-<k>/...  fit.json last

A recipe is the effective settings of a variant as plain values, with the hash of the backbone's bytes and the version of
the training code's meaning. A fit's fingerprint adds seed, fold and training rows. Where a fit ran is provenance and part
of neither; so is what is kept of it (`save_weights`) and how many fits there are (`seeds`, `folds`).

`fit.json` is the marker: a fit without it never happened. Beside it, and only without it, may lie the checkpoint of an
interrupted fit and the note of a failed one. An edited recipe has its own folder, so nothing finished is overwritten, and
reverting the edit finds the former fits again.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
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


@dataclass(frozen=True)
class Recipe:
    """What makes a fit what it is, as plain values: the content of `recipe.json`, from which fingerprints are made."""

    values: Mapping[str, Any]

    @classmethod
    def build(cls, values: Mapping[str, Any], backbone_sha256: str | None) -> "Recipe":
        """Return the recipe of a variant: its effective settings without what does not change a fit."""
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

    def equals_but_for_backbone(self, other: "Recipe") -> bool:
        """Return True if both ask for the same, whatever the bytes of the backbone."""
        without = [{**recipe.values, "backbone_sha256": None} for recipe in (self, other)]
        return without[0] == without[1]


@dataclass(frozen=True)
class Provenance:
    """Where a fit ran and how long it took; what only a network has is None for a linear model.

    Seconds are those of the whole fit, `predict_seconds` those of predicting 1,000 rows.
    """

    seconds: float
    device: str
    predict_seconds: float | None = None
    train_tokens_per_second: int | None = None
    precision: str | None = None
    micro_batch_tokens: int | None = None  # set where memory ran out and batches were cut
    threads: int | None = None
    torch: str | None = None
    parameters: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the known keys; `micro_batch_tokens` of a network stands there even if it is None."""
        network = self.parameters is not None
        values = asdict(self)
        order = (
            ["predict_seconds", *(key for key in values if key != "predict_seconds")] if not network else list(values)
        )
        return {
            key: values[key] for key in order if values[key] is not None or (network and key == "micro_batch_tokens")
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Provenance":
        """Return what `to_json` gave; keys of other versions are left out."""
        return cls(**{key: value[key] for key in cls.__dataclass_fields__ if key in value})


@dataclass(frozen=True)
class EpochLog:
    """One epoch: its number from 1, the mean training loss, and the validation score of each pooling."""

    epoch: int
    scores: Mapping[str, float | None]
    loss: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return {"epoch", "loss" where there is one, "scores"}."""
        loss = {} if self.loss is None else {"loss": self.loss}
        return {"epoch": self.epoch, **loss, "scores": dict(self.scores)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "EpochLog":
        """Return what `to_json` gave."""
        return cls(value["epoch"], value["scores"], value.get("loss"))


@dataclass(frozen=True)
class TokenWeights:
    """How much each token of a training row counts, by pooling and kind of token pool; weights sum to one.

    `row` is its place in the training table. `looks.json` holds the same under the row's id.
    """

    row: int
    tokens: Sequence[str]
    weights: Mapping[str, Mapping[str, Sequence[float]]]


@dataclass(frozen=True)
class FitMarker:
    """`fit.json`: which fit this is, where it ran, its epochs, and the checksums of the `files` it left, by name."""

    fingerprint: str
    variant: str
    seed: int
    fold: int | str
    provenance: Provenance
    epochs: tuple[EpochLog, ...]
    files: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the marker without `files`, which the checksum of the file itself is written with."""
        return {
            "fingerprint": self.fingerprint,
            "variant": self.variant,
            "seed": self.seed,
            "fold": self.fold,
            "provenance": self.provenance.to_json(),
            "epochs": [epoch.to_json() for epoch in self.epochs],
        }

    def with_files(self, files: Mapping[str, str]) -> "FitMarker":
        """Return the marker with the checksums of more files."""
        return replace(self, files={**self.files, **files})

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "FitMarker":
        """Return what `to_json` gave, with the `files` of the file. Raises ModelError if a key is missing or wrong."""
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


def digest(value: Any) -> str:
    """Return the SHA-256 of plain values in canonical JSON."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def compute_fingerprint(recipe: Recipe, *, variant: str, seed: int, fold: int | str, rows: str) -> str:
    """Return the fingerprint of one fit; `rows` is the hash of its training rows."""
    return digest({"recipe": recipe.values, "variant": variant, "seed": seed, "fold": fold, "rows": rows})


def derive_seed(seed: int, variant: str, fold: int | str) -> int:
    """Return the seed set inside a fit, so that any fit reruns alone; below 2**63."""
    return int(digest([seed, variant, fold])[:15], 16)


def describe_differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return what changed between two sets of plain values, a fragment of a sentence each: "learning_rate 2e-05 -> 3e-05"."""
    keys = sorted(set(old) | set(new))
    return [f"{k} {_shorten(old.get(k))} -> {_shorten(new.get(k))}" for k in keys if old.get(k) != new.get(k)]


def _shorten(value: Any) -> str:
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
    """Return the marker of a finished fit, checksums and all, or None if it is not done. Raises ModelError if it is damaged or another fit's."""
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
    """Return how many fits of the recipe recorded in that file are done."""
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


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON object, readable and in a fixed order."""
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
