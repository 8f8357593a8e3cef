"""Array types of the package. (rows,) and the like in docstrings are shapes."""

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
AnyArray = npt.NDArray[np.generic]  # a column as the table holds it
