"""The verb `report`: what a run holds, as one page and its figures."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from models.store import read_json, write_json
from oof.blends.blend_registry import BLENDS
from pipeline.config.run_config import Config, effective_yaml
from pipeline.errors import PROBLEMS
from pipeline.reporting import (
    blend_verdict,
    calibration,
    hard_rows,
    learning_curves,
    member_scores,
    run_cost,
    token_weights,
)
from pipeline.reporting.fold_balance import division
from pipeline.reporting.html_page import render
from pipeline.reporting.sources import Sources, read_sources
from pipeline.reporting.svg_figure import Picture
from pipeline.reporting.train_test_shift import shift
from pipeline.storage.checksums import unseal, write_sealed
from pipeline.storage.files import sweep, together
from pipeline.storage.locks import only_one
from pipeline.storage.run_directory import REPORT_FOLDER, REPORT_PAGE, REPORT_RECORD, RunDirectory, run_directory

Facts = dict[str, Any]


def report(config: Config, folder: Path, *, folds: Sequence[int] | None = None) -> None:
    """Write `report.html`, its figures and their seal. Raises PipelineError if no member is finished."""
    run = run_directory(config, folder)
    with tqdm(total=len(SECTIONS) + 1, desc="reporting", unit="step", delay=2, leave=False, disable=None) as bar:
        sources = read_sources(config, folder, folds)
        facts: Facts = {"sources": sources, "config": effective_yaml(config), "commands": _commands(sources)}
        for section in SECTIONS:
            bar.update()
            facts.update(section(sources))
    with only_one(run.root, "report"):
        _write(run, render(facts), [value for value in facts.values() if isinstance(value, Picture)])
    print(f"{run.root / REPORT_PAGE}: open it in a browser; its figures are in {run.root / REPORT_FOLDER}")


def _members(sources: Sources) -> Facts:
    ranked, metric = member_scores.standings(sources), sources.problem.metric.name
    names, alike = member_scores.correlations(sources, ranked)
    weighed, tried = member_scores.weights(sources), blend_verdict.rungs(sources)
    return {
        "members": ranked,
        "names": {*BLENDS, *sources.config.variants, *(one.name for one in ranked)},  # none begins with a capital
        "scores": blend_verdict.scores(sources),
        "steps": blend_verdict.next_steps(sources),
        "weights": blend_verdict.draw_weights(weighed) if weighed else None,
        "rungs": blend_verdict.draw_rungs(tried, metric) if tried else None,
        "correlations": member_scores.draw_correlations(names, alike) if len(names) > 1 else None,
        "by_fold": member_scores.draw_folds(ranked, sources.folds, metric),
    }


def _learning(sources: Sources) -> Facts:
    losses, scores, metric = (
        learning_curves.losses(sources.jobs),
        learning_curves.scores(sources.jobs),
        sources.problem.metric.name,
    )
    return {
        "losses": learning_curves.draw_curves("losses", "Training loss", "training loss", losses) if losses else None,
        "curves": learning_curves.draw_curves("scores", "Score by epoch", metric, scores) if scores else None,
        "looks": token_weights.looks(sources.jobs),
    }


def _predictions(sources: Sources) -> Facts:
    found, matrix = calibration.reliability(sources), calibration.confusion(sources)
    left = calibration.residuals(sources)
    classes = sources.competition.targets.classes
    return {
        "reliability": calibration.draw_reliability(found) if found else None,
        "confusion": calibration.draw_confusion(matrix, classes) if matrix is not None else None,
        "confused": calibration.confused(matrix, classes, 10) if matrix is not None else [],
        "residuals": calibration.draw_residuals(left) if left else None,
        "worst": hard_rows.worst(sources),
        "headings": hard_rows.headings(sources),
        "doubts": hard_rows.doubts(sources),
    }


def _tables(sources: Sources) -> Facts:
    competition = sources.competition
    return {"division": division(sources), "shift": shift(competition.texts, competition.test.texts)}


def _costs(sources: Sources) -> Facts:
    return {"costs": run_cost.costs(sources), "disk": run_cost.disk(sources), "checksums": run_cost.checksums(sources)}


SECTIONS: list[Callable[[Sources], Facts]] = [_members, _learning, _predictions, _tables, _costs]


def _commands(sources: Sources) -> list[str]:
    """What makes this run, and no more of it, again."""
    done = {"blend": sources.blend, "compare": sources.comparison, "submit": blend_verdict.submitted(sources)}
    verbs = [verb for verb in ("train", "blend", "compare", "submit", "report") if done.get(verb, True)]
    return [sources.command(verb) for verb in verbs]


def _write(run: RunDirectory, page: str, pictures: Sequence[Picture]) -> None:
    """The figures, the page and the record that vouches for them; figures of a former report are removed."""
    folder = run.root / REPORT_FOLDER
    sweep(folder)
    texts = {folder / f"{one.name}.svg": one.file for one in pictures} | {run.root / REPORT_PAGE: page}
    files = {_name(path): hashlib.sha256(text.encode()).hexdigest() for path, text in texts.items()}
    former = _former_files(folder / REPORT_RECORD)
    with together(*texts, folder / REPORT_RECORD) as temporaries:
        *written, record = temporaries
        for temporary, text in zip(written, texts.values(), strict=True):
            temporary.write_bytes(text.encode())
        write_sealed(record, write_json, {"of": run.root.name}, files)
    for name in former - set(files):
        (folder / name).unlink(missing_ok=True)


def _name(path: Path) -> str:
    """A file's name as seen from the record."""
    return f"../{path.name}" if path.name == REPORT_PAGE else path.name


def _former_files(record: Path) -> set[str]:
    try:
        return set(unseal(read_json(record), record, "")["files"])
    except PROBLEMS:
        return set()
