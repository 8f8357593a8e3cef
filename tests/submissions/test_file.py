from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from submissions import SubmissionError
from submissions.file import read_submission, write_submission


def test_floats_come_back_to_the_last_bit(tmp_path: Path) -> None:
    values = np.random.default_rng(0).random(100) ** 9
    write_submission(tmp_path / "s.csv", pd.DataFrame({"id": [f"ü{n}" for n in range(100)], "y": values}))
    assert (read_submission(tmp_path / "s.csv")["y"].map(float).to_numpy() == values).all()
    assert b"\r" not in (tmp_path / "s.csv").read_bytes()


def test_every_cell_is_text(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_bytes('\ufeffid,label\r\n007,NA\r\n1.0,"a,b"\r\n'.encode())
    assert read_submission(tmp_path / "s.csv").to_dict("list") == {"id": ["007", "1.0"], "label": ["NA", "a,b"]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not a UTF-8 CSV table"),
        (b"id,y\n1,2,3\n", "is not a UTF-8 CSV table"),
        (b"id,y\n\xff\xfe,1\n", "is not a UTF-8 CSV table"),
        (b'id,y\n"1,2\n', "is not a UTF-8 CSV table"),
        (b"id,y,y\n1,2,3\n", "distinct, named columns. Got id, y, y instead"),
        (b"id,,y\n1,2,3\n", "distinct, named columns"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "s.csv").write_bytes(content)
    with pytest.raises(SubmissionError, match=message):
        read_submission(tmp_path / "s.csv")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SubmissionError, match="does not exist"):
        read_submission(tmp_path / "s.csv")
