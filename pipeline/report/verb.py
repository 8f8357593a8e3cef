"""The verb `report`: what a run holds, as one page and its figures."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from models.store import read_json, write_json
from oof.blends import BLENDS
from pipeline.config import Config, effective_yaml
from pipeline.errors import PROBLEMS
from pipeline.files import sweep, together
from pipeline.lock import only_one
from pipeline.report import (
    FOLDER,
    PAGE,
    RECORD,
    charts,
    cost,
    doubts,
    figures,
    learning,
    looks,
    maps,
    members,
    reliability,
    rows,
    rungs,
)
from pipeline.report.division import division
from pipeline.report.page import render
from pipeline.report.picture import Picture
from pipeline.report.shift import shift
from pipeline.report.sources import Sources, read_sources
from pipeline.run_directory import RunDirectory, run_directory
from pipeline.seals import unseal, write_sealed

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
    print(f"{run.root / PAGE}: open it in a browser; its figures are in {run.root / FOLDER}")


def _members(sources: Sources) -> Facts:
    ranked, metric = members.standings(sources), sources.problem.metric.name
    names, alike = members.correlations(sources, ranked)
    weighed, tried = members.weights(sources), rungs.rungs(sources)
    return {
        "members": ranked,
        "names": {*BLENDS, *sources.config.variants, *(one.name for one in ranked)},  # none begins with a capital
        "scores": rungs.scores(sources),
        "steps": rungs.next_steps(sources),
        "weights": figures.weights(weighed) if weighed else None,
        "rungs": figures.rungs(tried, metric) if tried else None,
        "correlations": maps.correlations(names, alike) if len(names) > 1 else None,
        "by_fold": figures.folds(ranked, sources.folds, metric),
    }


def _learning(sources: Sources) -> Facts:
    losses, scores, metric = learning.losses(sources.jobs), learning.scores(sources.jobs), sources.problem.metric.name
    return {
        "losses": charts.learning("losses", "Training loss", "training loss", losses) if losses else None,
        "curves": charts.learning("scores", "Score by epoch", metric, scores) if scores else None,
        "looks": looks.looks(sources.jobs),
    }


def _predictions(sources: Sources) -> Facts:
    calibration, matrix = reliability.reliability(sources), reliability.confusion(sources)
    left = reliability.residuals(sources)
    classes = sources.competition.targets.classes
    return {
        "reliability": charts.reliability(calibration) if calibration else None,
        "confusion": maps.confusion(matrix, classes) if matrix is not None else None,
        "confused": reliability.confused(matrix, classes, 10) if matrix is not None else [],
        "residuals": charts.residuals(left) if left else None,
        "worst": rows.worst(sources),
        "headings": rows.headings(sources),
        "doubts": doubts.doubts(sources),
    }


def _tables(sources: Sources) -> Facts:
    competition = sources.competition
    return {"division": division(sources), "shift": shift(competition.texts, competition.test.texts)}


def _costs(sources: Sources) -> Facts:
    return {"costs": cost.costs(sources), "disk": cost.disk(sources), "checksums": cost.checksums(sources)}


SECTIONS: list[Callable[[Sources], Facts]] = [_members, _learning, _predictions, _tables, _costs]


def _commands(sources: Sources) -> list[str]:
    """What makes this run, and no more of it, again."""
    done = {"blend": sources.blend, "compare": sources.comparison, "submit": rungs.submitted(sources)}
    verbs = [verb for verb in ("train", "blend", "compare", "submit", "report") if done.get(verb, True)]
    return [sources.command(verb) for verb in verbs]


def _write(run: RunDirectory, page: str, pictures: Sequence[Picture]) -> None:
    """The figures, the page and the record that vouches for them; figures of a former report are removed."""
    folder = run.root / FOLDER
    sweep(folder)
    texts = {folder / f"{one.name}.svg": one.file for one in pictures} | {run.root / PAGE: page}
    files = {_name(path): hashlib.sha256(text.encode()).hexdigest() for path, text in texts.items()}
    former = _former_files(folder / RECORD)
    with together(*texts, folder / RECORD) as temporaries:
        *written, record = temporaries
        for temporary, text in zip(written, texts.values(), strict=True):
            temporary.write_bytes(text.encode())
        write_sealed(record, write_json, {"of": run.root.name}, files)
    for name in former - set(files):
        (folder / name).unlink(missing_ok=True)


def _name(path: Path) -> str:
    """A file's name as seen from the record."""
    return f"../{path.name}" if path.name == PAGE else path.name


def _former_files(record: Path) -> set[str]:
    try:
        return set(unseal(read_json(record), record, "")["files"])
    except PROBLEMS:
        return set()
