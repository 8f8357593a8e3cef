"""The files of a submission: its csv, and beside it the record of its origin as JSON."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from submissions import SubmissionError


def write_submission(path: Path, frame: pd.DataFrame) -> None:
    """Write UTF-8 with line feeds; floats with the digits that give the same float back."""
    frame.to_csv(path, index=False, lineterminator="\n", encoding="utf-8")


def write_record(path: Path, record: Mapping[str, object]) -> None:
    """Write a record; its values are what JSON can hold."""
    path.write_text(json.dumps(dict(record), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read_record(path: Path) -> dict[str, Any]:
    """Read a record; SubmissionError if it is missing or damaged."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:  # invalid JSON and invalid UTF-8 are ValueErrors
        raise SubmissionError(f"{path} is missing or damaged: submit again") from error
    if not isinstance(record, dict):
        raise SubmissionError(f"{path} is damaged, it should hold a JSON object: submit again")
    return record
