"""Files: a submission is csv."""

from pathlib import Path

import pandas as pd


def write_submission(path: Path, frame: pd.DataFrame) -> None:
    """Writes UTF-8 with line feeds; floats with the digits that give the same float back."""
    frame.to_csv(path, index=False, lineterminator="\n", encoding="utf-8")
