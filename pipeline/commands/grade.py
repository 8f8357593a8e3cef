"""The command `grade`: score a submission against a solution file."""

from pathlib import Path

from oof.metrics.thresholds import prepare_for_metric
from pipeline.blending.saved_blend import read_submission_record
from pipeline.config.run_config import RunConfig
from pipeline.data.competition import load_competition
from pipeline.data.tables import read_ids, read_table, require_columns
from pipeline.display import format_score, print_line
from pipeline.storage.run_directory import locate_run
from submissions.grade import align_solution, read_truth, recover_predictions


def grade(config: RunConfig, folder: Path, *, solution: Path, submission: Path | None = None) -> None:
    """Print the competition's metric of a submission, by default the one that `submit` wrote."""
    competition = load_competition(config.competition, config.submission, folder)
    spec, targets, metric = competition.spec, competition.targets, competition.metric
    path = submission or locate_run(folder, config.run).submissions / config.submission.file
    if submission is None:  # one that was edited by hand must be named
        read_submission_record(path)
    answers = read_table(solution, "solution")
    read_ids(answers, spec.id, solution, "solution")
    frame = read_table(path, "submission")
    read_ids(frame, spec.id, path, "submission")
    require_columns(frame, list(competition.sample.columns), path, "submission")
    aligned = align_solution(frame, answers, id=spec.id)
    truth = read_truth(answers, id=spec.id, task=spec.task, targets=spec.targets, classes=targets.classes)
    predictions = recover_predictions(aligned, competition.submission_format)
    value = metric.function(truth, prepare_for_metric(metric, spec.task, predictions))
    print_line(f"{path}: submitted {metric.name} {format_score(value)} on {len(truth)} rows")
