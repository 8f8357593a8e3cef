"""The command `submit`: a checked submission file."""

from pathlib import Path

from models.store import digest
from oof.members.prediction_files import read_predictions
from pipeline.blending.saved_blend import TEST, check_blend_file, check_fresh, read_saved_blend
from pipeline.config.run_config import RunConfig
from pipeline.data.sample_submission import fill_checked
from pipeline.display import print_line, print_warnings
from pipeline.errors import PipelineError
from pipeline.fits.open_run import open_run
from pipeline.storage.checksums import compute_checksums, write_sealed
from pipeline.storage.files import remove_temporaries, write_together
from pipeline.storage.locks import hold_lock
from submissions.files import write_record, write_submission


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
    sample, clip = competition.sample, run.submission.clip
    if ids != competition.test.ids:
        raise PipelineError(f"{source} holds other rows than the test table: blend again")
    test = competition.test
    frame = fill_checked(sample, test.submitted_ids, test.average_rows(predictions), thresholds=thresholds, clip=clip)
    record = {"of": member or "blend", "blend": digest(blend.to_json()), "test_table": blend.test_table}
    with hold_lock(run.directory.root, "submit"):
        remove_temporaries(run.directory.submissions)
        with write_together(path, path.with_suffix(".json")) as (table, described):
            write_submission(table, frame)
            write_sealed(described, write_record, record, compute_checksums([table]))
    if member is None and blend.thresholds and sample.format.kind != "labels":
        print_warnings(
            [f"the submission holds {sample.description}: the thresholds at which the blend was scored are not applied"]
        )
    if len(blend.folds) < len(run.split.numbers):
        print_warnings([f"the blend is restricted to the models of folds {', '.join(map(str, blend.folds))}"])
    print_line(f"{path}: {len(frame)} rows, {sample.description}; checked against the sample submission")
