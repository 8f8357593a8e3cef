"""The verb `predict`: a new test table, from saved weights to member and blend predictions, and a submission."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from models.store import digest
from oof.blends.blend_file import apply_blend
from oof.members.prediction_files import write_frame
from pipeline.blending.run_members import recorded_jobs
from pipeline.blending.saved_blend import TEST, check_fresh, read_blended
from pipeline.commands.submit import checked_frame
from pipeline.config.run_config import Config
from pipeline.data.competition import Competition, TestTable, check_fillable, load_competition, load_sample, load_test
from pipeline.data.fold_assignment import open_folds
from pipeline.display import warn
from pipeline.errors import PROBLEMS, PipelineError
from pipeline.fits.job import Job
from pipeline.storage.checksums import checksum, checksums, unseal, write_sealed
from pipeline.storage.files import sweep, together
from pipeline.storage.run_directory import RunDirectory, run_directory
from submissions.files import read_record, write_record, write_submission

RECORD = "predictions.json"
Predictions = dict[str, np.ndarray]  # (rows, columns) by member


def predict(config: Config, folder: Path, *, test: Path, output: Path, sample: Path | None = None) -> None:
    """Predict `test` with every fit that the blend uses; write `<member>.test.parquet`, `blend.test.parquet` and, with
    a sample submission, the submission into `output`."""
    competition = load_competition(config, folder)
    run = run_directory(config, folder)
    split = open_folds(run, config, competition, make=False)
    blend = read_blended(run)
    table = load_test(config.competition, test)
    names = [f"{name}.test.parquet" for name in blend["members"]] + [TEST, RECORD]
    _check_output(output, run, [*names, config.submission.file] if sample else names)
    if seen := len(set(table.ids) & set(competition.ids)):
        warn([f"{seen} of the {len(table.ids)} ids are of training rows: what the models saw, they predict too well"])
    form = load_sample(sample, config.competition, table) if sample else None
    if form is not None:  # before hours of predicting, not after
        check_fillable(form, competition.spec, competition.targets, table, competition.kind)
    if extra := [name for name in blend["members"] if name in config.blend.extra]:
        raise PipelineError(
            f"the blend holds {extra[0]!r}, whose model is not here: blend without it to predict new tables"
        )
    jobs = recorded_jobs(run, config, competition, split, competition.test.sha256)
    check_fresh(blend, jobs, config, folder)
    members, blended = _predict_members(blend, jobs, competition, table)
    filled = None
    if form is not None:
        replaced = replace(competition, sample=form, test=table)
        filled = checked_frame(config, replaced, table.ids, blended, blend["thresholds"])
    predictions = {f"{name}.test.parquet": values for name, values in members.items()} | {TEST: blended}
    _write(output, config, competition, table, blend, predictions, filled)
    print(f"{output}: {len(table.ids)} rows predicted by {len(members)} members and their blend")
    if filled is not None:
        print(f"{output / config.submission.file}: checked against the sample submission")


def _write(
    output: Path,
    config: Config,
    competition: Competition,
    table: TestTable,
    blend: dict[str, Any],
    predictions: Predictions,
    filled: pd.DataFrame | None,
) -> None:
    """Write all files, with a record that vouches for them, and take away those of an earlier call that are left."""
    names = [*predictions, *([] if filled is None else [config.submission.file]), RECORD]
    former = _former(output)
    sweep(output, below=False)
    with together(*(output / name for name in names)) as files:
        for file, values in zip(files, predictions.values(), strict=False):
            write_frame(file, table.ids, competition.targets.columns, values)
        if filled is not None:
            write_submission(files[-2], filled)
        made_of = {"blend": digest(blend), "table": table.sha256}
        write_sealed(files[-1], write_record, made_of, checksums(files[:-1]))
    for name in former - set(names):
        (output / name).unlink()


def _check_output(output: Path, run: RunDirectory, names: Sequence[str]) -> None:
    """Raise PipelineError for a folder of a run, or one with a file of these names that `predict` did not write."""
    if run.root.parent.resolve() in [output.resolve(), *output.resolve().parents]:
        raise PipelineError(f"--output {output} lies among the runs, whose files are their own: choose another folder")
    ours = _former(output) | {RECORD}
    if foreign := [name for name in names if (output / name).exists() and name not in ours]:
        raise PipelineError(f"{output / foreign[0]} exists, and predict did not write it: choose another --output")


def _former(output: Path) -> set[str]:
    """The files of an earlier call, as it wrote them: of another table's predictions a submission must not stay."""
    try:
        files = unseal(read_record(output / RECORD), output / RECORD, "")["files"]
    except PROBLEMS:
        return set()
    return {name for name in files if (output / name).is_file() and checksum(output / name) == files[name]}


def _predict_members(
    blend: dict[str, Any], jobs: Sequence[Job], competition: Competition, table: TestTable
) -> tuple[Predictions, np.ndarray]:
    """(rows, columns) of each member, in the blend's order, and of the blend: means over the folds' models.

    One fold after the other, so that what all of them predict is never in memory together.
    """
    from pipeline.fits import run_fit
    from pipeline.fits.caches import Caches

    names, columns, caches = blend["members"], len(competition.targets.columns), Caches(Path())
    needed = _needed(names, blend["folds"], jobs)
    nothing: np.ndarray = np.zeros((len(table.ids), columns))
    sums, blended, models = dict.fromkeys(names, nothing), nothing, 0
    with tqdm(total=len(needed), desc="predicting", unit="fit", disable=None, leave=False) as bar:

        def predicted(job: Job) -> Predictions:
            values = run_fit.do_predict(job, table, caches, competition.spec.task, columns)
            bar.update()
            return {job.members[pooling]: values[pooling] for pooling in values if job.members[pooling] in names}

        for slices in _by_fold(needed, predicted):
            sums = {name: sums[name] + slices[name] for name in names}
            blended = blended + apply_blend(blend, [slices[name][None] for name in names])
            models += 1
    return {name: total / models for name, total in sums.items()}, blended / models


def _needed(names: Sequence[str], folds: Sequence[int], jobs: Sequence[Job]) -> list[Job]:
    """The fits that members are made of. Raises PipelineError if one of them is not trained."""
    needed = [job for job in jobs if set(job.members.values()) & set(names) and _predicts(job, folds)]
    missing = [job for job in needed if job.state == "fit"]
    known = {member for job in needed for member in job.members.values()}
    if missing or set(names) - known:
        what = missing[0].title if missing else sorted(set(names) - known)[0]
        raise PipelineError(f"{what} is part of the blend but not trained with this config: run train, then blend")
    return needed


def _by_fold(jobs: Sequence[Job], predicted: Callable[[Job], Predictions]) -> Iterator[Predictions]:
    """What each fold's models predict; refits on every row take part in each fold."""
    by_fold: dict[int | str, list[Job]] = {}
    for job in jobs:
        by_fold.setdefault(job.fold, []).append(job)
    refits = _mean_over_seeds(by_fold.pop("all", []), predicted)
    for fits in list(by_fold.values()) or [[]]:
        yield refits | _mean_over_seeds(fits, predicted)


def _mean_over_seeds(jobs: Sequence[Job], predicted: Callable[[Job], Predictions]) -> Predictions:
    sums: Predictions = {}
    seeds: Counter[str] = Counter()
    for job in jobs:
        for name, values in predicted(job).items():
            sums[name] = sums[name] + values if seeds[name] else values
            seeds[name] += 1
    return {name: total / seeds[name] for name, total in sums.items()}


def _predicts(job: Job, folds: Sequence[int]) -> bool:
    """Whether a fit's test predictions enter its member: refits on every row where there are, fold models otherwise."""
    return job.fold == "all" if job.settings["folds"] == "all" else job.fold in folds
