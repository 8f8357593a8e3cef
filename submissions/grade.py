"""Grading: a submission and a solution back to the truth and the predictions that a metric takes."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from submissions import SubmissionError
from submissions.check import check_probabilities, numbers, same_ids
from submissions.fill import grades
from submissions.formats import listed, match, places, plain, require_kind, targets_of


def align_solution(submission: pd.DataFrame, solution: pd.DataFrame, *, id: str) -> pd.DataFrame:
    """The submission in the order of the solution; SubmissionError unless both hold the same ids, each once."""
    for frame, what in ((submission, "the submission"), (solution, "the solution")):
        if id not in frame.columns:
            raise SubmissionError(f"{what} has no id column {id}; its columns are {listed(list(frame.columns))}")
    same_ids(submission[id], solution[id], "the submission", "the solution")
    return submission.set_index(id).loc[solution[id]].reset_index()


def truth_of(
    solution: pd.DataFrame, *, id: str, task: str, targets: Sequence[str], classes: Sequence[str] = ()
) -> npt.NDArray[np.float64] | npt.NDArray[np.int64]:
    """The truth of a solution: codes (rows,) into `classes`, 0/1 (rows, labels) or values (rows, targets)."""
    lacking = [target for target in targets if target not in solution.columns]
    if lacking:
        raise SubmissionError(
            f"the solution has no column {lacking[0]}; its columns are {listed(list(solution.columns))}"
        )
    if task in ("binary", "multiclass", "ordinal"):
        return _codes(solution, id, targets[0], classes, "the solution")
    cells = numbers(solution[[id, *targets]], id, "the solution")
    if task == "regression":
        return cells
    wrong = np.flatnonzero(~np.isin(cells, [0, 1]).all(axis=1))
    if len(wrong):
        raise SubmissionError(
            f"the solution must hold 0 or 1 per label, unlike id {plain(solution[id].iloc[wrong[0]])}"
        )
    return cells.astype(np.int64)


def predictions_of(
    submission: pd.DataFrame, *, id: str, task: str, kind: str, columns: Sequence[str], classes: Sequence[str] = ()
) -> npt.NDArray[np.float64]:
    """The predictions (rows, columns) that a submission of `kind` stands for, the inverse of `fill`.

    Labels become the certain prediction (one-hot rows, 0 or 1). An ordinal value becomes probabilities of the two
    grades around it whose expectation it is, clipped to the scale, so metrics on labels and on values both see it.
    """
    require_kind(task, kind)
    targets = targets_of(submission, id)
    if len(targets) != 1 and task != "multilabel" and (kind == "labels" or (task, kind) == ("ordinal", "values")):
        raise SubmissionError(f"the submission must have one column besides {id}. Got {listed(targets)} instead")
    if kind == "labels" and task != "multilabel":
        codes = _codes(submission, id, targets[0], classes, "the submission")
        return codes[:, None].astype(np.float64) if task == "binary" else np.eye(len(classes))[codes]
    cells = numbers(submission, id, "the submission")
    if kind == "probabilities":
        check_probabilities(submission[id], cells, sums=task != "multilabel" and len(targets) > 1)
    if task == "ordinal" and kind == "values":
        return _between_grades(cells[:, 0], grades(classes))
    if len(targets) == len(columns) == 1:
        return cells
    names = classes if task == "binary" else columns
    ordered = np.empty_like(cells)
    ordered[:, match(targets, names, "the submission")] = cells
    return ordered[:, 1:] if task == "binary" else ordered


def _codes(frame: pd.DataFrame, id: str, target: str, classes: Sequence[str], what: str) -> npt.NDArray[np.int64]:
    labels = frame[target].astype(str).tolist()
    codes = np.array(places(labels, classes), dtype=np.int64)
    unknown = np.flatnonzero(codes < 0)
    if len(unknown):
        row = unknown[0]
        raise SubmissionError(
            f"{what} has {plain(labels[row])} for id {plain(frame[id].iloc[row])}, "
            f"which is not among the labels {listed(classes)}"
        )
    return codes


def _between_grades(values: npt.NDArray[np.float64], scale: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    codes = np.arange(len(scale))
    height = np.interp(values, scale, codes)  # (rows,), between codes
    near: npt.NDArray[np.float64] = np.clip(1 - np.abs(height[:, None] - codes), 0, None)  # (rows, grades)
    return near
