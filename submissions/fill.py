"""Fill the sample submission: predictions to a frame with its columns, rows and order, joined by id."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from submissions import SubmissionError
from submissions.check import check_sample
from submissions.formats import SubmissionFormat, list_targets, require_kind, split_cell
from submissions.names import format_names, match_names, spell_classes

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

SAMPLE = "the sample submission"


def fill_sample(
    sample: pd.DataFrame,
    format: SubmissionFormat,
    *,
    ids: Sequence[str],
    values: FloatArray | IntArray,
    clip: Sequence[float] | None = None,
) -> pd.DataFrame:
    """Return the sample submission (read as text) with all cells except the ids replaced.

    For kinds probabilities, ranked and values, `values` are predictions (rows, columns): P(positive) alone for a binary
    task, and grade probabilities for ordinal values, which become the expected grade. For kind labels they are codes
    (rows,) of the classes, or 0/1 (rows, columns) for multilabel. `ids` names the rows; `clip` bounds cells of kind
    values. Raises SubmissionError for what does not fit the sample.
    """
    require_kind(format.task, format.kind)
    check_sample(sample, format.id, ids)
    targets = list_targets(sample, format.id)
    position = pd.Index(np.array(ids, dtype=object)).get_indexer(pd.Index(sample[format.id].to_numpy(dtype=object)))
    rows = values[position]
    if format.kind == "labels":
        cells = _fill_labels(rows.astype(np.int64), format, sample, targets)
    elif format.kind == "ranked":
        cells = _fill_ranked(rows.astype(np.float64), format, sample, targets)
    elif format.kind == "probabilities":
        cells = _fill_probabilities(rows.astype(np.float64), format, targets)
    else:
        cells = _fill_values(rows.astype(np.float64), format, targets)
        cells = cells if clip is None else np.clip(cells, clip[0], clip[1])
    filled = sample.copy()
    for column, target in enumerate(targets):
        filled[target] = cells[:, column]
    return filled


def parse_grades(classes: Sequence[str]) -> FloatArray:
    """Return the grades (classes,) of an ordinal task as numbers; SubmissionError unless they ascend."""
    grades = pd.to_numeric(pd.Series(list(classes), dtype=object), errors="coerce").to_numpy(dtype=np.float64)
    if not np.isfinite(grades).all() or (np.diff(grades) <= 0).any():
        raise SubmissionError(
            f"submission.kind values needs ascending numbers as grades. Got {format_names(classes)} instead"
        )
    return grades


def _fill_labels(
    codes: IntArray, format: SubmissionFormat, sample: pd.DataFrame, targets: list[str]
) -> npt.NDArray[Any]:
    if format.task == "multilabel":
        codes = codes[:, match_names(targets, format.columns, SAMPLE)]
    else:
        _require_one_target(targets, f"labels of task {format.task}")
        codes = codes[:, None]
    cells = []
    for target, column in zip(targets, codes.T, strict=True):
        labels = np.array(spell_classes(format.labels, sample[target].tolist()), dtype=object)
        cells.append(labels[column])
    return np.stack(cells, axis=1)


def _fill_ranked(
    rows: FloatArray, format: SubmissionFormat, sample: pd.DataFrame, targets: list[str]
) -> npt.NDArray[Any]:
    """Return the most probable classes of each row, best first; equal ones in the order of the columns."""
    _require_one_target(targets, "the best classes of each row")
    shown = [name for cell in sample[targets[0]] for name in split_cell(cell, format.separator)]
    spelled = np.array(spell_classes(format.classes, shown), dtype=object)
    best = np.argsort(-rows, axis=1, kind="stable")[:, : format.answers]
    return np.array([[format.separator.join(names)] for names in spelled[best]], dtype=object)


def _fill_probabilities(rows: FloatArray, format: SubmissionFormat, targets: list[str]) -> FloatArray:
    if format.task != "binary":
        return rows[:, match_names(targets, format.columns, SAMPLE)]
    if len(targets) == 1:
        return 1 - rows if format.is_negative_column(targets[0]) else rows
    return np.hstack([1 - rows, rows])[:, match_names(targets, format.classes, SAMPLE)]


def _fill_values(rows: FloatArray, format: SubmissionFormat, targets: list[str]) -> FloatArray:
    if format.task == "ordinal":
        _require_one_target(targets, "the expected grade")
        return (rows @ parse_grades(format.classes))[:, None]
    if len(targets) == len(format.columns) == 1:
        return rows
    return rows[:, match_names(targets, format.columns, SAMPLE)]


def _require_one_target(targets: list[str], content: str) -> None:
    if len(targets) != 1:
        raise SubmissionError(
            f"{content} must fill one column, but the sample submission has {len(targets)}: {format_names(targets)}"
        )
