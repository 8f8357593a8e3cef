"""The verb `submit`: a checked submission file."""

from pathlib import Path

import numpy as np

from oof.blend_file import read_blend
from oof.decide import decide
from oof.frame import read_frame
from pipeline.competition import Competition, load_competition
from pipeline.config import Config
from pipeline.display import warn
from pipeline.errors import PipelineError
from pipeline.files import atomic
from pipeline.members import check_fresh, recorded_jobs
from pipeline.run_directory import run_directory
from pipeline.splits import open_folds
from submissions.check import check
from submissions.file import write_submission
from submissions.fill import fill


def submit(config: Config, folder: Path, *, member: str | None = None) -> None:
    """Fill the sample submission with the blend's test predictions, or one member's, check it and write it."""
    competition = load_competition(config, folder)
    run = run_directory(config, folder)
    blend = read_blend(run.oof / "blend.json")
    split = open_folds(run, config, competition, make=False)
    check_fresh(blend, recorded_jobs(run, config, competition, split, competition.test.sha256), config)
    if blend["test_table"] != competition.test.sha256:
        raise PipelineError(
            "the test table is not the one that was blended: run train (it only predicts) and blend again"
        )
    if member is not None and member not in blend["members"]:
        raise PipelineError(f"--member {member!r} is not in the blend; its members are {', '.join(blend['members'])}")
    ids, predictions = read_frame(run.oof / f"{member or 'blend'}.test.parquet", competition.targets.columns)
    # thresholds were chosen for the blend; a single member is decided as it stands
    thresholds = blend["thresholds"] if member is None else None
    path = run.submissions / (f"{member}.csv" if member else config.submission.file)
    write_checked(path, config, competition, ids, predictions, thresholds)
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


def write_checked(
    path: Path,
    config: Config,
    competition: Competition,
    ids: list[str],
    predictions: np.ndarray,
    thresholds: list[float] | None,
) -> None:
    """Fill, check and write. Raises SubmissionError instead of writing what the sample does not allow."""
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
    with atomic(path) as temporary:
        write_submission(temporary, frame)
