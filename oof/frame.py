"""Predictions as a table: id, fold where there is one, and one column per output; parquet."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from oof import OOFError


def write_frame(
    path: Path,
    ids: Sequence[str] | npt.NDArray[np.object_],
    columns: Sequence[str],
    predictions: npt.NDArray[np.float64],
    fold: npt.NDArray[np.int64] | None = None,
) -> None:
    """Write predictions (rows, columns) under their ids; `fold` (rows,) for out-of-fold ones."""
    frame = pd.DataFrame(predictions, columns=list(columns))
    frame.insert(0, "id", pd.Series(list(ids), dtype="str"))
    if fold is not None:
        frame.insert(1, "fold", fold)
    frame.to_parquet(path, index=False)


def read_frame(path: Path, columns: Sequence[str]) -> tuple[list[str], npt.NDArray[np.float64]]:
    """Ids and predictions (rows, columns) of such a table. Raises OOFError if it is missing, damaged or another's."""
    try:
        frame = pd.read_parquet(path)
    except FileNotFoundError as error:
        raise OOFError(f"{path} does not exist; blend first") from error
    except (OSError, ValueError) as error:  # pyarrow's ArrowInvalid is a ValueError
        raise OOFError(f"{path} is not a readable parquet file; blend again") from error
    missing = [column for column in ["id", *columns] if column not in frame.columns]
    if missing:
        raise OOFError(f"{path} has no column {missing[0]!r}; blend again")
    return [str(i) for i in frame["id"]], frame[list(columns)].to_numpy(np.float64)
