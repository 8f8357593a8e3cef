from pathlib import Path

import numpy as np
import pandas as pd

from submissions.files import write_submission


def test_floats_come_back_to_the_last_bit(tmp_path: Path) -> None:
    values = np.random.default_rng(0).random(100) ** 9
    write_submission(tmp_path / "s.csv", pd.DataFrame({"id": [f"ü{n}" for n in range(100)], "y": values}))
    assert (pd.read_csv(tmp_path / "s.csv", dtype=str)["y"].map(float).to_numpy() == values).all()
    assert b"\r" not in (tmp_path / "s.csv").read_bytes()
