"""Checks on a sample submission and on a filled one. They refuse and name the first culprit; they repair nothing."""

import reprlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from submissions import SubmissionError
from submissions.formats import listed, plain, require_kind, spelled, targets_of

ROW_SUM_TOLERANCE = 1e-3  # of probabilities; files round to four digits and more, hosts renormalize beyond that


def check_sample(sample: pd.DataFrame, id: str, test_ids: Sequence[str]) -> None:
    """Raises SubmissionError unless the sample has the id column, other columns, and each test id exactly once."""
    if id not in sample.columns:
        raise SubmissionError(
            f"the sample submission has no id column {id}; its columns are {listed(list(sample.columns))}"
        )
    if not targets_of(sample, id):
        raise SubmissionError(f"the sample submission has no column besides the id column {id}")
    same_ids(sample[id], test_ids, "the sample submission", "the test table")


def check(
    frame: pd.DataFrame, sample: pd.DataFrame, *, id: str, kind: str, task: str, classes: Sequence[str] = ()
) -> None:
    """Raises SubmissionError unless `frame` is a submission of `kind` with the sample's columns, ids and order.

    Numbers must be finite; probabilities lie in [0, 1] and sum to 1 within 1e-3 in each row of a task with one class a
    row; labels are among `classes` in the sample's spelling, 0 or 1 for multilabel. The cells may be text.
    """
    require_kind(task, kind)
    if list(frame.columns) != list(sample.columns):
        raise SubmissionError(_columns_differ(list(frame.columns), list(sample.columns)))
    same_ids(frame[id], sample[id], "the submission", "the sample submission")
    moved = frame[id].to_numpy(dtype=object) != sample[id].to_numpy(dtype=object)
    if moved.any():
        raise SubmissionError(
            f"the submission is not in the sample's order from id {plain(frame[id][moved].iloc[0])} on"
        )
    if kind == "labels":
        _check_labels(frame, sample, id=id, names=["0", "1"] if task == "multilabel" else classes)
        return
    cells = numbers(frame, id, "the submission")  # (rows, targets)
    if kind == "probabilities":
        check_probabilities(frame[id], cells, sums=task != "multilabel" and cells.shape[1] > 1)


def numbers(frame: pd.DataFrame, id: str, what: str) -> npt.NDArray[np.float64]:
    """The cells beside the id (rows, targets); SubmissionError for the first that is not a finite number."""
    targets = targets_of(frame, id)
    cells: npt.NDArray[np.float64] = frame[targets].apply(pd.to_numeric, errors="coerce").to_numpy(dtype=np.float64)
    wrong = np.argwhere(~np.isfinite(cells))
    if len(wrong):
        row, target = wrong[0][0], targets[wrong[0][1]]
        where = f"id {plain(frame[id].iloc[row])}, column {plain(target)}"
        raise SubmissionError(
            f"{what} must hold finite numbers. Got {reprlib.repr(str(frame[target].iloc[row]))} at {where} instead"
        )
    return cells


def _check_labels(frame: pd.DataFrame, sample: pd.DataFrame, *, id: str, names: Sequence[str]) -> None:
    for target in targets_of(frame, id):
        known = spelled(names, sample[target].astype(str).tolist())
        unknown = ~frame[target].astype(str).isin(known)
        if unknown.any():
            row = frame[unknown].iloc[0]
            raise SubmissionError(
                f"{plain(str(row[target]))} for id {plain(row[id])} in column {plain(target)} "
                f"is not among the labels {listed(known)}"
            )


def check_probabilities(ids: pd.Series, cells: npt.NDArray[np.float64], sums: bool) -> None:
    """Raises SubmissionError unless the cells (rows, targets) lie in [0, 1] and, with `sums`, each row sums to 1."""
    outside = np.flatnonzero(((cells < 0) | (cells > 1)).any(axis=1))
    if len(outside):
        raise SubmissionError(f"the probabilities for id {plain(ids.iloc[outside[0]])} are not all between 0 and 1")
    off = np.flatnonzero(np.abs(cells.sum(axis=1) - 1) > ROW_SUM_TOLERANCE)
    if sums and len(off):
        total = cells[off[0]].sum()
        raise SubmissionError(
            f"the probabilities for id {plain(ids.iloc[off[0]])} must sum to 1. Got {total:.6g} instead"
        )


def _columns_differ(found: list[str], wanted: list[str]) -> str:
    missing = [column for column in wanted if column not in found]
    extra = [column for column in found if column not in wanted]
    problems = [f"lacks {listed(missing)}"] if missing else []
    problems += [f"adds {listed(extra)}"] if extra else []
    return f"the submission must have the sample's columns in its order: it {' and '.join(problems) or 'reorders them'}"


def same_ids(found: pd.Series | Sequence[str], wanted: pd.Series | Sequence[str], what: str, other: str) -> None:
    """Raises SubmissionError unless both hold the same ids, each once; `what` and `other` name them in the message."""
    sides = [(pd.Index(list(found), dtype=object), what), (pd.Index(list(wanted), dtype=object), other)]
    for ids, name in sides:
        if ids.has_duplicates:
            raise SubmissionError(f"{name} has more than one row for id {plain(ids[ids.duplicated()][0])}")
    for (ids, name), (others, another) in (sides, sides[::-1]):
        lacking = others.difference(ids, sort=False)
        if len(lacking):
            raise SubmissionError(
                f"{name} has no row for id {plain(lacking[0])} of {another} ({len(lacking):,} such ids)"
            )
