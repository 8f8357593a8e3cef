"""The level-one problem that a blend is fitted on: predictions of members beside the truth, on some of the rows."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from oof.metrics.metric_registry import Metric
from oof.types import Array, IntArray, Mask, Truth

BLOCK = 2**18  # entries of a block: a few megabytes, so that values derived from it stay in the processor's cache

# To allocate and free 16 MB makes glibc keep smaller blocks when they are freed. Otherwise it hands them back to the
# system, and a search for weights takes half as long again for page faults.
np.empty(2**21)


@dataclass(frozen=True, eq=False)
class Problem:
    """Predictions of members and the truth of some rows.

    `P` is (members, all rows, columns) and never copied: `positions` (rows,) are the places of this problem's rows in
    it, None for all of them in order. `truth`, `fold` and `component` have these rows only. `component` (rows,) marks
    rows that are resampled together; None where each row is independent. `cache` is shared by problems of one P.
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
        """Number of members."""
        return len(self.P)

    @property
    def folds(self) -> IntArray:
        """Folds that the rows lie in, in rising order."""
        numbers: IntArray = np.unique(self.fold)
        return numbers

    def select_rows(self, mask: Mask) -> "Problem":
        """Return the problem of some of the rows; `mask` is (rows,)."""
        return replace(
            self,
            truth=self.truth[mask],
            fold=self.fold[mask],
            component=None if self.component is None else self.component[mask],
            positions=np.flatnonzero(mask) if self.positions is None else self.positions[mask],
        )

    def select_members(self, members: list[int]) -> "Problem":
        """Return the problem of some of the members, with a copy of their predictions."""
        return replace(self, P=self.P[members], cache={})

    def get_member(self, number: int) -> Array:
        """Return the predictions (rows, columns) of one member."""
        return self.take_rows(self.P[number])

    def take_rows(self, whole: Array) -> Array:
        """Return these rows of an array (all rows, ...)."""
        return whole if self.positions is None else whole[self.positions]

    def take_predictions(self) -> Array:
        """Return P of these rows (members, rows, columns); a copy unless they are all rows."""
        return self.P if self.positions is None else self.P[:, self.positions]

    def combine_members(self, weights: Array) -> Array:
        """Return the sum of weight times member, (rows, columns)."""
        return self.take_rows(combine(weights, self.P))

    def compute_weight_gradient(self, gradient: Array) -> Array:
        """Return the derivative by each weight (members,) from that by each combined prediction (rows, columns)."""
        whole = gradient
        if self.positions is not None:
            whole = np.zeros(self.P.shape[1:])
            whole[self.positions] = gradient
        by_weight: Array = self.P.reshape(len(self.P), -1) @ whole.ravel()
        return by_weight

    def iterate_blocks(self) -> Iterator[tuple[slice, Array]]:
        """Yield the rows in blocks of about BLOCK entries: the slice of rows, and P of it (members, rows, columns)."""
        for rows in self._iterate_slices(self.P.shape[2]):
            yield rows, self.P[:, rows if self.positions is None else self.positions[rows]]

    def iterate_column_blocks(self, column: int) -> Iterator[tuple[slice, Array]]:
        """Yield blocks of one column: the slice of rows, and P of it (members, rows)."""
        for rows in self._iterate_slices(1):
            yield rows, self.P[:, rows if self.positions is None else self.positions[rows], column]

    def cache_result(self, name: str, compute: Callable[["Problem"], Any]) -> Any:
        """Return `compute(self)`, computed once for these rows: nested cross-fitting asks for the same rows repeatedly.

        `compute` may depend on everything but `fold` and `component`.
        """
        rows = hashlib.blake2b(b"" if self.positions is None else self.positions.tobytes())
        rows.update(self.truth.tobytes())
        key = (name, self.task, self.metric.name, id(self.P), rows.digest())
        if key not in self.cache:
            self.cache[key] = (self.P, compute(self))  # keeps P alive, so that no other array can get its id
        return self.cache[key][1]

    def _iterate_slices(self, columns: int) -> Iterator[slice]:
        step = max(BLOCK // (self.member_count * columns), 1)
        for start in range(0, len(self), step):
            yield slice(start, min(start + step, len(self)))


def combine(weights: Array, P: Array) -> Array:
    """Return the sum of weight times member, (rows, columns)."""
    combined: Array = (weights @ P.reshape(len(P), -1)).reshape(P.shape[1:])
    return combined
