"""One flipped bit in a file of a run: which verb would use that file, and whether it and `status --deep` say so."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

FIT, RECIPE = "models/*/*/seed-*/fold-*", "models/*/*"
# Each kind of artefact: where in a run, and the verb that reads it; None where `status --deep` alone does.
ARTEFACTS: dict[str, tuple[str, str | None]] = {
    "weights": (f"{FIT}/weights.safetensors", "predict"),
    "linear.json": (f"{FIT}/linear.json", "predict"),
    "linear.safetensors": (f"{FIT}/linear.safetensors", "predict"),
    "valid part": (f"{FIT}/*.valid.parquet", "blend"),
    "test part": (f"{FIT}/*.test-*.parquet", "blend"),
    "fit.json": (f"{FIT}/fit.json", "blend"),
    "recipe.json": (f"{RECIPE}/recipe.json", "blend"),
    "order.json": ("models/*/order.json", None),
    "backbone/config.json": (f"{RECIPE}/backbone/config.json", "predict"),
    "backbone/tokenizer.json": (f"{RECIPE}/backbone/tokenizer.json", "predict"),
    "folds.csv": ("folds/folds.csv", "blend"),
    "folds.json": ("folds/folds.json", "blend"),
    "config.yaml": ("config.yaml", None),
    "checkpoint": (f"{FIT}/checkpoint.safetensors", "train --only {variant} --folds 0"),
    "member OOF": ("oof/{member}.parquet", None),
    "member test": ("oof/{member}.test.parquet", "submit --member {member}"),
    "blend.parquet": ("oof/blend.parquet", None),
    "blend.test.parquet": ("oof/blend.test.parquet", "submit"),
    "blend.json": ("oof/blend.json", "submit"),
    "compare.json": ("oof/compare.json", None),
    "submission.csv": ("submissions/submission.csv", "status"),
    "submission.json": ("submissions/submission.json", "status"),
}


class Site(Protocol):
    """A competition's folder with its config.yaml, and the run that it holds."""

    @property
    def folder(self) -> Path: ...

    @property
    def root(self) -> Path: ...

    def run(self, verb: str, *arguments: str) -> Any:
        """Call a verb; its exit `code`, and what it said to `err`."""


@dataclass(frozen=True)
class Flip:
    """A bit of a file that was turned: its place in the file, and where it was not noticed."""

    path: Path
    place: int
    bit: int
    missed: list[str]


def flip(site: Site, kind: str, member: str, rng: np.random.Generator) -> Flip:
    """Turn a random bit of an artefact of that kind, ask whoever reads it, and put the run back as it was."""
    pattern, verb = ARTEFACTS[kind]
    names = {"member": member, "variant": member.partition(".")[0]}
    path = rng.choice(sorted(site.root.glob(pattern.format_map(names))))
    place, bit = int(rng.integers(path.stat().st_size)), int(rng.integers(8))
    kept = site.root.with_name("kept")
    shutil.copytree(site.root, kept)
    whole = path.read_bytes()
    path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << bit]) + whole[place + 1 :])
    asked = ["status --deep", *([verb.format_map(names)] if verb else [])]
    missed = [one for one in asked if not _noticed(site, one, path)]
    shutil.rmtree(site.root)
    kept.rename(site.root)
    return Flip(path, place, bit, missed)


def _noticed(site: Site, verb: str, path: Path) -> bool:
    """Whether a verb names the file and refuses it; a damaged checkpoint is named and done without."""
    name, *arguments = verb.split()
    if name == "predict":
        arguments = ["--test", str(site.folder / "test.csv"), "--output", str(site.folder / "predictions")]
    done = site.run(name, *arguments)
    return done.code == (0 if name == "train" else 2) and str(path) in done.err and "Traceback" not in done.err
