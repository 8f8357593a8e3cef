"""The form of the host's tables, brought to one row for each id and one column for each target, and back.

- wide: as it is.
- long: a row for each id and target: an id such as `r40_toxic`, or a column with the names of targets; and one value.
- list: the labels of a row in one cell.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from submissions import SubmissionError
from submissions.formats import choose_separator, list_targets, read_answers, split_cell
from submissions.names import find_positions, format_name, format_names, normalise_name, spell_classes

JOINTS = "_-:|/.# "  # between the id and the target in an id of the long form


@dataclass(frozen=True)
class HostForm:
    """How the host's tables hold ids, targets and cells.

    `id` is the sample's id column, `columns` are the targets of the wide table. The long and the list form have one
    column of cells, `value`; the long form may have one with the names of the targets, `key`. `ids` gives the test
    table's spelling of ids that the sample spells in another way. In an id of the long form the row comes first, or
    else the target.
    """

    layout: Literal["wide", "long", "list"]
    id: str
    columns: Sequence[str]
    value: str = ""
    key: str | None = None
    separator: str = " "
    ids: dict[str, str] | None = None
    id_first: bool = True

    def widen(self, frame: pd.DataFrame, known: Iterable[str], owner: str, *, complete: bool = False) -> pd.DataFrame:
        """Return a table of this form in the wide form; of ids that are none of `known`, nothing is derived.

        Raises SubmissionError for a cell that cannot be read, and where the table must be `complete` for a row that a
        long one lacks; `owner` names the table in the message.
        """
        if self.layout == "wide":
            return self.rename_ids(frame)
        if self.layout == "list":
            return self._widen_lists(frame, owner)
        ids, columns = self._read_places(frame, set(known))
        if (wrong := [place for place, column in enumerate(columns) if column < 0]) and self.key is None:
            raise SubmissionError(
                f"{owner}: id {format_name(str(frame[self.id].iloc[wrong[0]]))} is no id of the test table with one of "
                f"{format_names(self.columns)}"
            )
        if wrong:
            name = format_name(str(frame[self.key].iloc[wrong[0]]))
            raise SubmissionError(f"{owner}: {name} in {self.key} is none of {format_names(self.columns)}")
        rows = pd.Index(dict.fromkeys(ids), dtype=object)
        cells: np.ndarray = np.full((len(rows), len(self.columns)), "", dtype=object)
        places = rows.get_indexer(pd.Index(ids, dtype=object)), np.array(columns)
        filled = np.zeros(cells.shape, dtype=int)
        np.add.at(filled, places, 1)
        if (filled > 1).any():
            row, column = np.argwhere(filled > 1)[0]
            raise SubmissionError(
                f"{owner} has more than one row for id {format_name(rows[row])} and {format_name(self.columns[column])}"
            )
        if complete and not filled.all():
            row, column = np.argwhere(filled == 0)[0]
            raise SubmissionError(
                f"{owner} has no row for id {format_name(rows[row])} and {format_name(self.columns[column])}: all rows "
                "of an id are needed for a score"
            )
        cells[places] = frame[self.value].to_numpy(dtype=object)
        return pd.DataFrame({self.id: rows, **dict(zip(self.columns, cells.T, strict=True))}, dtype=str)

    def restore(self, filled: pd.DataFrame, sample: pd.DataFrame) -> pd.DataFrame:
        """Return a filled wide table in the host's form: the rows, columns and ids of `sample`."""
        if self.layout == "wide":
            return filled.assign(**{self.id: sample[self.id].to_numpy()})
        rows = filled.set_index(self.id)
        result = sample.copy()
        if self.layout == "list":
            names = np.array(spell_classes(self.columns, self._list_shown(sample)), dtype=object)
            is_one = rows[list(self.columns)].astype(str).isin(["1", "1.0"]).to_numpy()
            result[self.value] = [self.separator.join(names[cells]) for cells in is_one]
            return result
        ids, columns = self._read_places(sample, set(filled[self.id]))
        places = rows.index.get_indexer(pd.Index(ids, dtype=object))
        cells = rows[list(self.columns)].to_numpy()[places, columns]
        result[self.value] = cells if cells.dtype != object else pd.Series(list(cells), index=result.index)
        return result

    def rename_ids(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return a table with the test table's spelling of its ids."""
        known = self.ids
        if known is None:
            return frame
        return frame.assign(**{self.id: frame[self.id].map(lambda name: known.get(name, name))})

    def read_long_id(self, name: str, known: set[str]) -> str:
        """Return the test id in an id of the long form."""
        return split_long_id(name, known, self.columns, self.id_first)[0]

    def _read_places(self, frame: pd.DataFrame, known: set[str]) -> tuple[list[str], list[int]]:
        """Return the id and the column of each row of a long table; column -1 where it names none."""
        if self.key is not None:
            return frame[self.id].tolist(), find_positions(frame[self.key].tolist(), list(self.columns))
        places = [split_long_id(name, known, self.columns, self.id_first) for name in frame[self.id]]
        return [id for id, _ in places], [column for _, column in places]

    def _widen_lists(self, frame: pd.DataFrame, owner: str) -> pd.DataFrame:
        cells = np.full((len(frame), len(self.columns)), "0", dtype=object)
        for row, answers in enumerate(read_answers(frame[self.value].tolist(), self.separator, self.columns)):
            for name, position in answers:
                if position < 0:
                    raise SubmissionError(
                        f"{owner}: {format_name(name)} in {self.value} for id "
                        f"{format_name(str(frame[self.id].iloc[row]))} is not among the labels "
                        f"{format_names(self.columns)}"
                    )
                cells[row, position] = "1"
        return pd.DataFrame(
            {self.id: frame[self.id].to_numpy(), **dict(zip(self.columns, cells.T, strict=True))}, dtype=str
        )

    def _list_shown(self, sample: pd.DataFrame) -> list[str]:
        return [name for cell in sample[self.value] for name in split_cell(cell, self.separator)]


def find_host_form(
    sample: pd.DataFrame,
    *,
    id: str,
    test_ids: Sequence[str],
    columns: Sequence[str],
    task: str,
    by_number: bool = False,
    separator: str = " ",
) -> HostForm:
    """Return the form of a sample submission (read as text).

    `columns` are the classes, labels or targets; `separator` is between labels in a cell of the training table.
    `by_number`: ids are matched by value (0040 is 40). Raises SubmissionError where it has no id column, or where its
    ids are not those of the test table.
    """
    known = set(test_ids)
    column = find_id_column(sample, id, known)
    if column is None:
        return _find_long_form(sample, id, known, columns) or _refuse_id_column(sample, id)
    others = list_targets(sample, column)
    if len(others) == 2 and sample[column].duplicated().any() and len(columns) > 1:
        for key, value in (others, others[::-1]):
            if -1 not in find_positions(sorted(set(sample[key])), list(columns)):
                return HostForm("long", column, columns, value, key)
    if not set(sample[column]) <= known:
        long = _find_long_form(sample, column, known, columns) if len(others) == 1 else None
        if long is not None:
            return long
        ids = _match_by_number(sample[column].tolist(), test_ids)
        if by_number and ids is not None:
            return HostForm("wide", column, others, ids=ids)
        if ids is not None:
            one, other = next((one, other) for one, other in ids.items() if one != other)
            raise SubmissionError(
                f"the sample submission has id {format_name(one)}, the test table {format_name(other)}: with "
                "submission.match_ids: numbers they are one id"
            )
    if task == "multilabel" and len(others) == 1 and len(columns) > 1:
        cells = sample[others[0]].tolist()
        distinct = sorted(set(cells))
        names = [name for cell in distinct for name in split_cell(cell, separator)]
        chosen = separator if -1 not in find_positions(names, list(columns)) else choose_separator(cells, columns)
        return HostForm("list", column, columns, others[0], separator=chosen)
    return HostForm("wide", column, others)


def split_long_id(name: str, known: set[str], columns: Sequence[str], id_first: bool = True) -> tuple[str, int]:
    """Return the id and the position of the column in an id of the long form; column -1 if it is none."""
    for position, column in sorted(enumerate(columns), key=lambda pair: -len(pair[1])):
        rest = name.removesuffix(column) if id_first else name.removeprefix(column)
        if rest and rest != name and rest[-1 if id_first else 0] in JOINTS:
            id = rest[:-1] if id_first else rest[1:]
            if id in known:
                return id, position
    return name, -1


def find_id_column(sample: pd.DataFrame, id: str, known: set[str]) -> str | None:
    """Return the sample's id column: of that name, else the one column whose values are ids of the test table."""
    if id in sample.columns:
        return id
    named = [str(column) for column in sample.columns if normalise_name(str(column)) == normalise_name(id)]
    if len(named) == 1:
        return named[0]
    agreeing = [
        str(column) for column in sample.columns if set(sample[column]) <= known and sample[column].nunique() > 1
    ]
    exact = [column for column in agreeing if set(sample[column]) == known]
    return exact[0] if len(exact) == 1 else agreeing[0] if len(agreeing) == 1 else None


def _find_long_form(sample: pd.DataFrame, id: str, known: set[str], columns: Sequence[str]) -> HostForm | None:
    for column in [id] if id in sample.columns else [str(name) for name in sample.columns]:
        others = list_targets(sample, column)
        for id_first in (True, False) if len(others) == 1 else ():  # one way for the whole table
            if all(split_long_id(name, known, columns, id_first)[1] >= 0 for name in sample[column]):
                return HostForm("long", column, columns, others[0], id_first=id_first)
    return None


def _refuse_id_column(sample: pd.DataFrame, id: str) -> HostForm:
    raise SubmissionError(
        f"the sample submission has no id column {id}; its columns are {format_names(list(sample.columns))}"
    )


def _match_by_number(names: Sequence[str], test_ids: Sequence[str]) -> dict[str, str] | None:
    """Return the test id of each name by its normalised form; None unless that is one to one."""
    by_form: dict[str, list[str]] = {}
    for test_id in test_ids:
        by_form.setdefault(normalise_name(test_id), []).append(test_id)
    found = {name: by_form.get(normalise_name(name), []) for name in names}
    if any(len(ids) != 1 for ids in found.values()) or len({ids[0] for ids in found.values()}) < len(found):
        return None
    return {name: ids[0] for name, ids in found.items()}
