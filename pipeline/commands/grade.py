"""The verb `grade`: the score of a submission against a solution file."""

from pathlib import Path

from oof.metrics.thresholds import judged
from pipeline.commands.submit import submission_record
from pipeline.config.run_config import Config
from pipeline.data.competition import load_competition
from pipeline.data.tables import need_columns, read_table, row_ids
from pipeline.display import number
from pipeline.storage.run_directory import run_directory
from submissions.grade import align_solution, predictions_of, truth_of


def grade(config: Config, folder: Path, *, solution: Path, submission: Path | None = None) -> None:
    """Print the competition's metric of a submission, by default the one that `submit` wrote."""
    competition = load_competition(config, folder)
    spec, targets, metric = competition.spec, competition.targets, competition.metric
    path = submission or run_directory(config, folder).submissions / config.submission.file
    if submission is None:  # one that was edited by hand must be named
        submission_record(path)
    answers, given = read_table(solution, "solution"), read_table(path, "submission")
    row_ids(answers, spec.id, solution, "solution")
    row_ids(given, spec.id, path, "submission")
    need_columns(given, list(competition.sample.columns), path, "submission")
    aligned = align_solution(given, answers, id=spec.id)
    truth = truth_of(answers, id=spec.id, task=spec.task, targets=spec.targets, classes=targets.classes)
    predictions = predictions_of(
        aligned, id=spec.id, task=spec.task, kind=competition.kind, columns=targets.columns, classes=targets.classes
    )
    value = metric.function(truth, judged(metric, spec.task, predictions))
    print(f"{path}: submitted {metric.name} {number(value)} on {len(truth)} rows")
