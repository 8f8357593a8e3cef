"""Fill: predictions to a frame with the columns, rows and order of the sample submission, joined by id."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from submissions import SubmissionError
from submissions.check import check_sample
from submissions.formats import listed, match, require_kind, spelled, targets_of

Array = npt.NDArray[np.float64] | npt.NDArray[np.int64]


def fill(
    sample: pd.DataFrame,
    *,
    id: str,
    ids: Sequence[str],
    values: Array,
    task: str,
    kind: str,
    columns: Sequence[str],
    classes: Sequence[str] = (),
    clip: Sequence[float] | None = None,
) -> pd.DataFrame:
    """The sample submission (read as text) with its cells beside the id replaced.

    For kind probabilities and values, `values` are predictions (rows, columns) named by `columns`: P(positive) alone
    for a binary task, and grade probabilities for ordinal values, which become the expected grade. For kind labels they
    are codes (rows,) into `classes`, or 0/1 (rows, columns) for multilabel. `ids` names the rows; `classes` are the
    class names in code order; `clip` bounds values. Raises SubmissionError for what does not fit the sample.
    """
    require_kind(task, kind)
    check_sample(sample, id, ids)
    targets = targets_of(sample, id)
    place = pd.Index(np.array(ids, dtype=object)).get_indexer(pd.Index(sample[id].to_numpy(dtype=object)))
    rows = values[place]
    filled = sample.copy()
    if kind == "labels":
        cells = _labels(rows.astype(np.int64), sample, task, targets, columns, classes)
    elif kind == "probabilities":
        cells = _probabilities(rows.astype(np.float64), task, targets, columns, classes)
    else:
        cells = _values(rows.astype(np.float64), task, targets, columns, classes)
        cells = cells if clip is None else np.clip(cells, clip[0], clip[1])
    for column, target in enumerate(targets):
        filled[target] = cells[:, column]
    return filled


def _labels(
    codes: npt.NDArray[np.int64],
    sample: pd.DataFrame,
    task: str,
    targets: list[str],
    columns: Sequence[str],
    classes: Sequence[str],
) -> npt.NDArray[Any]:
    if task == "multilabel":
        codes, classes = codes[:, match(targets, columns, "the sample submission")], ["0", "1"]
    else:
        _only(targets, f"labels of task {task}")
        codes = codes[:, None]
    names = [np.array(spelled(classes, sample[target].tolist()), dtype=object) for target in targets]
    return np.stack([name[column] for name, column in zip(names, codes.T, strict=True)], axis=1)


def _probabilities(
    rows: npt.NDArray[np.float64], task: str, targets: list[str], columns: Sequence[str], classes: Sequence[str]
) -> npt.NDArray[np.float64]:
    if task != "binary":
        return rows[:, match(targets, columns, "the sample submission")]
    if len(targets) == 1:
        return rows
    return np.hstack([1 - rows, rows])[:, match(targets, classes, "the sample submission")]


def _values(
    rows: npt.NDArray[np.float64], task: str, targets: list[str], columns: Sequence[str], classes: Sequence[str]
) -> npt.NDArray[np.float64]:
    if task == "ordinal":
        _only(targets, "the expected grade")
        return (rows @ grades(classes))[:, None]
    if len(targets) == len(columns) == 1:
        return rows
    return rows[:, match(targets, columns, "the sample submission")]


def grades(classes: Sequence[str]) -> npt.NDArray[np.float64]:
    """The grades (classes,) of an ordinal task as ascending numbers; SubmissionError if they are not."""
    numbers = pd.to_numeric(pd.Series(list(classes), dtype=object), errors="coerce").to_numpy(dtype=np.float64)
    if not np.isfinite(numbers).all() or (np.diff(numbers) <= 0).any():
        raise SubmissionError(
            f"submission.kind values needs ascending numbers as grades. Got {listed(classes)} instead"
        )
    return numbers


def _only(targets: list[str], what: str) -> None:
    if len(targets) != 1:
        raise SubmissionError(
            f"{what} must fill one column, but the sample submission has {len(targets)}: {listed(targets)}"
        )
