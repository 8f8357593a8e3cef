"""The verb `report`: what a run holds, as one page and its figures."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

from tqdm import tqdm

from models.store import read_json, write_json
from oof.blends.blend_registry import BLENDS
from pipeline.config.run_config import RunConfig, write_effective_yaml
from pipeline.display import print_line
from pipeline.errors import PROBLEMS
from pipeline.fits.open_run import open_run
from pipeline.reporting import (
    blend_verdict,
    calibration,
    hard_rows,
    learning_curves,
    member_scores,
    run_cost,
    token_weights,
)
from pipeline.reporting.fold_balance import compute_fold_balance
from pipeline.reporting.html_page import render
from pipeline.reporting.report_inputs import ReportInputs, read_inputs
from pipeline.reporting.svg_figure import Figure
from pipeline.reporting.train_test_shift import compute_shift
from pipeline.storage.checksums import verify_sealed, write_sealed
from pipeline.storage.files import remove_temporaries, write_together
from pipeline.storage.locks import hold_lock
from pipeline.storage.run_directory import REPORT_FOLDER, REPORT_PAGE, REPORT_RECORD, RunDirectory

Facts = dict[str, object]  # by the names that the template uses
MOST_CONFUSIONS = 10


def report(config: RunConfig, folder: Path, *, folds: Sequence[int] | None = None) -> None:
    """Write `report.html`, its figures and their checksums. Raises PipelineError if no member is complete."""
    run = open_run(config, folder, folds=folds)
    root = run.directory.root
    with tqdm(total=len(SECTIONS) + 1, desc="reporting", unit="step", delay=2, leave=False, disable=None) as bar:
        inputs = read_inputs(run)
        facts: Facts = {"inputs": inputs, "config": write_effective_yaml(config), "commands": _list_commands(inputs)}
        for compute_section in SECTIONS:
            bar.update()
            facts.update(compute_section(inputs))
    with hold_lock(root, "report"):
        _write(run.directory, render(facts), [value for value in facts.values() if isinstance(value, Figure)])
    print_line(f"{root / REPORT_PAGE}: open it in a browser; its figures are in {root / REPORT_FOLDER}")


def _compute_members(inputs: ReportInputs) -> Facts:
    rows, metric, blend = member_scores.compute_member_rows(inputs), inputs.problem.metric.name, inputs.blend
    names, correlations = member_scores.compute_correlations(inputs, rows)
    weights = member_scores.read_weights(inputs)
    return {
        "members": rows,
        "names": {*BLENDS, *inputs.run.variants, *(row.name for row in rows)},  # a sentence leaves them uncapitalised
        "scores": blend_verdict.compute_scores(inputs),
        "steps": blend_verdict.list_next_steps(inputs),
        "weights": blend_verdict.draw_weights(weights) if weights else None,
        "candidates": blend_verdict.draw_candidates(blend, blend.rungs) if blend and blend.rungs else None,
        "correlations": member_scores.draw_correlations(names, correlations) if len(names) > 1 else None,
        "by_fold": member_scores.draw_folds(rows, inputs.run.folds, metric),
    }


def _compute_learning(inputs: ReportInputs) -> Facts:
    losses, scores = learning_curves.collect_losses(inputs.jobs), learning_curves.collect_scores(inputs.jobs)
    metric = inputs.problem.metric.name
    return {
        "losses": learning_curves.draw_curves("losses", "Training loss", "training loss", losses) if losses else None,
        "curves": learning_curves.draw_curves("scores", "Score by epoch", metric, scores) if scores else None,
        "token_weights": token_weights.read_token_weights(inputs.jobs),
    }


def _compute_predictions(inputs: ReportInputs) -> Facts:
    reliability, matrix = calibration.compute_reliability(inputs), calibration.compute_confusion(inputs)
    residuals = calibration.compute_residuals(inputs)
    classes = inputs.run.competition.targets.classes
    facts: Facts = {"confusion": None, "confused": []}
    if matrix is not None:
        facts["confusion"] = calibration.draw_confusion(matrix, classes)
        facts["confused"] = calibration.list_confused_pairs(matrix, classes, MOST_CONFUSIONS)
    return {
        **facts,
        "reliability": calibration.draw_reliability(reliability) if reliability else None,
        "residuals": calibration.draw_residuals(residuals) if residuals else None,
        "worst": hard_rows.find_worst_rows(inputs),
        "headings": hard_rows.name_headings(inputs),
        "doubts": hard_rows.find_doubtful_labels(inputs),
    }


def _compute_tables(inputs: ReportInputs) -> Facts:
    competition = inputs.run.competition
    shift = compute_shift(competition.texts, competition.test.texts)
    return {"balance": compute_fold_balance(inputs), "shift": shift}


def _compute_costs(inputs: ReportInputs) -> Facts:
    return {
        "costs": run_cost.compute_costs(inputs),
        "disk": run_cost.measure_disk(inputs),
        "checksums": run_cost.list_checksums(inputs),
    }


SECTIONS: list[Callable[[ReportInputs], Facts]] = [
    _compute_members,
    _compute_learning,
    _compute_predictions,
    _compute_tables,
    _compute_costs,
]


def _list_commands(inputs: ReportInputs) -> list[str]:
    """Return the commands that reproduce this run, and no more than it holds."""
    done = {"blend": inputs.blend, "compare": inputs.comparison, "submit": blend_verdict.is_submitted(inputs)}
    verbs = [verb for verb in ("train", "blend", "compare", "submit", "report") if done.get(verb, True)]
    return [inputs.format_command(verb) for verb in verbs]


def _write(run: RunDirectory, page: str, figures: Sequence[Figure]) -> None:
    """Write the figures, the page and the record of their checksums; figures of a former report are removed."""
    folder = run.root / REPORT_FOLDER
    remove_temporaries(folder)
    texts = {folder / f"{figure.name}.svg": figure.file for figure in figures} | {run.root / REPORT_PAGE: page}
    files = {_name_in_record(path): hashlib.sha256(text.encode()).hexdigest() for path, text in texts.items()}
    former = _list_former_files(folder / REPORT_RECORD)
    with write_together(*texts, folder / REPORT_RECORD) as temporaries:
        *written, record = temporaries
        for temporary, text in zip(written, texts.values(), strict=True):
            temporary.write_bytes(text.encode())
        write_sealed(record, write_json, {"of": run.root.name}, files)
    for name in former - set(files):
        (folder / name).unlink(missing_ok=True)


def _name_in_record(path: Path) -> str:
    """Return a file's name relative to the record."""
    return f"../{path.name}" if path.name == REPORT_PAGE else path.name


def _list_former_files(record: Path) -> set[str]:
    try:
        return set(verify_sealed(read_json(record), record, "")["files"])
    except PROBLEMS:
        return set()
