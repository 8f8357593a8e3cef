"""A solution as hosts give it: ids, answers, rows that are not scored, and a public and a private part."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from submissions import SubmissionError
from submissions.formats import SubmissionFormat, list_targets
from submissions.host_form import HostForm, find_id_column
from submissions.names import find_positions, format_name, format_names, normalise_name, read_answer

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
        parts = parts.str.strip().str.casefold()
        mixed = parts.groupby(parts.index).nunique() > 1
        if mixed.any():
            raise SubmissionError(
                f"the rows of id {format_name(str(mixed.idxmax()))} are in several parts of the solution's "
                f"{usage_column}: the metric is computed on whole ids"
            )
        parts = parts[~parts.index.duplicated()]
        usage = parts.reindex(ids).to_numpy(dtype=object)
        ignored = ignored | (usage == "ignored")
        usage = usage[~ignored]
        if unknown := sorted(set(usage) - {"public", "private"}, key=str):
            raise SubmissionError(
                f"the solution's column {usage_column} must say Public, Private or Ignored. Got {unknown[0]!r} instead"
            )
    if ignored.all():
        raise SubmissionError("the solution has no row that is scored")
    return Solution(_harden_shares(wide[~ignored].reset_index(drop=True), format), usage, int(ignored.sum()))


def _widen(
    table: pd.DataFrame, form: HostForm, format: SubmissionFormat, targets: Sequence[str], known: Sequence[str]
) -> pd.DataFrame:
    """Return the id and the targets of a solution, one row for each id."""
    if format.id not in table.columns:
        raise SubmissionError(
            f"the solution has no id column {format.id}; its columns are {format_names(list(table.columns))}"
        )
    wanted = list(format.columns) if format.task == "multilabel" else list(targets)
    others = list_targets(table, format.id)
    if all(target in table.columns for target in wanted):
        return form.rename_ids(table[[format.id, *wanted]])
    if form.layout == "long" and form.value in others:
        return form.widen(table, known, "the solution", complete=True)
    if len(wanted) > 1 and form.layout == "list" and len(others) == 1:
        return form.widen(table.rename(columns={others[0]: form.value}), known, "the solution")
    positions = find_positions(others, wanted)
    if set(range(len(wanted))) <= set(positions):  # in another case
        named = {name: wanted[place] for name, place in zip(others, positions, strict=True) if place >= 0}
        return form.rename_ids(table.rename(columns=named)[[format.id, *wanted]])
    if format.task in ("binary", "multiclass", "ordinal"):
        labels = _read_class_columns(table[others], format)
        if labels is not None:
            return form.rename_ids(pd.DataFrame({format.id: table[format.id], targets[0]: labels}, dtype=str))
    if len(others) == 1 and format.task != "multilabel" and (len(wanted) == 1 or format.task == "multiclass"):
        return form.rename_ids(table.rename(columns={others[0]: wanted[0]}))
    lacking = next(target for target in wanted if target not in table.columns)
    raise SubmissionError(f"the solution has no column {lacking}; its columns are {format_names(list(table.columns))}")


def _read_class_columns(cells: pd.DataFrame, format: SubmissionFormat) -> list[str] | None:
    """Return the class of each row where columns named after classes say yes or no to each; else None.

    A binary task may have one such column.
    """
    places = find_positions([str(name) for name in cells.columns], format.classes)
    answers = cells.map(read_answer)
    if -1 in places or answers.isna().any(axis=None):
        return None
    if len(places) == 1 and format.task == "binary":
        yes = answers.iloc[:, 0].to_numpy() == 1
        return [format.classes[places[0] if one else 1 - places[0]] for one in yes]
    if len(set(places)) < len(format.classes) or (answers.sum(axis=1) != 1).any():
        return None
    return [format.classes[places[column]] for column in answers.to_numpy(dtype=int).argmax(axis=1)]


def _harden_shares(wide: pd.DataFrame, format: SubmissionFormat) -> pd.DataFrame:
    """Return the solution of a 0/1 task with shares between 0 and 1 as 0 and 1, as the training table's are scored."""
    if format.task not in ("binary", "multilabel") or list(format.labels) != ["0", "1"]:
        return wide
    columns = list_targets(wide, format.id)
    numbers = wide[columns].apply(pd.to_numeric, errors="coerce")
    if not numbers.ge(0).all(axis=None) or not numbers.le(1).all(axis=None):
        return wide
    return wide.assign(**{name: np.where(numbers[name] >= 0.5, "1", "0") for name in columns})


def _read_ids(table: pd.DataFrame, id: str, form: HostForm, known: Sequence[str]) -> list[str]:
    """Return the test id of each row of the host's table."""
    ids = form.rename_ids(table.rename(columns={id: form.id}))[form.id].tolist()
    if form.layout != "long" or form.value not in table.columns or form.key is not None:
        return ids
    return [form.read_long_id(name, set(known)) for name in ids]
