"""Checks of a sample submission and of a filled one. They refuse and name the first problem; they repair nothing."""

import reprlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from submissions import SubmissionError
from submissions.formats import SubmissionFormat, list_targets, read_answers, require_kind
from submissions.names import format_name, format_names, spell_classes

ROW_SUM_TOLERANCE = 1e-3  # of probabilities; files round to four digits and more, hosts renormalise beyond that


def check_sample(sample: pd.DataFrame, id: str, test_ids: Sequence[str]) -> None:
    """Raise SubmissionError unless the sample has the id column, other columns, and ids of the test table, each once.

    It may lack test ids: the sample decides which rows are submitted.
    """
    if id not in sample.columns:
        raise SubmissionError(
            f"the sample submission has no id column {id}; its columns are {format_names(list(sample.columns))}"
        )
    if not list_targets(sample, id):
        raise SubmissionError(f"the sample submission has no column besides the id column {id}")
    check_ids_among(sample[id], test_ids, "the sample submission", "the test table")


def check_submission(frame: pd.DataFrame, sample: pd.DataFrame, format: SubmissionFormat) -> None:
    """Raise SubmissionError unless `frame` is a submission of this format with the sample's columns, ids and order.

    Numbers must be finite; probabilities lie in [0, 1] and sum to 1 within 1e-3 in each row of a task with one class a
    row; labels are classes in the sample's spelling, 0 or 1 for multilabel. The cells may be text.
    """
    require_kind(format.task, format.kind)
    if list(frame.columns) != list(sample.columns):
        raise SubmissionError(_describe_columns(list(frame.columns), list(sample.columns)))
    ids = frame[format.id]
    check_same_ids(ids, sample[format.id], "the submission", "the sample submission")
    moved = ids.to_numpy(dtype=object) != sample[format.id].to_numpy(dtype=object)
    if moved.any():
        raise SubmissionError(
            f"the submission is not in the sample's order from id {format_name(ids[moved].iloc[0])} on"
        )
    if format.kind == "labels":
        _check_labels(frame, sample, format)
        return
    if format.kind == "ranked":
        _check_ranked(frame, sample, format)
        return
    cells = parse_numbers(frame, format.id, "the submission")  # (rows, targets)
    if format.kind == "probabilities":
        check_probabilities(ids, cells, sums=format.task != "multilabel" and cells.shape[1] > 1)


def check_ids_among(ids: pd.Series | Sequence[str], known: Sequence[str], owner: str, other: str) -> None:
    """Raise SubmissionError unless `ids` are among `known`, each once; `owner` and `other` name them."""
    index, known_index = _index_ids(ids, owner), _index_ids(known, other)
    _refuse_missing(index, known_index, owner, other)


def check_same_ids(ids: pd.Series | Sequence[str], wanted: pd.Series | Sequence[str], owner: str, other: str) -> None:
    """Raise SubmissionError unless both hold the same ids, each once; `owner` and `other` name them in the message."""
    index, wanted_index = _index_ids(ids, owner), _index_ids(wanted, other)
    _refuse_missing(wanted_index, index, other, owner)
    _refuse_missing(index, wanted_index, owner, other)


def _index_ids(ids: pd.Series | Sequence[str], owner: str) -> "pd.Index[str]":
    """Return ids as an index. Raises SubmissionError for one that is there twice."""
    index: pd.Index[str] = pd.Index(list(ids), dtype=object)
    if index.has_duplicates:
        raise SubmissionError(f"{owner} has more than one row for id {format_name(index[index.duplicated()][0])}")
    return index


def _refuse_missing(ids: "pd.Index[str]", known: "pd.Index[str]", owner: str, other: str) -> None:
    """Raise SubmissionError for an id of `owner` that `other` lacks."""
    missing = ids.difference(known, sort=False)
    if len(missing):
        raise SubmissionError(
            f"{other} has no row for id {format_name(missing[0])} of {owner} ({len(missing):,} such ids)"
        )


def parse_numbers(frame: pd.DataFrame, id: str, owner: str) -> npt.NDArray[np.float64]:
    """Return the cells except the id (rows, targets); SubmissionError for the first that is not a finite number."""
    targets = list_targets(frame, id)
    cells: npt.NDArray[np.float64] = frame[targets].apply(pd.to_numeric, errors="coerce").to_numpy(dtype=np.float64)
    wrong = np.argwhere(~np.isfinite(cells))
    if len(wrong):
        row, column = wrong[0]
        target = targets[column]
        where = f"id {format_name(frame[id].iloc[row])}, column {format_name(target)}"
        raise SubmissionError(
            f"{owner} must hold finite numbers. Got {reprlib.repr(str(frame[target].iloc[row]))} at {where} instead"
        )
    return cells


def check_probabilities(ids: pd.Series, cells: npt.NDArray[np.float64], sums: bool) -> None:
    """Raise SubmissionError unless the cells (rows, targets) lie in [0, 1] and, with `sums`, each row sums to 1."""
    outside = np.flatnonzero(((cells < 0) | (cells > 1)).any(axis=1))
    if len(outside):
        id = format_name(ids.iloc[outside[0]])
        raise SubmissionError(f"the probabilities for id {id} are not all between 0 and 1")
    off = np.flatnonzero(np.abs(cells.sum(axis=1) - 1) > ROW_SUM_TOLERANCE)
    if sums and len(off):
        id = format_name(ids.iloc[off[0]])
        total = cells[off[0]].sum()
        raise SubmissionError(f"the probabilities for id {id} must sum to 1. Got {total:.6g} instead")


def _check_labels(frame: pd.DataFrame, sample: pd.DataFrame, format: SubmissionFormat) -> None:
    for target in list_targets(frame, format.id):
        labels = spell_classes(format.labels, sample[target].astype(str).tolist())
        unknown = ~frame[target].astype(str).isin(labels)
        if unknown.any():
            row = frame[unknown].iloc[0]
            raise SubmissionError(
                f"{format_name(str(row[target]))} for id {format_name(row[format.id])} in column {format_name(target)} "
                f"is not among the labels {format_names(labels)}"
            )


def _check_ranked(frame: pd.DataFrame, sample: pd.DataFrame, format: SubmissionFormat) -> None:
    """Raise SubmissionError unless each cell holds different classes, one to `format.answers` of them."""
    [target] = list_targets(frame, format.id)
    cells = frame[target].astype(str).tolist()
    for id, cell, answers in zip(
        frame[format.id], cells, read_answers(cells, format.separator, format.classes), strict=True
    ):
        where = f"id {format_name(id)}, column {format_name(target)}"
        for name, position in answers:
            if position < 0:
                known = format_names(format.classes)
                raise SubmissionError(f"{format_name(name)} at {where} is not among the classes {known}")
        if not 0 < len(answers) <= format.answers or len({place for _, place in answers}) < len(answers):
            raise SubmissionError(f"{format_name(cell)} at {where} must hold one to {format.answers} different classes")


def _describe_columns(columns: list[str], wanted: list[str]) -> str:
    missing = [column for column in wanted if column not in columns]
    extra = [column for column in columns if column not in wanted]
    problems = [f"lacks {format_names(missing)}"] if missing else []
    if extra:
        problems.append(f"adds {format_names(extra)}")
    return f"the submission must have the sample's columns in its order: it {' and '.join(problems) or 'reorders them'}"
