"""The verb `blend`: members to one prediction per row, with scores called by their names."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from oof.blends.blend_file import apply_blend, write_blend
from oof.blends.limits import Limits, used
from oof.blends.problem import Problem
from oof.members.member import stack_tests, write_member
from oof.members.prediction_files import write_frame
from oof.selection.auto import RUNGS, Climb, auto, single
from oof.selection.candidates import Rung
from pipeline.blending.blend_summary import describe
from pipeline.blending.level_one import check_extras, level_one, limits_of
from pipeline.blending.run_members import Gathered, gather
from pipeline.blending.saved_blend import BLEND, TEST, asked, read_blended
from pipeline.config.run_config import Config
from pipeline.data.competition import Competition, load_competition
from pipeline.data.fold_assignment import Folds, chosen_folds, open_folds
from pipeline.display import printable, warn
from pipeline.errors import PROBLEMS
from pipeline.storage.checksums import checksums, write_sealed
from pipeline.storage.files import sweep, together
from pipeline.storage.locks import only_one
from pipeline.storage.run_directory import RunDirectory, run_directory


def blend(config: Config, folder: Path, *, folds: Sequence[int] | None = None, trusted: Sequence[str] = ()) -> None:
    """Score every member and every rung, choose a blend, and write OOF, test predictions and `blend.json`.

    `trusted` members from files take part though they do not look out of fold.
    """
    competition = load_competition(config, folder)
    run = run_directory(config, folder)
    split = open_folds(run, config, competition, make=False)
    chosen = chosen_folds(split, folds)
    with only_one(run.root, "blend"):
        sweep(run.oof)
        _blend(run, config, folder, competition, split, chosen, trusted)


def _blend(
    run: RunDirectory,
    config: Config,
    folder: Path,
    competition: Competition,
    split: Folds,
    chosen: Sequence[int],
    trusted: Sequence[str],
) -> None:
    gathered = gather(run, config, folder, competition, split, chosen)
    warn(
        gathered.left_out
        + [f"{m.name} is unverified: its file has no fold column" for m in gathered.members if not m.verified]
    )
    tests = stack_tests(gathered.members)  # refuse before scores are shown that nothing would come of
    problem = level_one(gathered, competition, split)
    check_extras(gathered, problem, tests, trusted)
    climb = _climb(config, problem, limits_of(config, gathered, len(competition.test.ids)))
    _write(run, config, competition, gathered, tests, climb, problem, chosen)
    part = f" --folds {','.join(map(str, chosen))}" if len(chosen) < len(split.numbers) else ""
    if part:
        print(f"restricted to folds {', '.join(map(str, chosen))}: members, scores and test means are of these alone\n")
    print(printable(describe(climb, gathered, problem, split.kind)))
    print(f"look at it: {config.command('report')}{part}\nsubmit next: {config.command('submit')}")


def _climb(config: Config, problem: Problem, limits: Limits | None) -> Climb:
    spec = config.blend
    methods = len(RUNGS) if spec.method == "auto" else 1
    with tqdm(total=methods + 1, desc="blending", unit="step", leave=False, disable=None) as bar:

        def on_rung(method: str) -> None:
            bar.set_postfix_str(method)
            bar.update()

        if spec.method == "auto":
            return auto(problem, finish=spec.finish, limits=limits, on_rung=on_rung)
        return single(spec.method, problem, finish=spec.finish, limits=limits, on_rung=on_rung)


def _write(
    run: RunDirectory,
    config: Config,
    competition: Competition,
    gathered: Gathered,
    tests: Sequence[np.ndarray],
    climb: Climb,
    problem: Problem,
    folds: Sequence[int],
) -> None:
    columns, held = competition.targets.columns, climb.held
    chosen, numbers = used(held.fitted.numbers[0], len(gathered.members))
    members = [gathered.members[at] for at in chosen]
    described: dict[str, Any] = {
        "method": held.method,
        "members": [member.name for member in members],
        "numbers": numbers,
        "finish": held.fitted.finishes[0],
        "thresholds": held.fitted.thresholds[0],
        "scores": {
            "in-sample": held.in_sample.pooled,
            "cross-fitted": held.cross_fitted.pooled if held.cross_fitted else None,
            "95 % interval": held.interval,
            "corrected for the choice": climb.corrected,
        },
        "rungs": [_plain(rung) for rung in climb.rungs],
        "metric": competition.metric.name,
        "task": competition.spec.task,
        "columns": columns,
        "folds": list(folds),
        "sentence": climb.sentence,
        "test_table": competition.test.sha256,
        "fits": {name: fits for name, fits in gathered.fits.items() if name in {member.name for member in members}},
        "offered": gathered.offered,
        "asked": asked(config),
    }
    blended = apply_blend(described, [tests[at] for at in chosen])
    named = [name for member in gathered.members for name in (f"{member.name}.parquet", f"{member.name}.test.parquet")]
    names = [*named, "blend.parquet", TEST, BLEND]
    former = _former_files(run)
    with together(*(run.oof / name for name in names)) as files:
        for member, oof, test in zip(gathered.members, files[0::2], files[1::2], strict=False):
            write_member(oof, test, member)
        *written, oof, test, record = files
        # what the blend's OOF file holds is cross-fitted where it can be: a row's own target had no say in it
        crossed = held.crossed or held.fitted
        write_frame(oof, members[0].ids, columns, crossed.predictions, problem.fold)
        write_frame(test, competition.test.ids, columns, blended)
        write_sealed(record, write_blend, described, checksums([*written, oof, test]))
    for name in former - set(names):  # of members that the config no longer has
        (run.oof / name).unlink(missing_ok=True)


def _plain(rung: Rung) -> dict[str, Any]:
    gain, error = rung.gain or (None, None)
    scores = {"in-sample": rung.in_sample.pooled, "cross-fitted": rung.cross_fitted and rung.cross_fitted.pooled}
    return {"method": rung.name, **scores, "interval": rung.interval, "gain": gain, "error": error}


def _former_files(run: RunDirectory) -> set[str]:
    """The files of the blend that is replaced."""
    try:
        return set(read_blended(run)["files"])
    except PROBLEMS:
        return set()
