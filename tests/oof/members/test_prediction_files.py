"""A part is read as it was written, or rejected."""

import re

import numpy as np
import pandas as pd
import pytest

from oof import OOFError
from oof.members.prediction_files import read_part, write_part

COLUMNS = ["a", "b"]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "valid.parquet"


def write(path, ids=("007", "NA", "x"), predictions=((0.1, 0.9), (1 / 3, 2 / 3), (0.5, 0.5)), columns=COLUMNS):
    write_part(path, list(ids), columns, np.array(predictions), fold=1, seed=3)


def test_a_part_comes_back_bit_for_bit_with_its_ids_as_text(path):
    write(path)
    part = read_part(path, COLUMNS)
    assert list(part.columns) == ["id", "fold", "seed", "a", "b"]
    assert part["id"].tolist() == ["007", "NA", "x"]
    assert part["fold"].tolist() == [1] * 3
    assert part["seed"].tolist() == [3] * 3
    assert part["a"].tolist() == [0.1, 1 / 3, 0.5]


def test_single_precision_becomes_double(path):
    write_part(path, ["x"], ["a"], np.array([[0.1]], dtype=np.float32), 0, 0)
    assert read_part(path, ["a"])["a"].tolist() == [float(np.float32(0.1))]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_diverged_fit_fails_when_its_part_is_written(path, bad):
    with pytest.raises(OOFError, match="the prediction of id 'NA', column 'b', is not finite"):
        write(path, predictions=((0.1, 0.9), (0.5, bad), (0.5, 0.5)))
    assert not path.exists()


def test_a_repeated_id_is_refused(path):
    with pytest.raises(OOFError, match="id '7' appears twice"):
        write(path, ids=["7", "8", "7"])


def test_an_output_named_like_a_key_is_refused(path):
    with pytest.raises(OOFError, match="cannot be named 'fold'"):
        write(path, columns=["a", "fold"])


def test_other_columns_are_refused(path):
    write(path)
    sentence = "has the columns id, fold, seed, a, b; a part of this competition has id, fold, seed, b, a"
    with pytest.raises(OOFError, match=re.escape(sentence)):
        read_part(path, ["b", "a"])


@pytest.mark.parametrize("content", [b"", b"id,fold\n", b"PAR1", None])
def test_a_damaged_part_is_one_sentence(path, content):
    write(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if content is None else content)
    with pytest.raises(OOFError, match=re.escape(f"{path}: not a readable parquet file")):
        read_part(path, COLUMNS)


def test_a_missing_part_is_one_sentence(path):
    with pytest.raises(OOFError, match="not a readable parquet file"):
        read_part(path, COLUMNS)


@pytest.mark.parametrize(
    ("column", "values", "sentence"),
    [
        ("a", [0.1, None], "the prediction of id 'y', column 'a', is not finite"),
        ("a", [1, 2], "the column 'a' must be float64, it is int64"),
        ("fold", [0.5, 1.0], "the column fold must hold whole numbers"),
        ("id", [1, 2], "the column id must be text"),
        ("id", ["x", "x"], "id 'x' appears twice"),
    ],
)
def test_a_foreign_file_is_refused_when_read(path, column, values, sentence):
    frame = pd.DataFrame({"id": ["x", "y"], "fold": [0, 0], "seed": [0, 0], "a": [0.1, 0.2]})
    frame.assign(**{column: values}).to_parquet(path)
    with pytest.raises(OOFError, match=re.escape(sentence)):
        read_part(path, ["a"])
