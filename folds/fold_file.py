"""The fold file: `folds.csv` (id, fold) and its neighbour `folds.json`, how the folds were made.

Everything read is checked: a truncated or foreign file is a FoldError, and folds are joined to a table by id only.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from folds import FoldError
from folds.types import IntArray


def write_folds(path: Path, ids: Sequence[str], fold: IntArray) -> None:
    """Write one line for each row: id and fold (rows,)."""
    pd.DataFrame({"id": list(ids), "fold": fold}).to_csv(path, index=False, lineterminator="\n")


def read_folds(path: Path) -> pd.DataFrame:
    """Return the fold file as a frame of id (text) and fold (int); raises FoldError for any other file."""
    try:
        # With its header read as one, pandas would take the first of three fields for an index.
        cells = pd.read_csv(path, header=None, dtype=str, na_filter=False, encoding="utf-8")
    except FileNotFoundError:
        raise FoldError(f"{path} does not exist; train makes it") from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise FoldError(f"{path} is not a fold file: {str(error).strip()}") from error
    header = list(cells.iloc[0])
    if header != ["id", "fold"]:
        raise FoldError(f"{path} must have the columns id and fold. Got {', '.join(header)} instead")
    frame = cells.iloc[1:].set_axis(header, axis=1).reset_index(drop=True)
    wrong = ~frame["fold"].str.fullmatch(r"-1|[0-9]{1,9}")
    if wrong.any():
        row = frame[wrong].iloc[0]
        raise FoldError(
            f"{path}: the fold of id {row['id']} must be an integer from -1 on. Got {row['fold']!r} instead"
        )
    return frame.astype({"fold": np.int64})


def align_folds(frame: pd.DataFrame, ids: Sequence[str], path: Path) -> IntArray:
    """Return the folds (rows,) in the order of `ids`; FoldError unless file and table hold the same ids, each once."""
    wanted: pd.Index = pd.Index(np.array(ids, dtype=object))
    recorded: pd.Index = pd.Index(frame["id"].to_numpy(dtype=object))
    if recorded.has_duplicates:
        raise FoldError(f"{path.name} has more than one row for id {recorded[recorded.duplicated()][0]}")
    if wanted.has_duplicates:
        raise FoldError(f"the table has more than one row for id {wanted[wanted.duplicated()][0]}")
    position = recorded.get_indexer(wanted)
    missing = position < 0
    if missing.any():
        raise FoldError(f"{path.name} has no row for id {wanted[missing][0]} ({missing.sum():,} such ids)")
    extra = recorded.difference(wanted, sort=False)
    if len(extra):
        raise FoldError(f"{path.name} has a row for id {extra[0]}, which the table lacks ({len(extra):,} such ids)")
    fold: IntArray = frame["fold"].to_numpy(dtype=np.int64)
    return fold[position]


def write_provenance(path: Path, provenance: Mapping[str, object]) -> None:
    """Write how the folds were made, as JSON."""
    path.write_text(json.dumps(dict(provenance), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_provenance(path: Path) -> dict[str, object]:
    """Return how the folds were made; raises FoldError if the file is not a JSON object."""
    try:
        provenance = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FoldError(f"{path} does not exist, folds.csv does; restore it or use another `run:` name") from None
    except (ValueError, RecursionError) as error:
        raise FoldError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(provenance, dict):
        raise FoldError(f"{path} must hold a JSON object. Got {type(provenance).__name__} instead")
    return provenance


def verify_provenance(provenance: Mapping[str, object], wanted: Mapping[str, object]) -> None:
    """Raise FoldError that names each key of `wanted` with another value in `provenance`; `rows` is a table's hash."""
    differences = []
    for key, value in wanted.items():
        if key in provenance and provenance[key] == value:
            continue
        if key == "rows":
            differences.append("the training rows are not those that the folds were made from")
        else:
            recorded = _format_value(provenance.get(key))
            differences.append(f"folds.{key} is {recorded} in this run but {_format_value(value)} in the config")
    if differences:
        raise FoldError(f"{'; '.join(differences)}; restore it or use another `run:` name")


def _format_value(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
