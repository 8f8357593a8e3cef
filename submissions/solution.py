"""A solution as hosts give it: ids, answers, rows that are not scored, and a public and a private part."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from submissions import SubmissionError
from submissions.formats import SubmissionFormat, list_targets
from submissions.host_form import HostForm, find_id_column
from submissions.names import find_positions, format_names, normalise_name

USAGE = "usage"  # how Kaggle calls the column with the part of a row: Public, Private or Ignored
NOT_SCORED = ("-1", "-1.0")


@dataclass(frozen=True)
class Solution:
    """The rows that are scored: id and targets; `usage` (rows,) is public or private, None where there is one part."""

    frame: pd.DataFrame
    usage: np.ndarray | None
    ignored: int


def read_solution(
    table: pd.DataFrame, form: HostForm, format: SubmissionFormat, targets: Sequence[str], known: Sequence[str]
) -> Solution:
    """Return a solution (read as text) in the form of the training table, or of the sample submission.

    `targets` are the target columns of the training table; `known` the ids of the test table. A row that Usage calls
    ignored is not scored, nor one whose every answer is -1 where that is no class. Raises SubmissionError.
    """
    id = find_id_column(table, format.id, set(known)) or format.id
    usage_column = next((str(name) for name in table.columns if normalise_name(str(name)) == USAGE), None)
    answers = table if usage_column is None else table.drop(columns=usage_column)
    wide = _widen(answers.rename(columns={id: format.id}), form, format, targets, known)
    ignored = np.zeros(len(wide), dtype=bool)
    if format.task != "regression" and -1 in find_positions(NOT_SCORED, format.labels):
        ignored = wide[list_targets(wide, format.id)].isin(NOT_SCORED).all(axis=1).to_numpy()
    usage = None
    if usage_column is not None:
        ids = wide[format.id]
        parts = pd.Series(table[usage_column].to_numpy(), index=_read_ids(table, id, form, known))
        parts = parts[~parts.index.duplicated()].str.strip().str.casefold()
        usage = parts.reindex(ids).to_numpy(dtype=object)
        ignored = ignored | (usage == "ignored")
        usage = usage[~ignored]
        if unknown := sorted(set(usage) - {"public", "private"}, key=str):
            raise SubmissionError(
                f"the solution's column {usage_column} must say Public, Private or Ignored. Got {unknown[0]!r} instead"
            )
    if ignored.all():
        raise SubmissionError("the solution has no row that is scored")
    return Solution(wide[~ignored].reset_index(drop=True), usage, int(ignored.sum()))


def _widen(
    table: pd.DataFrame, form: HostForm, format: SubmissionFormat, targets: Sequence[str], known: Sequence[str]
) -> pd.DataFrame:
    """Return the id and the targets of a solution, one row for each id."""
    if format.id not in table.columns:
        raise SubmissionError(
            f"the solution has no id column {format.id}; its columns are {format_names(list(table.columns))}"
        )
    wanted = list(format.columns) if format.task == "multilabel" else list(targets)
    if all(target in table.columns for target in wanted):
        return form.rename_ids(table[[format.id, *wanted]])
    others = list_targets(table, format.id)
    if form.layout == "long" and form.value in others:
        return form.widen(table, known, "the solution")
    if len(wanted) > 1 and form.layout == "list" and len(others) == 1:
        return form.widen(table.rename(columns={others[0]: form.value}), known, "the solution")
    if len(wanted) == len(others) == 1:
        return form.rename_ids(table.rename(columns={others[0]: wanted[0]}))
    lacking = next(target for target in wanted if target not in table.columns)
    raise SubmissionError(f"the solution has no column {lacking}; its columns are {format_names(list(table.columns))}")


def _read_ids(table: pd.DataFrame, id: str, form: HostForm, known: Sequence[str]) -> list[str]:
    """Return the test id of each row of the host's table."""
    ids = form.rename_ids(table.rename(columns={id: form.id}))[form.id].tolist()
    if form.layout != "long" or form.value not in table.columns or form.key is not None:
        return ids
    return [form.read_long_id(name, set(known)) for name in ids]
