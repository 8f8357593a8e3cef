"""Targets of a training table as `truth`: codes for classes and grades, 0/1 for labels, numbers for values.

Class names are the texts of the table, whatever their type was: they go back into the submission as they came.
"""

import ast
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from oof.members.prediction_files import KEYS
from pipeline.config.competition_spec import CompetitionSpec
from pipeline.config.messages import CONTROL, join_names, quote
from pipeline.data.class_names import join_spellings, match_spellings, put_positive_last
from pipeline.data.tables import require_columns
from pipeline.errors import PipelineError
from submissions.formats import split_cell

LIST_SEPARATORS = (",", ";", "|", " ")  # between labels in a cell
ZERO_ONE = {"0": 0, "1": 1, "0.0": 0, "1.0": 1, "false": 0, "true": 1}


@dataclass(frozen=True)
class Targets:
    """`truth` as everywhere in Poolblend, output `columns` in order, and `classes` (empty for labels and values).

    `separator` is between the labels of a row where the training table has them in one cell. `soft` has the shape of
    `truth` where the table holds shares between 0 and 1: fits learn these, and `truth` is 1 from .5 on. `warnings` are
    sentences for the user.
    """

    truth: np.ndarray
    columns: list[str]
    classes: list[str]
    separator: str = " "
    warnings: tuple[str, ...] = ()
    soft: np.ndarray | None = None


def read_targets(
    frame: pd.DataFrame, spec: CompetitionSpec, ids: list[str], path: Path, sample: pd.DataFrame | None = None
) -> Targets:
    """Read the targets of a training table. Raises PipelineError for a cell that the task does not allow.

    The sample submission shows how the host spells classes, and which of two is asked for.
    """
    targets = _read(frame, spec, ids, path, sample)
    if taken := [column for column in targets.columns if column in KEYS]:
        raise PipelineError(
            f"{path}: a class or target cannot be named {taken[0]!r}, which the files of predictions need: rename it"
        )
    return targets


def _read(
    frame: pd.DataFrame, spec: CompetitionSpec, ids: list[str], path: Path, sample: pd.DataFrame | None
) -> Targets:
    require_columns(frame, spec.targets, path, "training table")
    if spec.task == "multilabel" and len(spec.targets) == 1 and holds_label_lists(frame[spec.targets[0]]):
        return _read_label_lists(frame[spec.targets[0]], spec, path)
    for column in spec.targets:
        missing = (frame[column] == "").to_numpy()
        if missing.any():
            raise _refuse_cell(
                path, ids[int(missing.argmax())], column, "is missing", "every training row needs a target"
            )
    if spec.task == "regression":
        truth = np.column_stack([_read_numbers(frame[column], ids, path) for column in spec.targets])
        return Targets(truth, spec.targets, [])
    if spec.task in ("binary", "multilabel") and spec.classes is None:
        shares = _read_shares(frame[spec.targets])
        if shares is not None:
            return _soften(shares, spec, path)
    if spec.task == "multilabel":
        truth = np.column_stack([_read_labels(frame[column], ids, path) for column in spec.targets])
        return Targets(truth, spec.targets, [])
    if len(spec.targets) > 1:
        return _read_class_columns(frame, spec, ids, path)
    return _read_classes(frame[spec.targets[0]], spec, ids, path, sample)


def _read_shares(cells: pd.DataFrame) -> np.ndarray | None:
    """Return cells (rows, targets) as numbers where all lie between 0 and 1 and some are neither; else None.

    Two values in one column are two classes, whatever they are called.
    """
    if cells.shape[1] == 1 and cells.iloc[:, 0].nunique() <= 2:
        return None
    numbers = cells.apply(pd.to_numeric, errors="coerce").to_numpy(np.float64)
    is_soft = np.isfinite(numbers).all() and (numbers >= 0).all() and (numbers <= 1).all()
    return numbers if is_soft and not np.isin(numbers, [0, 1]).all() else None


def _soften(shares: np.ndarray, spec: CompetitionSpec, path: Path) -> Targets:
    truth = (shares >= 0.5).astype(np.int64)
    if spec.task == "binary" and truth.min() == truth.max():
        side = "below .5" if truth.max() == 0 else "from .5 on"
        raise PipelineError(f"{path}: every {spec.targets[0]} is {side}; a binary task needs rows on both sides")
    sentence = f"{path.name}: {join_names(spec.targets)} between 0 and 1: fits learn the shares, scores count .5 as 1"
    if spec.task == "binary":
        return Targets(truth[:, 0], spec.targets, ["0", "1"], warnings=(sentence,), soft=shares[:, 0])
    return Targets(truth, spec.targets, [], warnings=(sentence,), soft=shares)


def _read_class_columns(frame: pd.DataFrame, spec: CompetitionSpec, ids: list[str], path: Path) -> Targets:
    """Read classes from columns of 0 and 1, a column for each class."""
    cells = np.column_stack([_read_labels(frame[column], ids, path) for column in spec.targets])
    if (wrong := cells.sum(axis=1) != 1).any():
        row = int(wrong.argmax())
        raise PipelineError(
            f"{path}, row {quote(ids[row])}: {int(cells[row].sum())} of {join_names(spec.targets)} are 1, but task "
            "multiclass takes one class a row; task multilabel takes any number"
        )
    return Targets(cells.argmax(axis=1).astype(np.int64), spec.targets, list(spec.targets))


def holds_label_lists(cells: pd.Series) -> bool:
    """Return True if a column holds names of labels, several in some cells, and not 0 and 1."""
    if cells.str.lower().isin([*ZERO_ONE, ""]).all():
        return False
    return _find_list_separator(cells) is not None


def parse_label_lists(cells: pd.Series) -> tuple[list[list[str]], str]:
    """Return the labels of each cell, and what separates them: a JSON list, or names between separators."""
    separator = _find_list_separator(cells) or " "
    if separator == "[":
        return [_parse_list(cell) for cell in cells], " "
    return [split_cell(cell, separator) for cell in cells], separator


def _parse_list(cell: str) -> list[str]:
    """Return the names in a list of JSON, or of Python (a tuple or a set too); names without quotes are split."""
    if not cell.strip():
        return []
    for parse in (json.loads, ast.literal_eval):
        try:
            value = parse(cell)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            continue
        if isinstance(value, list | tuple | set | frozenset | dict):
            return sorted(map(str, value)) if isinstance(value, set | frozenset) else [str(name) for name in value]
    return split_cell(re.sub(r"^[\[({]|[\])}]$", "", cell.strip()), ",")


def _find_list_separator(cells: pd.Series) -> str | None:
    """Return what separates names: "[" for lists in brackets, else the sign that gives the fewest different names."""
    if cells.str.fullmatch(r"\s*(\[.*\]|\(.*\)|\{.*\})\s*|\s*", flags=re.DOTALL).all():
        return "["
    found = [sign for sign in LIST_SEPARATORS if cells.str.contains(sign, regex=False).any()]
    distinct = cells.unique()
    return min(found, key=lambda sign: len({n for cell in distinct for n in split_cell(cell, sign)}), default=None)


def _read_label_lists(cells: pd.Series, spec: CompetitionSpec, path: Path) -> Targets:
    lists, separator = parse_label_lists(cells)
    found = {name for names in lists for name in names}
    labels = spec.classes or sorted(found, key=_sort_key)
    if unknown := found - set(labels):
        raise PipelineError(
            f"{path}: {quote(min(unknown))} in {cells.name} is not among the labels in competition.classes"
        )
    if len(labels) < 2:
        raise PipelineError(f"{path}: column {cells.name} holds one label only, {quote(min(found))}; two are needed")
    if broken := [name for name in labels if re.search(CONTROL, name)]:
        raise PipelineError(
            f"{path}: {quote(broken[0])} in {cells.name} cannot name a label: it holds a control character"
        )
    places = {name: place for place, name in enumerate(labels)}
    truth = np.zeros((len(cells), len(labels)), dtype=np.int64)
    for row, names in enumerate(lists):
        truth[row, [places[name] for name in names]] = 1
    return Targets(truth, list(labels), [], separator)


def _read_classes(
    cells: pd.Series, spec: CompetitionSpec, ids: list[str], path: Path, sample: pd.DataFrame | None
) -> Targets:
    sentences: list[str] = []
    if spec.classes is not None:
        matched = match_spellings(cells, spec.classes)
        cells = cells.map(lambda cell: matched.get(cell, cell))
    else:
        names, sentences = join_spellings(cells, _list_shown(sample))
        cells = cells.map(names.get)
    found = set(cells)
    if spec.classes is not None:
        if unknown := found - set(spec.classes):
            name = sorted(unknown)[0]
            raise _refuse_cell(
                path,
                ids[int((cells == name).to_numpy().argmax())],
                str(cells.name),
                f"is {quote(name)}",
                "competition.classes does not list it",
            )
        classes = spec.classes
    else:
        classes = sorted(found, key=_sort_key)
        if spec.task == "binary" and len(classes) == 2:
            classes = put_positive_last(classes, [] if sample is None else [str(name) for name in sample.columns])
        if spec.task == "ordinal" and any(_parse_number(name) is None for name in classes):
            raise PipelineError(
                f"{path}: the grades in {cells.name} are no numbers: give competition.classes in rising order"
            )
    if len(found) < 2:
        raise PipelineError(
            f"{path}: column {cells.name} holds one class only, {quote(min(found))}; two or more are needed"
        )
    if spec.task == "binary" and len(classes) != 2:
        raise PipelineError(
            f"{path}: column {cells.name} holds {len(classes)} classes, {join_names(classes)}, but task binary takes "
            "2; use multiclass or ordinal"
        )
    if broken := [name for name in classes if re.search(CONTROL, name)]:
        raise PipelineError(
            f"{path}: {quote(broken[0])} in {cells.name} cannot name a class: it holds a control character"
        )
    codes = cells.map({name: code for code, name in enumerate(classes)}).to_numpy(np.int64)
    columns = spec.targets if spec.task == "binary" else list(classes)
    return Targets(codes, columns, list(classes), warnings=tuple(f"{path.name}: {line}" for line in sentences))


def _list_shown(sample: pd.DataFrame | None) -> list[str]:
    """Return the names in a sample submission that may be classes: those of its columns, or of the cells of one."""
    if sample is None:
        return []
    cells = sample.iloc[:, 1].unique().tolist() if sample.shape[1] == 2 else []
    return [*map(str, sample.columns), *cells]


def _read_numbers(cells: pd.Series, ids: list[str], path: Path) -> np.ndarray:
    numbers = pd.to_numeric(cells, errors="coerce").to_numpy(np.float64)
    if not np.isfinite(numbers).all():
        bad = int((~np.isfinite(numbers)).argmax())
        raise _refuse_cell(
            path,
            ids[bad],
            str(cells.name),
            f"is {quote(cells.iloc[bad])}",
            "a regression target must be a finite number",
        )
    return numbers


def _read_labels(cells: pd.Series, ids: list[str], path: Path) -> np.ndarray:
    codes = cells.str.lower().map(ZERO_ONE)
    if codes.isna().any():
        bad = int(codes.isna().to_numpy().argmax())
        raise _refuse_cell(path, ids[bad], str(cells.name), f"is {quote(cells.iloc[bad])}", "a label must be 0 or 1")
    return codes.to_numpy(np.int64)


def find_uneven_grades(classes: Sequence[str]) -> list[float] | None:
    """Return the grades as rising numbers where they are not evenly spaced; None where their order says it all."""
    numbers = [_parse_number(name) for name in classes]
    grades = [number for number in numbers if number is not None]
    steps = {round(after - before, 9) for before, after in pairwise(grades)}
    return grades if len(grades) == len(classes) and len(steps) > 1 and min(steps) > 0 else None


def _refuse_cell(path: Path, row: str, column: str, wrong: str, right: str) -> PipelineError:
    return PipelineError(f"{path}, row {quote(row)}: {column} {wrong}; {right}")


def _sort_key(name: str) -> tuple[bool, float, str]:
    number = _parse_number(name)
    return (number is None, number or 0.0, name)


def _parse_number(name: str) -> float | None:
    try:
        value = float(name)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
