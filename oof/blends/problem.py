"""The level-one problem: what a blend is fitted on, and the part of it that some rows are."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from oof.metrics.metric_registry import Metric
from oof.types import Array, IntArray, Mask, Truth

BLOCK = 2**18  # entries of a block: a few megabytes, so that what is derived from it stays in the cache

# To allocate and free 16 MB makes glibc keep smaller blocks when they are freed. Otherwise it hands them back to the
# system, and a search for weights takes half as long again for page faults.
np.empty(2**21)


@dataclass(frozen=True, eq=False)
class Problem:
    """Members' predictions beside the truth.

    `P` is (members, all rows, columns) and never copied: `at` (rows,) says where this problem's rows lie in it, None
    for all of them in order. `truth` and `fold` (rows,) are of the rows alone, so is `component` (rows,), which marks
    rows that are resampled together; None where each stands alone.
    """

    P: Array
    truth: Truth
    fold: IntArray
    task: str
    metric: Metric
    component: IntArray | None = None
    positions: IntArray | None = None
    cache: dict[Any, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def member_count(self) -> int:
        """How many members there are."""
        return len(self.P)

    @property
    def folds(self) -> IntArray:
        """The folds that the rows lie in, rising."""
        found: IntArray = np.unique(self.fold)
        return found

    def select_rows(self, mask: Mask) -> "Problem":
        """The problem of some of the rows; `mask` is (rows,)."""
        return replace(
            self,
            truth=self.truth[mask],
            fold=self.fold[mask],
            component=None if self.component is None else self.component[mask],
            positions=np.flatnonzero(mask) if self.positions is None else self.positions[mask],
        )

    def select_members(self, members: list[int]) -> "Problem":
        """The problem of some of the members; copies their predictions."""
        return replace(self, P=self.P[members], cache={})

    def get_member(self, number: int) -> Array:
        """One member's predictions (rows, columns)."""
        return self.take_rows(self.P[number])

    def take_rows(self, whole: Array) -> Array:
        """Of something that runs along all rows of P, these rows."""
        return whole if self.positions is None else whole[self.positions]

    def take_predictions(self) -> Array:
        """P of these rows alone (members, rows, columns); a copy unless they are all of them."""
        return self.P if self.positions is None else self.P[:, self.positions]

    def combine_members(self, weights: Array) -> Array:
        """Sum of weight times member, (rows, columns)."""
        return self.take_rows(combine(weights, self.P))

    def compute_weight_gradient(self, gradient: Array) -> Array:
        """Derivative by each member's weight (members,), from that by each prediction of the mix (rows, columns)."""
        whole = gradient
        if self.positions is not None:
            whole = np.zeros(self.P.shape[1:])
            whole[self.positions] = gradient
        found: Array = self.P.reshape(len(self.P), -1) @ whole.ravel()
        return found

    def iterate_blocks(self) -> Iterator[tuple[slice, Array]]:
        """The rows in blocks of about BLOCK entries: where a block lies, and P of it (members, rows, columns)."""
        for rows in self._iterate_slices(self.P.shape[2]):
            yield rows, self.P[:, rows if self.positions is None else self.positions[rows]]

    def iterate_column_blocks(self, column: int) -> Iterator[tuple[slice, Array]]:
        """The same of one column: where a block lies, and P of it (members, rows)."""
        for rows in self._iterate_slices(1):
            yield rows, self.P[:, rows if self.positions is None else self.positions[rows], column]

    def _iterate_slices(self, columns: int) -> Iterator[slice]:
        step = max(BLOCK // (self.member_count * columns), 1)
        for start in range(0, len(self), step):
            yield slice(start, min(start + step, len(self)))

    def cache_result(self, name: str, make: Callable[["Problem"], Any]) -> Any:
        """What `make` gives for these rows, made once: nested cross-fitting asks for the same rows again and again.

        What is made may hang on anything but `fold` and `component`.
        """
        rows = hashlib.blake2b(b"" if self.positions is None else self.positions.tobytes())
        rows.update(self.truth.tobytes())
        key = (name, self.task, self.metric.name, id(self.P), rows.digest())
        if key not in self.cache:
            self.cache[key] = (self.P, make(self))  # P stays alive, so that its id stays its own
        return self.cache[key][1]


def combine(weights: Array, P: Array) -> Array:
    """Sum of weight times member, (rows, columns)."""
    mixed: Array = (weights @ P.reshape(len(P), -1)).reshape(P.shape[1:])
    return mixed
