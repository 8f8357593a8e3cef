"""The verb `runs`: all runs beside a config, what differs between two of them, and what the leaderboard said."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

from models.store import read_json, write_json
from pipeline.config.messages import nearest
from pipeline.display import number, table
from pipeline.errors import PipelineError
from pipeline.results import Result, difference, read_result
from pipeline.storage.checksums import open_sealed, write_sealed
from pipeline.storage.files import atomic
from pipeline.storage.run_directory import CONFIG

NOTES, PLOT = "leaderboard.json", "leaderboard.svg"
ENOUGH = 3  # leaderboard scores before a correlation says anything


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
