"""Types that the whole package shares: arrays by what they hold, and the numbers of a fitted blend."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
IdArray = npt.NDArray[np.object_]
Ids = Sequence[str] | IdArray
Truth = npt.NDArray[Any]  # whole numbers for classes and labels, float64 for targets
Labels = npt.NDArray[np.int64]  # decided classes or 0/1, shaped as the truth
Decided = npt.NDArray[Any]  # what a metric takes: labels for a label metric, predictions for any other
Counts = npt.NDArray[np.float64]  # (rows,) whole numbers: how often each row is drawn

Numbers = dict[str, Any]  # a fitted blend as `oof/blend.json` holds it under `numbers`: lists, floats and strings
