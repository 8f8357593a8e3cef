"""Grading: from a submission and a solution back to the predictions and the truth that a metric takes."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from submissions import SubmissionError
from submissions.check import check_ids_among, check_probabilities, parse_numbers
from submissions.fill import FloatArray, IntArray, parse_grades
from submissions.formats import SubmissionFormat, list_targets, read_answers, require_kind
from submissions.names import find_positions, format_name, format_names, match_names


def align_solution(submission: pd.DataFrame, solution: pd.DataFrame, *, id: str) -> pd.DataFrame:
    """Return the rows of the submission that are scored, in the order of the solution.

    Raises SubmissionError unless the solution's ids are among those of the submission, each once in both.
    """
    for frame, owner in ((submission, "the submission"), (solution, "the solution")):
        if id not in frame.columns:
            raise SubmissionError(f"{owner} has no id column {id}; its columns are {format_names(list(frame.columns))}")
    check_ids_among(solution[id], submission[id].tolist(), "the solution", "the submission")
    return submission.set_index(id).loc[solution[id]].reset_index()


def read_truth(
    solution: pd.DataFrame, *, id: str, task: str, targets: Sequence[str], classes: Sequence[str] = ()
) -> FloatArray | IntArray:
    """Return the truth of a solution: codes (rows,) of `classes`, 0/1 (rows, labels) or values (rows, targets)."""
    lacking = [target for target in targets if target not in solution.columns]
    if lacking:
        raise SubmissionError(
            f"the solution has no column {lacking[0]}; its columns are {format_names(list(solution.columns))}"
        )
    if task == "multiclass" and len(targets) > 1:
        cells = parse_numbers(solution[[id, *targets]], id, "the solution")
        wrong = np.flatnonzero(~np.isin(cells, [0, 1]).all(axis=1) | (cells.sum(axis=1) != 1))
        if len(wrong):
            raise SubmissionError(
                f"the solution must hold one 1 in each row, unlike id {format_name(solution[id].iloc[wrong[0]])}"
            )
        codes: IntArray = cells.argmax(axis=1).astype(np.int64)
        return codes
    if task in ("binary", "multiclass", "ordinal"):
        return _encode_labels(solution, id, targets[0], classes, "the solution")
    cells = parse_numbers(solution[[id, *targets]], id, "the solution")
    if task == "regression":
        return cells
    wrong = np.flatnonzero(~np.isin(cells, [0, 1]).all(axis=1))
    if len(wrong):
        raise SubmissionError(
            f"the solution must hold 0 or 1 per label, unlike id {format_name(solution[id].iloc[wrong[0]])}"
        )
    return cells.astype(np.int64)


def recover_predictions(submission: pd.DataFrame, format: SubmissionFormat) -> FloatArray:
    """Return the predictions (rows, columns) that a submission stands for, the inverse of `fill_sample`.

    Labels become the certain prediction (one-hot rows, 0 or 1). Ranked classes become falling numbers, and -inf where a
    cell does not name the class: a metric of the best classes gives no credit for it. An ordinal value becomes
    probabilities of the two grades around it whose expectation it is, clipped to the scale, so metrics on labels and on
    values both use it.
    """
    require_kind(format.task, format.kind)
    task = format.task
    targets = list_targets(submission, format.id)
    one_column = format.kind in ("labels", "ranked") or (task == "ordinal" and format.kind == "values")
    if one_column and task != "multilabel" and len(targets) != 1:
        raise SubmissionError(
            f"the submission must have one column besides {format.id}. Got {format_names(targets)} instead"
        )
    if format.kind == "labels" and task != "multilabel":
        codes = _encode_labels(submission, format.id, targets[0], format.classes, "the submission")
        return codes[:, None].astype(np.float64) if task == "binary" else np.eye(len(format.classes))[codes]
    if format.kind == "ranked":
        return _read_ranked(submission, targets[0], format)
    cells = parse_numbers(submission, format.id, "the submission")
    if format.kind == "probabilities":
        check_probabilities(submission[format.id], cells, sums=task != "multilabel" and len(targets) > 1)
    if task == "ordinal" and format.kind == "values":
        return _interpolate_grades(cells[:, 0], parse_grades(format.classes))
    if len(targets) == len(format.columns) == 1:
        return 1 - cells if format.is_negative_column(targets[0]) else cells
    names = format.classes if task == "binary" else format.columns
    ordered = np.empty_like(cells)
    ordered[:, match_names(targets, names, "the submission")] = cells
    return ordered[:, 1:] if task == "binary" else ordered


def _encode_labels(frame: pd.DataFrame, id: str, target: str, classes: Sequence[str], owner: str) -> IntArray:
    """Return the code of each label (rows,); SubmissionError for a label that is no class."""
    labels = frame[target].astype(str).tolist()
    codes = np.array(find_positions(labels, classes), dtype=np.int64)
    unknown = np.flatnonzero(codes < 0)
    if len(unknown):
        row = unknown[0]
        raise SubmissionError(
            f"{owner} has {format_name(labels[row])} for id {format_name(frame[id].iloc[row])}, "
            f"which is not among the labels {format_names(classes)}"
        )
    return codes


def _read_ranked(frame: pd.DataFrame, target: str, format: SubmissionFormat) -> FloatArray:
    """Return (rows, classes): the number of answers from its place on for a class that a cell names, else -inf."""
    ranks = np.full((len(frame), len(format.classes)), -np.inf)
    for row, answers in enumerate(read_answers(frame[target].astype(str).tolist(), format.separator, format.classes)):
        for place, (name, position) in reversed(list(enumerate(answers))):  # one named twice counts where it is first
            if position < 0:
                raise SubmissionError(
                    f"the submission has {format_name(name)} for id {format_name(str(frame[format.id].iloc[row]))}, "
                    f"which is not among the classes {format_names(format.classes)}"
                )
            ranks[row, position] = len(answers) - place
    return ranks


def _interpolate_grades(values: FloatArray, grades: FloatArray) -> FloatArray:
    """Return probabilities of the grades (rows, grades) whose expectation is the value, of two neighbours at most."""
    codes = np.arange(len(grades))
    position = np.interp(values, grades, codes)  # (rows,), between codes
    probabilities: npt.NDArray[np.float64] = np.clip(1 - np.abs(position[:, None] - codes), 0, None)
    return probabilities
