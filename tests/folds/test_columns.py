from typing import Any

import numpy as np
import pytest

from folds import FoldError
from folds.columns import parse_flags


@pytest.mark.parametrize(
    "column",
    [
        [True, False, False],
        [1, 0, 0],
        [1.0, 0.0, np.nan],
        ["1", "0", ""],
        ["True", "False", None],
        ["yes", " NO ", "no"],
    ],
)
def test_flags_mean_what_they_say(column: list[Any]) -> None:
    assert parse_flags(column).tolist() == [True, False, False]


def test_other_cells_are_refused() -> None:
    with pytest.raises(FoldError, match=r"folds.train_only must hold true or false, 1 or 0. Got 'maybe' instead"):
        parse_flags(["true", "maybe"])
