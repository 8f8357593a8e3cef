"""The command `predict`: a new test table, from saved weights to predictions and a submission."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from models.store import digest
from oof.blends.blend_file import SavedBlend, apply_blend
from oof.members.prediction_files import write_predictions
from pipeline.blending.saved_blend import TEST, check_fresh, read_saved_blend
from pipeline.config.run_config import RunConfig
from pipeline.data.competition import Competition, TestTable, load_test
from pipeline.data.sample_submission import fill_checked, read_sample
from pipeline.data.tables import read_table
from pipeline.display import print_line, print_warnings
from pipeline.errors import PROBLEMS, PipelineError
from pipeline.fits.caches import Caches
from pipeline.fits.job import Job
from pipeline.fits.open_run import OpenRun, open_run
from pipeline.fits.run_fit import predict_job
from pipeline.storage.checksums import compute_checksum, compute_checksums, verify_sealed, write_sealed
from pipeline.storage.files import remove_temporaries, write_together
from pipeline.storage.run_directory import RunDirectory
from submissions.files import read_record, write_record, write_submission

RECORD = "predictions.json"
Predictions = dict[str, np.ndarray]  # (rows, columns) by member


def predict(config: RunConfig, folder: Path, *, test: Path, output: Path, sample: Path | None = None) -> None:
    """Predict `test` with every fit that the blend uses.

    Writes `<member>.test.parquet`, `blend.test.parquet` and, with a sample submission, the submission into `output`.
    """
    run = open_run(config, folder)
    competition = run.competition
    blend = read_saved_blend(run.directory)
    table = load_test(competition.spec, test)
    names = [f"{name}.test.parquet" for name in blend.members] + [TEST, RECORD]
    if sample is not None:
        names.append(run.submission.file)
    _check_output(output, run.directory, names)
    print_warnings(table.warnings)
    known = len(set(table.ids) & set(competition.ids))
    if known:
        print_warnings([f"{known} of the {len(table.ids)} ids are training rows: the models predict them too well"])
    form = None
    if sample is not None:  # before hours of predicting, not after
        submission = run.submission.model_copy(update={"kind": competition.sample.format.kind})
        original = read_table(sample, "sample submission")
        form = read_sample(
            original, competition.spec, submission, competition.targets, competition.metric, table.submitted_ids
        )
        print_warnings(form.list_warnings(sample, competition.spec.id))
    external = [name for name in blend.members if name in run.blend.extra]
    if external:
        raise PipelineError(
            f"the blend holds {external[0]!r}, whose model is not here: blend without it to predict new tables"
        )
    check_fresh(run, blend)
    members, blended = _predict_members(blend, run.jobs, competition, table)
    filled = None
    if form is not None:
        averaged = table.average_rows(blended)
        filled = fill_checked(
            form, table.submitted_ids, averaged, thresholds=blend.thresholds, clip=run.submission.clip
        )
    predictions = {f"{name}.test.parquet": values for name, values in members.items()} | {TEST: blended}
    _write(output, run, table, blend, predictions, filled)
    print_line(f"{output}: {len(table.ids)} rows predicted by {len(members)} members and their blend")
    if form is not None:
        print_line(f"{output / run.submission.file}: {form.description}; checked against the sample submission")


def _write(
    output: Path,
    run: OpenRun,
    table: TestTable,
    blend: SavedBlend,
    predictions: Predictions,
    filled: pd.DataFrame | None,
) -> None:
    """Write all files with a record of their checksums, and remove those of an earlier call that are left."""
    names = [*predictions, *([] if filled is None else [run.submission.file]), RECORD]
    former = _list_former_files(output)
    remove_temporaries(output, below=False)
    with write_together(*(output / name for name in names)) as files:
        for file, values in zip(files, predictions.values(), strict=False):
            write_predictions(file, table.ids, run.competition.targets.columns, values)
        if filled is not None:
            write_submission(files[-2], filled)
        made_of = {"blend": digest(blend.to_json()), "table": table.sha256}
        write_sealed(files[-1], write_record, made_of, compute_checksums(files[:-1]))
    for name in former - set(names):
        (output / name).unlink()


def _check_output(output: Path, run: RunDirectory, names: Sequence[str]) -> None:
    """Raise PipelineError for a folder of a run, or one with a file of these names that `predict` did not write."""
    if run.root.parent.resolve() in [output.resolve(), *output.resolve().parents]:
        raise PipelineError(f"--output {output} is inside the folder of the runs: choose another folder")
    ours = _list_former_files(output) | {RECORD}
    foreign = [name for name in names if (output / name).exists() and name not in ours]
    if foreign:
        raise PipelineError(f"{output / foreign[0]} exists, and predict did not write it: choose another --output")


def _list_former_files(output: Path) -> set[str]:
    """Return unchanged files of an earlier call: its submission must not stay beside predictions of another table."""
    try:
        files = verify_sealed(read_record(output / RECORD), output / RECORD, "")["files"]
    except PROBLEMS:
        return set()
    return {name for name in files if (output / name).is_file() and compute_checksum(output / name) == files[name]}


def _predict_members(
    blend: SavedBlend, jobs: Sequence[Job], competition: Competition, table: TestTable
) -> tuple[Predictions, np.ndarray]:
    """Return predictions (rows, columns) of each member and of the blend: means over the folds' models.

    Folds are predicted one after the other, so that memory holds the predictions of one fold only.
    """
    names, columns, caches = blend.members, len(competition.targets.columns), Caches(Path())
    needed = _select_fits(names, blend.folds, jobs)
    nothing: np.ndarray = np.zeros((len(table.ids), columns))
    sums, blended, models = dict.fromkeys(names, nothing), nothing, 0
    with tqdm(total=len(needed), desc="predicting", unit="fit", disable=None, leave=False) as bar:

        def predicted(job: Job) -> Predictions:
            values = predict_job(job, table, caches, competition.spec.task, columns)
            bar.update()
            return {job.members[pooling]: values[pooling] for pooling in values if job.members[pooling] in names}

        for slices in _predict_by_fold(needed, predicted):
            sums = {name: sums[name] + slices[name] for name in names}
            blended = blended + apply_blend(blend, [slices[name][None] for name in names])
            models += 1
    return {name: total / models for name, total in sums.items()}, blended / models


def _select_fits(names: Sequence[str], folds: Sequence[int], jobs: Sequence[Job]) -> list[Job]:
    """Return the fits that members are made of. Raises PipelineError if one of them is not trained."""
    needed = [job for job in jobs if set(job.members.values()) & set(names) and _is_used(job, folds)]
    missing = [job for job in needed if job.state == "fit"]
    known = {member for job in needed for member in job.members.values()}
    if missing or set(names) - known:
        what = missing[0].title if missing else sorted(set(names) - known)[0]
        raise PipelineError(f"{what} is part of the blend but not trained with this config: run train, then blend")
    return needed


def _predict_by_fold(jobs: Sequence[Job], predicted: Callable[[Job], Predictions]) -> Iterator[Predictions]:
    """Yield the predictions of each fold's models; fits on every row take part in each fold."""
    by_fold: dict[int | str, list[Job]] = {}
    for job in jobs:
        by_fold.setdefault(job.fold, []).append(job)
    refits = _average_over_seeds(by_fold.pop("all", []), predicted)
    for fits in list(by_fold.values()) or [[]]:
        yield refits | _average_over_seeds(fits, predicted)


def _average_over_seeds(jobs: Sequence[Job], predicted: Callable[[Job], Predictions]) -> Predictions:
    sums: Predictions = {}
    seeds: Counter[str] = Counter()
    for job in jobs:
        for name, values in predicted(job).items():
            sums[name] = sums[name] + values if seeds[name] else values
            seeds[name] += 1
    return {name: total / seeds[name] for name, total in sums.items()}


def _is_used(job: Job, folds: Sequence[int]) -> bool:
    """Return True if a fit predicts test rows for its member: fits on every row for `folds: all`, else fold models."""
    return job.fold == "all" if job.settings.folds == "all" else job.fold in folds
