"""The verb `predict`: a new test table, from saved weights to member and blend predictions, and a submission."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from oof.blend_file import apply_blend
from oof.frame import write_frame
from pipeline.blended import check_fresh, read_blended
from pipeline.competition import Competition, TestTable, check_fillable, load_competition, load_sample, load_test
from pipeline.config import Config
from pipeline.errors import PipelineError
from pipeline.files import atomic
from pipeline.job import Job
from pipeline.members import recorded_jobs
from pipeline.run_directory import run_directory
from pipeline.splits import open_folds
from pipeline.submit import checked_frame
from submissions.file import write_submission


def predict(config: Config, folder: Path, *, test: Path, output: Path, sample: Path | None = None) -> None:
    """Predict `test` with every fit that the blend uses; write `<member>.test.parquet`, `blend.test.parquet` and, with
    a sample submission, the submission into `output`."""
    competition = load_competition(config, folder)
    run = run_directory(config, folder)
    split = open_folds(run, config, competition, make=False)
    blend = read_blended(run)
    table = load_test(config.competition, test)
    form = load_sample(sample, config.competition, table) if sample else None
    if form is not None:  # before hours of predicting, not after
        check_fillable(form, competition.spec, competition.targets, table, competition.kind)
    if extra := [name for name in blend["members"] if name in config.blend.extra]:
        raise PipelineError(
            f"the blend holds {extra[0]!r}, whose model is not here: blend without it to predict new tables"
        )
    jobs = recorded_jobs(run, config, competition, split, competition.test.sha256)
    check_fresh(blend, jobs, config, folder)
    members = _predict_members(blend["members"], blend["folds"], jobs, competition, table)
    columns = competition.targets.columns
    for name, predictions in members.items():
        with atomic(output / f"{name}.test.parquet") as temporary:
            write_frame(temporary, table.ids, columns, predictions.mean(0))
    blended = apply_blend(blend, list(members.values()))
    with atomic(output / "blend.test.parquet") as temporary:
        write_frame(temporary, table.ids, columns, blended)
    print(f"{output}: {len(table.ids)} rows predicted by {len(members)} members and their blend")
    if form is not None:
        path = output / config.submission.file
        replaced = replace(competition, sample=form, test=table)
        frame = checked_frame(config, replaced, table.ids, blended, blend["thresholds"])
        with atomic(path) as temporary:
            write_submission(temporary, frame)
        print(f"{path}: checked against the sample submission")


def _predict_members(
    names: Sequence[str], folds: Sequence[int], jobs: Sequence[Job], competition: Competition, table: TestTable
) -> dict[str, np.ndarray]:
    """(fits, rows, columns) for each member, in the blend's order; the mean over seeds within each fold."""
    from pipeline import engine
    from pipeline.caches import Caches

    needed = [job for job in jobs if set(job.members.values()) & set(names) and _predicts(job, folds)]
    missing = [job for job in needed if job.state == "fit"]
    known = {member for job in needed for member in job.members.values()}
    if missing or set(names) - known:
        what = missing[0].title if missing else sorted(set(names) - known)[0]
        raise PipelineError(f"{what} is part of the blend but not trained with this config: run train, then blend")
    caches, columns = Caches(Path()), len(competition.targets.columns)
    found: dict[str, dict[int | str, list[np.ndarray]]] = {name: {} for name in names}
    for job in tqdm(needed, desc="predicting", unit="fit", disable=None, leave=False):
        for pooling, values in engine.do_predict(job, table, caches, competition.spec.task, columns).items():
            if job.members[pooling] in found:
                found[job.members[pooling]].setdefault(job.fold, []).append(values)
    return {name: np.stack([np.mean(seeds, axis=0) for seeds in by_fold.values()]) for name, by_fold in found.items()}


def _predicts(job: Job, folds: Sequence[int]) -> bool:
    """Whether a fit's test predictions enter its member: refits on every row where there are, fold models otherwise."""
    return job.fold == "all" if job.settings["folds"] == "all" else job.fold in folds
