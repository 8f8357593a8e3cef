"""Files: sample, submission and solution are CSV; read as text, because 1, 1.0 and 01 are three spellings."""

from pathlib import Path

import pandas as pd

from submissions import SubmissionError


def write_submission(path: Path, frame: pd.DataFrame) -> None:
    """Writes UTF-8 with line feeds; floats with the digits that give the same float back."""
    frame.to_csv(path, index=False, lineterminator="\n", encoding="utf-8")


def read_submission(path: Path) -> pd.DataFrame:
    """The file with every cell as text; raises SubmissionError if it is not a table with distinct, named columns."""
    try:
        # With its header read as one, pandas would rename a repeated column and take a long row for an indexed one.
        cells = pd.read_csv(path, header=None, dtype=str, na_filter=False, encoding="utf-8-sig")
    except FileNotFoundError:
        raise SubmissionError(f"{path} does not exist") from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise SubmissionError(f"{path} is not a UTF-8 CSV table: {str(error).strip()}") from error
    header = pd.Series(cells.iloc[0].to_list())
    if header.duplicated().any() or (header == "").any():
        raise SubmissionError(f"{path} must have distinct, named columns. Got {', '.join(header)} instead")
    return cells.iloc[1:].set_axis(list(header), axis=1).reset_index(drop=True)
