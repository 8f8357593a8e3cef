"""What came of a run: finished fits, blend and leaderboard score beside its config; and what two of them differ in."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from models.recipe import differences
from models.store import MARKER
from pipeline.blending.saved_blend import BLEND, read_blended
from pipeline.display import number, table, warn
from pipeline.errors import PROBLEMS
from pipeline.fits.recipes import records
from pipeline.storage.run_directory import CONFIG, RunDirectory, check_config

SCORES = ("in-sample", "cross-fitted")


@dataclass(frozen=True)
class Result:
    """A run: its effective config as plain values, by variant its finished fits in words, its blend if there is one,
    its leaderboard score if it was noted."""

    name: str
    config: dict[str, Any]
    fits: dict[str, str]
    blend: dict[str, Any] | None
    leaderboard: float | None

    @property
    def score(self) -> float | None:
        """The blend's cross-fitted score, or where nothing could be cross-fitted the one in-sample."""
        if self.blend is None:
            return None
        scores = self.blend["scores"]
        value = scores["in-sample"] if scores["cross-fitted"] is None else scores["cross-fitted"]
        return None if value is None else float(value)

    @property
    def holdings(self) -> dict[str, str]:
        """What it holds, in words: fits by variant, and the members and the folds that were blended."""
        held = {f"fits of {variant}": fits for variant, fits in self.fits.items()}
        if self.blend is not None:
            held["members that were blended"] = ", ".join(self.blend["offered"])
            held["folds that were blended"] = ", ".join(map(str, self.blend["folds"]))
        return held


def read_result(root: Path, name: str, leaderboard: float | None) -> Result:
    """A run below `root`; warns of a blend that cannot be read. Raises PipelineError if its config was changed."""
    run, blend = RunDirectory(root / name), None
    check_config(run.root / CONFIG)
    config = YAML(typ="safe", pure=True).load((run.root / CONFIG).read_text(encoding="utf-8"))
    if (run.oof / BLEND).exists():
        try:
            blend = read_blended(run)
        except PROBLEMS as problem:
            warn([str(problem)])
    fits = {variant: found for variant in config["variants"] if (found := _fits(run.models / variant))}
    return Result(name, config, fits, blend, leaderboard)


def difference(first: Result, second: Result) -> str:
    """What two runs differ in: keys of the config by their paths, fits and members, and both scores."""
    keys = [line for line in differences(_flat(first.config), _flat(second.config)) if not line.startswith("run ")]
    held = _changes(first.holdings, second.holdings)
    said = f"{len(keys)} key(s) of the config differ" if keys else "the same config"
    said += "; other fits or members" if held else "; the same fits and members"
    lines = [f"{first.name} -> {second.name}: {said}", *(f"  {line}" for line in [*keys, *held])]
    return "\n".join([*lines, "", table(["of the blend", first.name, second.name], _scores(first, second))])


def _scores(*both: Result) -> list[list[str]]:
    """A line for each score, a column for each run."""
    blends: list[dict[str, Any]] = [one.blend or {} for one in both]
    return [
        ["metric", *(str(blend.get("metric", "-")) for blend in blends)],
        ["method", *(str(blend.get("method", "-")) for blend in blends)],
        *([name, *(number(blend.get("scores", {}).get(name)) for blend in blends)] for name in SCORES),
        ["leaderboard", *(number(one.leaderboard) for one in both)],
    ]


def _changes(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    keys = dict.fromkeys([*old, *new])
    return [f"{key}: {old.get(key, 'none')} -> {new.get(key, 'none')}" for key in keys if old.get(key) != new.get(key)]


def _fits(root: Path) -> str:
    """The finished fits of a variant, of the recipe that was used last, in words; empty if there is none."""
    found = [path.parent.name for recipe in records(root)[:1] for path in recipe.parent.glob(f"seed-*/fold-*/{MARKER}")]
    folds = sorted({name.removeprefix("fold-") for name in found}, key=lambda fold: (len(fold), fold))
    return f"{len(found)}, fold{'' if len(folds) == 1 else 's'} {', '.join(folds)}" if found else ""


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    if not isinstance(value, dict) or not value:
        return {path: value}
    return {k: v for key, inner in value.items() for k, v in _flat(inner, f"{path}.{key}" if path else key).items()}
