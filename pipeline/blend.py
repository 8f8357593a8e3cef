"""The verb `blend`: members to one prediction per row, with scores called by their names."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from oof.blend_file import apply_blend, write_blend
from oof.decide import decide
from oof.diversity import error_correlations
from oof.frame import write_frame
from oof.ladder import RUNGS, Climb, Rung, auto, single
from oof.matrix import stack, stack_tests
from oof.member import Member, write_member
from oof.metrics import Metric
from oof.scores import Score, score
from pipeline.competition import Competition, load_competition
from pipeline.config import Config
from pipeline.display import duration, number, table, warn
from pipeline.files import atomic
from pipeline.members import Gathered, asked, gather
from pipeline.run_directory import RunDirectory, run_directory
from pipeline.splits import Folds, chosen_folds, open_folds


def blend(config: Config, folder: Path, *, folds: Sequence[int] | None = None) -> None:
    """Score every member and every rung, choose a blend, and write OOF, test predictions and `blend.json`."""
    competition = load_competition(config, folder)
    run = run_directory(config, folder)
    split = open_folds(run, config, competition, make=False)
    chosen = chosen_folds(split, folds)
    gathered = gather(run, config, folder, competition, split, chosen)
    warn(
        gathered.left_out
        + [f"{m.name} is unverified: its file has no fold column" for m in gathered.members if not m.verified]
    )
    rows = np.flatnonzero(np.isin(split.fold, chosen))
    truth, fold = competition.targets.truth[rows], split.fold[rows]
    matrix = stack(gathered.members, competition.ids, split.fold, chosen)
    tests = stack_tests(gathered.members)  # refuse before scores are shown that nothing would come of
    climb = _climb(config, competition, matrix, truth, fold, split.component[rows])
    rung = next(r for r in climb.rungs if r.method == climb.chosen)
    _write(run, config, competition, gathered, tests, rung, rows, split, climb, chosen)
    if len(chosen) < len(split.numbers):
        print(f"restricted to folds {', '.join(map(str, chosen))}: members, scores and test means are of these alone\n")
    print(_member_table(gathered, matrix, truth, fold, competition))
    print()
    print(_rung_table(climb, competition.metric))
    if rung.fitted.thresholds[0] is not None:
        print("members are scored at default thresholds, blends at thresholds fitted beside their weights")
    print(f"\n{climb.sentence}")
    print(_weights_line(rung, gathered.members))
    print(f"submit next: {config.command('submit')}")


def _climb(
    config: Config,
    competition: Competition,
    matrix: np.ndarray,
    truth: np.ndarray,
    fold: np.ndarray,
    component: np.ndarray,
) -> Climb:
    task, metric = competition.spec.task, competition.metric
    if config.blend.method == "auto":
        with tqdm(total=len(RUNGS), desc="blending", unit="rung", delay=2, leave=False, disable=None) as bar:

            def on_rung(method: str) -> None:
                bar.set_postfix_str(method)
                bar.update()

            return auto(matrix, truth, fold, component, task, metric, on_rung=on_rung)
    return single(config.blend.method, matrix, truth, fold, task, metric)


def _member_table(
    gathered: Gathered, matrix: np.ndarray, truth: np.ndarray, fold: np.ndarray, competition: Competition
) -> str:
    metric, rows = competition.metric, []
    alike = error_correlations(matrix, truth, competition.spec.task)
    for at, (member, predictions) in enumerate(zip(gathered.members, matrix, strict=True)):
        own = _member_score(metric, competition.spec.task, truth, predictions, fold)
        seconds = gathered.seconds.get(member.name)
        others = np.delete(alike[at], at)
        shared = f"{others.mean():.2f}" if len(others) else "-"
        spent = duration(seconds) if seconds is not None else "-"
        rows.append([member.name, number(own.pooled), _spread(own), shared, spent])
    return table(["member", f"OOF {metric.name}", "folds: mean +- deviation", "error correlation", "training"], rows)


def _member_score(metric: Metric, task: str, truth: np.ndarray, predictions: np.ndarray, fold: np.ndarray) -> Score:
    """A member's own score; a label metric takes the default decision, which no row has chosen."""
    return score(metric, truth, decide(task, predictions) if metric.needs == "labels" else predictions, fold)


def _rung_table(climb: Climb, metric: Metric) -> str:
    rows = []
    for rung in climb.rungs:
        gain = f"{rung.gain.gain:+.5f} +- {rung.gain.standard_error:.5f} over {rung.over}" if rung.gain else "-"
        mark = " *" if rung.method == climb.chosen else ""
        crossed = rung.cross_fitted
        rows.append(
            [rung.method + mark, number(rung.in_sample.pooled), number(crossed.pooled if crossed else None), gain]
        )
    return table(["blend", f"in-sample {metric.name}", "cross-fitted", "paired cross-fitted gain"], rows)


def _weights_line(rung: Rung, members: Sequence[Member]) -> str:
    weights = rung.fitted.numbers[0].get("weights")
    if weights is None or np.ndim(weights) != 1:
        return f"blend {rung.method} of {len(members)} members"
    pairs = [f"{member.name} {weight:.3f}" for member, weight in zip(members, weights, strict=True) if weight > 0]
    return f"weights: {', '.join(pairs)}"


def _spread(value: Score) -> str:
    if value.mean is None or value.deviation is None:
        return "-"
    return f"{number(value.mean)} +- {number(value.deviation)}"


def _write(
    run: RunDirectory,
    config: Config,
    competition: Competition,
    gathered: Gathered,
    tests: Sequence[np.ndarray],
    rung: Rung,
    rows: np.ndarray,
    split: Folds,
    climb: Climb,
    folds: Sequence[int],
) -> None:
    members, task, columns = gathered.members, competition.spec.task, competition.targets.columns
    numbers, thresholds = rung.fitted.numbers[0], rung.fitted.thresholds[0]
    described: dict[str, Any] = {
        "method": rung.method,
        "members": [member.name for member in members],
        "numbers": numbers,
        "thresholds": thresholds,
        "scores": {
            "in-sample": rung.in_sample.pooled,
            "cross-fitted": rung.cross_fitted.pooled if rung.cross_fitted else None,
        },
        "metric": competition.metric.name,
        "task": task,
        "columns": columns,
        "folds": list(folds),
        "sentence": climb.sentence,
        "test_table": competition.test.sha256,
        "fits": gathered.fits,
        "asked": asked(config),
    }
    blended = apply_blend(described, tests)
    for member in members:
        with atomic(run.oof / f"{member.name}.parquet") as oof, atomic(run.oof / f"{member.name}.test.parquet") as test:
            write_member(oof, test, member)
    # what the blend's OOF file holds is cross-fitted where it can be: a row's own target had no say in it
    crossed = rung.crossed or rung.fitted
    ids = [competition.ids[row] for row in rows]
    with atomic(run.oof / "blend.parquet") as temporary:
        write_frame(temporary, ids, columns, crossed.predictions, split.fold[rows])
    with atomic(run.oof / "blend.test.parquet") as temporary:
        write_frame(temporary, competition.test.ids, columns, blended)
    with atomic(run.oof / "blend.json") as temporary:
        write_blend(temporary, described)
