"""The command `grade`: score a submission against a solution file."""

from pathlib import Path

import numpy as np

from oof.metrics.thresholds import prepare_for_metric
from pipeline.blending.saved_blend import read_submission_record
from pipeline.config.run_config import RunConfig
from pipeline.data.competition import load_competition
from pipeline.data.tables import read_table, require_columns
from pipeline.display import format_score, print_line
from pipeline.storage.run_directory import locate_run
from submissions.formats import list_targets
from submissions.grade import align_solution, read_truth, recover_predictions
from submissions.solution import read_solution


def grade(config: RunConfig, folder: Path, *, solution: Path, submission: Path | None = None) -> None:
    """Print the competition's metric of a submission, by default the one that `submit` wrote."""
    competition = load_competition(config.competition, config.submission, folder)
    spec, metric, sample = competition.spec, competition.metric, competition.sample
    format, known = sample.format, competition.test.submitted_ids
    path = submission or locate_run(folder, config.run).submissions / config.submission.file
    if submission is None:  # one that was edited by hand must be named
        read_submission_record(path)
    table = read_table(path, "submission")
    require_columns(table, list(sample.original.columns), path, "submission")
    answers = read_solution(read_table(solution, "solution"), sample.form, format, spec.targets, known)
    aligned = align_solution(
        sample.form.widen(table, known, "the submission", complete=True), answers.frame, id=format.id
    )
    truth = read_truth(
        answers.frame,
        id=format.id,
        task=spec.task,
        targets=list_targets(answers.frame, format.id),
        classes=format.classes,
    )
    predictions = recover_predictions(aligned, format)

    def score(rows: np.ndarray) -> str:
        value = metric.function(truth[rows], prepare_for_metric(metric, spec.task, predictions[rows]))
        return f"{format_score(value)} on {int(rows.sum())} rows"

    print_line(f"{path}: submitted {metric.name} {score(np.ones(len(truth), dtype=bool))}{_count(answers.ignored)}")
    if answers.usage is not None:
        for part in sorted(set(answers.usage), reverse=True):
            print_line(f"  {part} part: {score(answers.usage == part)}")


def _count(ignored: int) -> str:
    return f"; {ignored} rows of the solution are not scored" if ignored else ""
