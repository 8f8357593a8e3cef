"""The command `submit`: a checked submission file."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from models.store import digest
from oof.members.prediction_files import read_predictions
from oof.metrics.thresholds import decide_labels
from pipeline.blending.saved_blend import TEST, check_blend_file, check_fresh, read_saved_blend
from pipeline.config.run_config import RunConfig
from pipeline.data.competition import Competition
from pipeline.display import print_line, print_warnings
from pipeline.errors import PipelineError
from pipeline.fits.open_run import open_run
from pipeline.storage.checksums import compute_checksums, write_sealed
from pipeline.storage.files import remove_temporaries, write_together
from pipeline.storage.locks import hold_lock
from submissions.check import check_submission
from submissions.files import write_record, write_submission
from submissions.fill import fill_sample
from submissions.spec import SubmissionSpec


def submit(config: RunConfig, folder: Path, *, member: str | None = None) -> None:
    """Fill the sample submission with the blend's test predictions, or one member's, check it and write it."""
    run = open_run(config, folder)
    competition = run.competition
    blend = read_saved_blend(run.directory)
    check_fresh(run, blend)
    if blend.test_table != competition.test.sha256:
        raise PipelineError("the test table is not the one that was blended: train, which only predicts it, then blend")
    if member is not None and member not in blend.members:
        raise PipelineError(f"--member {member!r} is not in the blend; its members are {', '.join(blend.members)}")
    source = check_blend_file(run.directory, blend, f"{member}.test.parquet" if member else TEST)
    ids, predictions = read_predictions(source, competition.targets.columns)
    # thresholds were chosen for the blend; a single member is decided by the default ones
    thresholds = blend.thresholds if member is None else None
    path = run.directory.submissions / (f"{member}.csv" if member else run.submission.file)
    frame = fill_checked(competition, run.submission, ids, predictions, thresholds)
    record = {"of": member or "blend", "blend": digest(blend.to_json()), "test_table": blend.test_table}
    with hold_lock(run.directory.root, "submit"):
        remove_temporaries(run.directory.submissions)
        with write_together(path, path.with_suffix(".json")) as (table, described):
            write_submission(table, frame)
            write_sealed(described, write_record, record, compute_checksums([table]))
    if member is None and blend.thresholds and competition.kind != "labels":
        print_warnings(
            [f"the submission holds {competition.kind}: the thresholds at which the blend was scored are not applied"]
        )
    if len(blend.folds) < len(run.split.numbers):
        print_warnings([f"the blend is restricted to the models of folds {', '.join(map(str, blend.folds))}"])
    print_line(f"{path}: {len(ids)} rows, {competition.kind}, checked against the sample submission")


def fill_checked(
    competition: Competition,
    submission: SubmissionSpec,
    ids: list[str],
    predictions: np.ndarray,
    thresholds: Sequence[float] | None,
) -> pd.DataFrame:
    """Return the sample submission, filled and checked. Raises SubmissionError for what the sample does not allow."""
    task = competition.spec.task
    values = decide_labels(task, predictions, thresholds) if competition.kind == "labels" else predictions
    format = competition.submission_format
    frame = fill_sample(competition.sample, format, ids=ids, values=values, clip=submission.clip)
    check_submission(frame, competition.sample, format)
    return frame
