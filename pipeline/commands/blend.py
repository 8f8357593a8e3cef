"""The verb `blend`: combine members into one prediction per row, with in-sample and cross-fitted scores."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from oof.blends.blend_file import BlendScores, SavedBlend, TriedBlend, apply_blend, write_blend
from oof.blends.limits import Limits, get_used_members
from oof.blends.problem import Problem
from oof.members.member import collect_test_predictions, write_member
from oof.members.prediction_files import write_predictions
from oof.selection.auto import METHODS_OF_AUTO, Selection, select_blend
from oof.selection.candidates import Candidate
from oof.spec import BlendSpec
from pipeline.blending.blend_summary import describe_blend
from pipeline.blending.level_one import build_limits, build_problem, check_external_members
from pipeline.blending.run_members import RunMembers, gather_members
from pipeline.blending.saved_blend import BLEND, TEST, describe_request, read_saved_blend
from pipeline.config.run_config import RunConfig
from pipeline.data.competition import describe_score
from pipeline.display import escape_controls, print_line, print_warnings
from pipeline.errors import PROBLEMS
from pipeline.fits.open_run import OpenRun, open_run
from pipeline.storage.checksums import compute_checksums, write_sealed
from pipeline.storage.files import remove_temporaries, write_together
from pipeline.storage.locks import hold_lock
from pipeline.storage.run_directory import RunDirectory


def blend(
    config: RunConfig,
    folder: Path,
    *,
    folds: Sequence[int] | None = None,
    trusted: Sequence[str] = (),
    as_json: bool = False,
) -> None:
    """Score every member and every candidate, select a blend, and write OOF, test predictions and `blend.json`.

    `trusted` members from files are used although they do not look out of fold. `as_json` prints the blend as one JSON
    object in place of tables.
    """
    run = open_run(config, folder, folds=folds)
    with hold_lock(run.directory.root, "blend"):
        remove_temporaries(run.directory.oof)
        _blend(run, trusted, as_json)


def _blend(run: OpenRun, trusted: Sequence[str], as_json: bool) -> None:
    gathered = gather_members(run)
    unverified = [member.name for member in gathered.members if not member.verified]
    print_warnings([*gathered.left_out, *(f"{name} is unverified: its file has no fold column" for name in unverified)])
    tests = collect_test_predictions(gathered.members)  # refuse before scores are printed that could not be used
    problem = build_problem(run, gathered)
    check_external_members(gathered, problem, tests, trusted)
    selection = _select(run.blend, problem, build_limits(run, gathered))
    saved = _write(run, gathered, tests, selection, problem)
    if as_json:
        print_line(json.dumps(saved.to_json(), ensure_ascii=False))
        return
    if run.is_restricted:
        print_line(
            f"restricted to folds {', '.join(map(str, run.folds))}: members, scores and test means are of these alone\n"
        )
    for line in describe_score(run.competition):
        print_line(escape_controls(line))
    print_line(escape_controls(describe_blend(selection, gathered, problem, run.split.kind)))
    print_line(
        f"look at it: {run.commands.format('report', run.folds_option)}\nsubmit next: {run.commands.format('submit')}"
    )


def _select(spec: BlendSpec, problem: Problem, limits: Limits | None) -> Selection:
    methods = len(METHODS_OF_AUTO) if spec.method == "auto" else 1
    with tqdm(total=methods + 1, desc="blending", unit="step", leave=False, disable=None) as bar:

        def show_method(method: str) -> None:
            bar.set_postfix_str(method)
            bar.update()

        return select_blend(spec.method, problem, finish=spec.finish, limits=limits, on_method=show_method)


def _write(
    run: OpenRun, gathered: RunMembers, tests: Sequence[np.ndarray], selection: Selection, problem: Problem
) -> SavedBlend:
    directory, competition = run.directory, run.competition
    columns, selected = competition.targets.columns, selection.selected
    used, numbers = get_used_members(selected.fitted.numbers[0], len(gathered.members))
    members = [gathered.members[number] for number in used]
    blend = SavedBlend(
        method=selected.method,
        members=[member.name for member in members],
        numbers=numbers,
        finish=selected.fitted.finishes[0],
        thresholds=selected.fitted.thresholds[0],
        scores=BlendScores(
            in_sample=selected.in_sample.pooled,
            cross_fitted=selected.cross_fitted.pooled if selected.cross_fitted else None,
            interval=selected.interval,
            corrected=selection.corrected_score,
        ),
        rungs=[_describe_candidate(candidate) for candidate in selection.candidates],
        metric=competition.metric.name,
        task=competition.spec.task,
        columns=columns,
        folds=list(run.folds),
        sentence=selection.sentence,
        test_table=competition.test.sha256,
        fits={name: fits for name, fits in gathered.fits.items() if name in {member.name for member in members}},
        offered=gathered.offered,
        asked=describe_request(run),
    )
    blended = apply_blend(blend, [tests[number] for number in used])
    named = [name for member in gathered.members for name in (f"{member.name}.parquet", f"{member.name}.test.parquet")]
    names = [*named, "blend.parquet", TEST, BLEND]
    former = _list_former_files(directory)
    with write_together(*(directory.oof / name for name in names)) as files:
        for member, oof, test in zip(gathered.members, files[0::2], files[1::2], strict=False):
            write_member(oof, test, member)
        *written, oof, test, record = files
        # cross-fitted if possible: a row's own target must not influence its prediction
        crossed = selected.out_of_fold or selected.fitted
        write_predictions(oof, members[0].ids, columns, crossed.predictions, problem.fold)
        write_predictions(test, competition.test.ids, columns, blended)
        write_sealed(record, _write_entries, blend.to_json(), compute_checksums([*written, oof, test]))
    for name in former - set(names):  # of members that are no longer in the config
        (directory.oof / name).unlink(missing_ok=True)
    return blend


def _write_entries(path: Path, entries: Mapping[str, object]) -> None:
    write_blend(path, SavedBlend.from_json(entries))


def _describe_candidate(candidate: Candidate) -> TriedBlend:
    gain, error = candidate.gain or (None, None)
    return TriedBlend(
        method=candidate.name,
        in_sample=candidate.in_sample.pooled,
        cross_fitted=candidate.cross_fitted.pooled if candidate.cross_fitted else None,
        interval=candidate.interval,
        gain=gain,
        error=error,
    )


def _list_former_files(directory: RunDirectory) -> set[str]:
    """Return the files of the blend that is replaced."""
    try:
        return set(read_saved_blend(directory).files or {})
    except PROBLEMS:
        return set()
