"""The command `runs`: all runs beside a config, differences between two of them, and leaderboard scores."""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ruamel.yaml import YAML
from scipy.stats import spearmanr

from models.store import MARKER, describe_differences, read_json, write_json
from oof.blends.blend_file import SavedBlend
from pipeline.blending.saved_blend import BLEND, read_saved_blend
from pipeline.config.messages import suggest_nearest
from pipeline.display import format_score, format_table, print_line, print_warnings
from pipeline.errors import PROBLEMS, PipelineError
from pipeline.fits.recipes import list_recipes
from pipeline.storage.checksums import read_sealed, write_sealed
from pipeline.storage.files import write_atomically
from pipeline.storage.run_directory import CONFIG, RunDirectory, check_config

NOTES, PLOT = "leaderboard.json", "leaderboard.svg"
ENOUGH = 3  # leaderboard scores before a correlation says anything


def list_runs(
    folder: Path, *, command: str, differing: Sequence[str] = (), noted: Sequence[str] = (), as_json: bool = False
) -> None:
    """List the runs in `folder`/runs; or note leaderboard scores (`name=score`); or say how two runs differ.

    `command` is the command line of this command; `as_json` prints the list as a JSON array.
    """
    root = folder / "runs"
    names = sorted(path.parent.name for path in root.glob(f"*/{CONFIG}"))
    if not names:
        raise PipelineError(f"{root} holds no run yet: train first, or name a config beside another with --config")
    if noted:
        _write_scores(root, names, noted)
    leaderboard = _read_scores(root)
    summaries = [summarise_run(root, name, leaderboard.get(name)) for name in names]
    for name in differing:
        _check_run_name(name, names)
    if differing:
        print_line(describe_run_differences(*(summaries[names.index(name)] for name in differing)))
        return
    if as_json:
        print_line(json.dumps([summary.to_json() for summary in summaries], ensure_ascii=False))
        return
    header = ["run", "metric", "members", "blend", "in-sample", "cross-fitted", "leaderboard"]
    print_line(format_table(header, _tabulate_runs(summaries)))
    print_line("\n".join(_describe_runs(root, summaries, command)))


@dataclass(frozen=True)
class RunSummary:
    """A run: its config as plain values, its finished fits in words by variant, its blend, its leaderboard score."""

    name: str
    config: Mapping[str, object]
    fits: dict[str, str]
    blend: SavedBlend | None
    leaderboard: float | None

    @property
    def score(self) -> float | None:
        """The blend's cross-fitted score; the in-sample one where nothing could be cross-fitted."""
        if self.blend is None:
            return None
        scores = self.blend.scores
        value = scores.in_sample if scores.cross_fitted is None else scores.cross_fitted
        return None if value is None else float(value)

    def to_json(self) -> dict[str, object]:
        """Return the cells of the list, with scores as numbers and None for what is not there."""
        blend = self.blend
        return {
            "run": self.name,
            "metric": blend and blend.metric,
            "members": [] if blend is None else blend.members,
            "blend": blend and blend.method,
            "in_sample": blend and blend.scores.in_sample,
            "cross_fitted": blend and blend.scores.cross_fitted,
            "leaderboard": self.leaderboard,
        }

    @property
    def holdings(self) -> dict[str, str]:
        """Its content in words: fits by variant, and the members and folds that were blended."""
        held = {f"fits of {variant}": fits for variant, fits in self.fits.items()}
        if self.blend is not None:
            held["members that were blended"] = ", ".join(self.blend.offered)
            held["folds that were blended"] = ", ".join(map(str, self.blend.folds))
        return held


def summarise_run(root: Path, name: str, leaderboard: float | None) -> RunSummary:
    """Summarise a run below `root`; warns of a damaged blend. Raises PipelineError if its config was changed."""
    run, blend = RunDirectory(root / name), None
    check_config(run.root / CONFIG)
    config = YAML(typ="safe", pure=True).load((run.root / CONFIG).read_text(encoding="utf-8"))
    if (run.oof / BLEND).exists():
        try:
            blend = read_saved_blend(run)
        except PROBLEMS as problem:
            print_warnings([str(problem)])
    fits = {variant: found for variant in config["variants"] if (found := _describe_fits(run.models / variant))}
    return RunSummary(name, config, fits, blend, leaderboard)


def describe_run_differences(first: RunSummary, second: RunSummary) -> str:
    """Return the differences of two runs: keys of the config by their paths, fits and members, and both scores."""
    lines = describe_differences(_flatten(first.config), _flatten(second.config))
    keys = [line for line in lines if not line.startswith("run ")]
    held = _list_changes(first.holdings, second.holdings)
    said = f"{len(keys)} key(s) of the config differ" if keys else "the same config"
    said += "; other fits or members" if held else "; the same fits and members"
    lines = [f"{first.name} -> {second.name}: {said}", *(f"  {line}" for line in [*keys, *held])]
    scores = format_table(["of the blend", first.name, second.name], _tabulate_scores(first, second))
    return "\n".join([*lines, "", scores])


def _tabulate_scores(*both: RunSummary) -> list[list[str]]:
    """Return a line for each score, a column for each run."""
    blends = [run.blend for run in both]
    scores = [blend.scores if blend else None for blend in blends]
    return [
        ["metric", *(blend.metric if blend else "-" for blend in blends)],
        ["method", *(blend.method if blend else "-" for blend in blends)],
        ["in-sample", *(format_score(known.in_sample if known else None) for known in scores)],
        ["cross-fitted", *(format_score(known.cross_fitted if known else None) for known in scores)],
        ["leaderboard", *(format_score(one.leaderboard) for one in both)],
    ]


def _list_changes(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    keys = dict.fromkeys([*old, *new])
    return [f"{key}: {old.get(key, 'none')} -> {new.get(key, 'none')}" for key in keys if old.get(key) != new.get(key)]


def _describe_fits(root: Path) -> str:
    """Return the finished fits of a variant's last recipe in words; an empty text without any."""
    recipes = list_recipes(root)[:1]
    found = [path.parent.name for recipe in recipes for path in recipe.parent.glob(f"seed-*/fold-*/{MARKER}")]
    folds = sorted({name.removeprefix("fold-") for name in found}, key=lambda fold: (len(fold), fold))
    return f"{len(found)}, fold{'' if len(folds) == 1 else 's'} {', '.join(folds)}" if found else ""


def _flatten(value: object, path: str = "") -> dict[str, object]:
    if not isinstance(value, dict) or not value:
        return {path: value}
    return {k: v for key, inner in value.items() for k, v in _flatten(inner, f"{path}.{key}" if path else key).items()}


def _tabulate_runs(rows: Sequence[RunSummary]) -> list[list[str]]:
    cells = []
    for row in rows:
        if row.blend is None:
            cells.append([row.name, "-", "-", "-", "-", "-", format_score(row.leaderboard)])
            continue
        scores, members = row.blend.scores, str(len(row.blend.members))
        known = [format_score(scores.in_sample), format_score(scores.cross_fitted), format_score(row.leaderboard)]
        cells.append([row.name, row.blend.metric, members, row.blend.method, *known])
    return cells


def _describe_runs(root: Path, rows: Sequence[RunSummary], command: str) -> list[str]:
    tried = sum(row.blend is not None for row in rows)
    lines = [f"{len(rows)} run(s), {tried} blended"]
    if tried > 1:
        lines[0] += f"; the best of {tried} scores flatters: choose by what differs, not by the last digit"
    pairs = [(row.score, row.leaderboard) for row in rows if row.score is not None and row.leaderboard is not None]
    if len(pairs) >= ENOUGH:
        crossed, board = np.array(pairs, np.float64).T
        agreement = float(spearmanr(crossed, board).statistic)
        with write_atomically(root / PLOT) as temporary:
            temporary.write_text(_draw_plot(rows), encoding="utf-8")
        lines.append(
            f"rank correlation of own score and leaderboard over {len(pairs)} runs: {agreement:.2f}; {root / PLOT}"
        )
    elif pairs:
        lines.append(f"{ENOUGH} leaderboard scores are needed to set them against your own; {len(pairs)} noted")
    else:
        lines.append(f"note what the leaderboard says: {command} --leaderboard RUN=SCORE")
    return lines


def _read_scores(root: Path) -> dict[str, float]:
    path = root / NOTES
    if not path.exists():
        return {}
    notes = read_sealed(path, read_json, "remove it and note the scores again")["scores"]
    return {str(name): float(score) for name, score in notes.items()}


def _write_scores(root: Path, names: Sequence[str], noted: Sequence[str]) -> None:
    scores = _read_scores(root)
    for note in noted:
        name, _, text = note.partition("=")
        _check_run_name(name, names)
        try:
            scores[name] = float(text)
        except ValueError:
            scores[name] = np.nan
        if not np.isfinite(scores[name]):
            raise PipelineError(f"--leaderboard must be RUN=SCORE with a number, got {note!r}")
    with write_atomically(root / NOTES) as temporary:
        write_sealed(temporary, write_json, {"scores": dict(sorted(scores.items()))}, {})


def _check_run_name(name: str, names: Sequence[str]) -> None:
    if name not in names:
        raise PipelineError(
            f"there is no run {name!r}{suggest_nearest(name, list(names))}; runs are {', '.join(names)}"
        )


def _draw_plot(rows: Sequence[RunSummary]) -> str:
    """Return an SVG of own scores against the leaderboard's, a named dot for each run."""
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
