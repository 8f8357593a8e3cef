"""The verb `submit`: a checked submission file."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from models.store import digest
from oof.members.prediction_files import read_frame
from oof.metrics.thresholds import decide
from pipeline.blending.run_members import recorded_jobs
from pipeline.blending.saved_blend import TEST, blended_file, check_fresh, read_blended
from pipeline.config.run_config import Config
from pipeline.data.competition import Competition, load_competition
from pipeline.data.fold_assignment import open_folds
from pipeline.display import warn
from pipeline.errors import PipelineError
from pipeline.storage.checksums import check_file, checksums, unseal, write_sealed
from pipeline.storage.files import sweep, together
from pipeline.storage.locks import only_one
from pipeline.storage.run_directory import run_directory
from submissions.check import check
from submissions.files import read_record, write_record, write_submission
from submissions.fill import fill


def submit(config: Config, folder: Path, *, member: str | None = None) -> None:
    """Fill the sample submission with the blend's test predictions, or one member's, check it and write it."""
    competition = load_competition(config, folder)
    run = run_directory(config, folder)
    blend = read_blended(run)
    split = open_folds(run, config, competition, make=False)
    check_fresh(blend, recorded_jobs(run, config, competition, split, competition.test.sha256), config, folder)
    if blend["test_table"] != competition.test.sha256:
        raise PipelineError("the test table is not the one that was blended: train, which only predicts it, then blend")
    if member is not None and member not in blend["members"]:
        raise PipelineError(f"--member {member!r} is not in the blend; its members are {', '.join(blend['members'])}")
    source = blended_file(run, blend, f"{member}.test.parquet" if member else TEST)
    ids, predictions = read_frame(source, competition.targets.columns)
    # thresholds were chosen for the blend; a single member is decided as it stands
    thresholds = blend["thresholds"] if member is None else None
    path = run.submissions / (f"{member}.csv" if member else config.submission.file)
    frame = checked_frame(config, competition, ids, predictions, thresholds)
    record = {"of": member or "blend", "blend": digest(blend), "test_table": blend["test_table"]}
    with only_one(run.root, "submit"):
        sweep(run.submissions)
        with together(path, path.with_suffix(".json")) as (table, described):
            write_submission(table, frame)
            write_sealed(described, write_record, record, checksums([table]))
    if member is None and blend["thresholds"] and competition.kind != "labels":
        warn(
            [
                f"the submission holds {competition.kind}: the thresholds at which the blend was scored are left to "
                f"whoever decides labels from them"
            ]
        )
    if len(blend["folds"]) < len(split.numbers):
        warn([f"the blend is restricted to the models of folds {', '.join(map(str, blend['folds']))}"])
    print(f"{path}: {len(ids)} rows, {competition.kind}, checked against the sample submission")


def submission_record(path: Path) -> dict[str, Any] | None:
    """What the submission at `path` was made of; None if `submit` wrote none there.

    Raises PipelineError or SubmissionError if file or record were changed since.
    """
    record, remedy = path.with_suffix(".json"), "submit again"
    if not (path.is_file() and record.is_file()):
        return None
    sealed = unseal(read_record(record), record, remedy)
    check_file(path, path.name, sealed["files"], remedy)
    return sealed


def checked_frame(
    config: Config,
    competition: Competition,
    ids: list[str],
    predictions: np.ndarray,
    thresholds: list[float] | None,
) -> pd.DataFrame:
    """The sample submission, filled and checked. Raises SubmissionError for what the sample does not allow."""
    spec, targets = competition.spec, competition.targets
    values = decide(spec.task, predictions, thresholds) if competition.kind == "labels" else predictions
    frame = fill(
        competition.sample,
        id=spec.id,
        ids=ids,
        values=values,
        task=spec.task,
        kind=competition.kind,
        columns=targets.columns,
        classes=targets.classes,
        clip=config.submission.clip,
    )
    check(frame, competition.sample, id=spec.id, kind=competition.kind, task=spec.task, classes=targets.classes)
    return frame
