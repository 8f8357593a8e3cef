"""What came of a run: finished fits, blend and leaderboard score beside its config; and what two of them differ in.

The verb `runs`: all runs beside a config, what differs between two of them, and what the leaderboard said.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ruamel.yaml import YAML
from scipy.stats import spearmanr

from models.store import MARKER, differences, read_json, write_json
from pipeline.blending.saved_blend import BLEND, read_blended
from pipeline.config.messages import nearest
from pipeline.display import number, table, warn
from pipeline.errors import PROBLEMS, PipelineError
from pipeline.fits.recipes import records
from pipeline.storage.checksums import open_sealed, write_sealed
from pipeline.storage.files import atomic
from pipeline.storage.run_directory import CONFIG, RunDirectory, check_config

SCORES = ("in-sample", "cross-fitted")
NOTES, PLOT = "leaderboard.json", "leaderboard.svg"
ENOUGH = 3  # leaderboard scores before a correlation says anything


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


def runs(folder: Path, *, again: str, differing: Sequence[str] = (), noted: Sequence[str] = ()) -> None:
    """List the runs in `folder`/runs; or note leaderboard scores (`name=score`); or say how two runs differ.

    `again` is the command line of this verb.
    """
    root = folder / "runs"
    names = sorted(path.parent.name for path in root.glob(f"*/{CONFIG}"))
    if not names:
        raise PipelineError(f"{root} holds no run yet: train first, or name a config beside another with --config")
    if noted:
        _note(root, names, noted)
    kept = _notes(root)
    rows = [read_result(root, name, kept.get(name)) for name in names]
    for name in differing:
        _known(name, names)
    if differing:
        print(difference(*(rows[names.index(name)] for name in differing)))
        return
    print(table(["run", "metric", "members", "blend", "in-sample", "cross-fitted", "leaderboard"], _cells(rows)))
    print("\n".join(_remarks(root, rows, again)))


def _cells(rows: Sequence[Result]) -> list[list[str]]:
    cells = []
    for row in rows:
        if row.blend is None:
            cells.append([row.name, "-", "-", "-", "-", "-", number(row.leaderboard)])
            continue
        scores, members = row.blend["scores"], str(len(row.blend["members"]))
        known = [number(scores["in-sample"]), number(scores["cross-fitted"]), number(row.leaderboard)]
        cells.append([row.name, row.blend["metric"], members, row.blend["method"], *known])
    return cells


def _remarks(root: Path, rows: Sequence[Result], again: str) -> list[str]:
    tried = sum(row.blend is not None for row in rows)
    lines = [f"{len(rows)} run(s), {tried} blended"]
    if tried > 1:
        lines[0] += f"; the best of {tried} scores flatters: choose by what differs, not by the last digit"
    pairs = [(row.score, row.leaderboard) for row in rows if row.score is not None and row.leaderboard is not None]
    if len(pairs) >= ENOUGH:
        crossed, board = np.array(pairs, np.float64).T
        agreement = float(spearmanr(crossed, board).statistic)
        with atomic(root / PLOT) as temporary:
            temporary.write_text(_plot(rows), encoding="utf-8")
        lines.append(
            f"rank correlation of own score and leaderboard over {len(pairs)} runs: {agreement:.2f}; {root / PLOT}"
        )
    elif pairs:
        lines.append(f"{ENOUGH} leaderboard scores are needed to set them against your own; {len(pairs)} noted")
    else:
        lines.append(f"note what the leaderboard says: {again} --leaderboard RUN=SCORE")
    return lines


def _notes(root: Path) -> dict[str, float]:
    path = root / NOTES
    if not path.exists():
        return {}
    notes = open_sealed(path, read_json, "remove it and note the scores again")["scores"]
    return {str(name): float(score) for name, score in notes.items()}


def _note(root: Path, names: Sequence[str], noted: Sequence[str]) -> None:
    scores = _notes(root)
    for note in noted:
        name, _, text = note.partition("=")
        _known(name, names)
        try:
            scores[name] = float(text)
        except ValueError:
            scores[name] = np.nan
        if not np.isfinite(scores[name]):
            raise PipelineError(f"--leaderboard must be RUN=SCORE with a number, got {note!r}")
    with atomic(root / NOTES) as temporary:
        write_sealed(temporary, write_json, {"scores": dict(sorted(scores.items()))}, {})


def _known(name: str, names: Sequence[str]) -> None:
    if name not in names:
        raise PipelineError(f"there is no run {name!r}{nearest(name, list(names))}; runs are {', '.join(names)}")


def _plot(rows: Sequence[Result]) -> str:
    """Own score against the leaderboard's, a named dot for each run, as SVG; the same runs give the same bytes."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context({"svg.hashsalt": "poolblend", "svg.fonttype": "none"}):
        figure = Figure(figsize=(6, 4), layout="constrained")
        axes = figure.add_subplot()
        for row in rows:
            if row.score is not None and row.leaderboard is not None:
                axes.plot(row.score, row.leaderboard, "o", color="tab:blue")
                axes.annotate(row.name, (row.score, row.leaderboard), xytext=(5, 4), textcoords="offset points")
        axes.set(xlabel="cross-fitted score of the blend", ylabel="leaderboard")
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()
