"""The command `grade`: the score of a submission against a solution file."""

from pathlib import Path

from oof.metrics.thresholds import prepare_for_metric
from pipeline.blending.saved_blend import read_submission_record
from pipeline.config.run_config import RunConfig
from pipeline.data.competition import load_competition
from pipeline.data.tables import read_ids, read_table, require_columns
from pipeline.display import format_score
from pipeline.storage.run_directory import locate_run
from submissions.grade import align_solution, predictions_of, truth_of


def grade(config: RunConfig, folder: Path, *, solution: Path, submission: Path | None = None) -> None:
    """Print the competition's metric of a submission, by default the one that `submit` wrote."""
    competition = load_competition(config.competition, config.submission, folder)
    spec, targets, metric = competition.spec, competition.targets, competition.metric
    path = submission or locate_run(folder, config.run).submissions / config.submission.file
    if submission is None:  # one that was edited by hand must be named
        read_submission_record(path)
    answers, given = read_table(solution, "solution"), read_table(path, "submission")
    read_ids(answers, spec.id, solution, "solution")
    read_ids(given, spec.id, path, "submission")
    require_columns(given, list(competition.sample.columns), path, "submission")
    aligned = align_solution(given, answers, id=spec.id)
    truth = truth_of(answers, id=spec.id, task=spec.task, targets=spec.targets, classes=targets.classes)
    predictions = predictions_of(
        aligned, id=spec.id, task=spec.task, kind=competition.kind, columns=targets.columns, classes=targets.classes
    )
    value = metric.function(truth, prepare_for_metric(metric, spec.task, predictions))
    print(f"{path}: submitted {metric.name} {format_score(value)} on {len(truth)} rows")
