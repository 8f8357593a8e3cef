from pathlib import Path

import numpy as np
import pytest

from oof import OOFError
from oof.members.prediction_files import read_predictions, write_predictions


def test_predictions_come_back_under_their_ids(tmp_path: Path) -> None:
    path, values = tmp_path / "blend.test.parquet", np.array([[0.25, 0.75], [1 / 3, 2 / 3]])
    write_predictions(path, ["007", "8"], ["no", "yes"], values)
    ids, found = read_predictions(path, ["no", "yes"])
    assert ids == ["007", "8"]
    assert (found == values).all()


def test_columns_are_taken_by_name_and_folds_are_kept_beside_them(tmp_path: Path) -> None:
    path, values = tmp_path / "blend.parquet", np.array([[0.25, 0.75]])
    write_predictions(path, ["a"], ["no", "yes"], values, fold=np.array([3]))
    assert read_predictions(path, ["yes", "no"])[1].tolist() == [[0.75, 0.25]]


@pytest.mark.parametrize(
    ("content", "fragment"), [(None, "does not exist"), (b"PAR1 half", "not a readable parquet file")]
)
def test_a_missing_or_damaged_file_is_one_sentence(tmp_path: Path, content: bytes | None, fragment: str) -> None:
    path = tmp_path / "blend.test.parquet"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(OOFError, match=fragment):
        read_predictions(path, ["yes"])


def test_a_file_of_another_competition_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "blend.test.parquet"
    write_predictions(path, ["a"], ["score"], np.array([[1.0]]))
    with pytest.raises(OOFError, match="no column 'yes'"):
        read_predictions(path, ["yes"])
