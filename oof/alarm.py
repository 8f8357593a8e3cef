"""Is a member out of fold? What its OOF knows of the truth, against what its test predictions can know at most.

How much predictions overlap with the truth is linear in the predictions. So the test predictions of an honest member,
from one model or averaged over fold models, overlap with the hidden truth as much as its OOF does with the known one.
But that is bounded: by the probabilities of their own favourites, and by their own spread (Cauchy-Schwarz). An OOF
beyond the bounds comes from models that saw its rows. A good score is no reason: perfect predictions reach the bounds.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from oof.measures import Array, Truth

# How far an honest member may pass its bounds, because test rows are other rows; measured by benchmarks/alarm.py.
FAVOURITE_MARGIN = 1.03
REACH_MARGIN = 1.25
ALONE_MARGIN = 1.05
ERRORS = 3.0  # standard errors beyond a margin
BLOCKS = 20  # of the jackknife
TINY = 1e-12
REASON = "models that saw its rows made the OOF, or weaker ones the test predictions"

Codes = npt.NDArray[np.int64]
Homes = tuple[Codes, Codes]  # blocks of the training rows and of the test rows
Tables = tuple[Array, Array]  # what is known by training row and by test row
Value = Callable[[Array, Array], float]  # of a table's column means each


def suspicion(
    oof: Array,
    test: Array,
    truth: Truth,
    task: str,
    *,
    others: Array,
    others_test: Array,
    component: npt.NDArray[np.int64] | None = None,
) -> str | None:
    """Say in one sentence why `oof` (rows, columns) cannot be out of fold, given `test` of the same member; or None.

    `others` (members, rows, columns) and `others_test` (members, test rows, columns) are members known to be honest,
    perhaps none. Where the bounds of most of them are lower on the test rows too, the rows differ, and that is allowed
    for. `component` (rows,) names rows that belong together: they count as one in the standard errors.
    """
    homes = _homes(len(oof), component), _homes(len(test), None)
    if task != "regression":
        favourites = _favourites(oof, test, truth, task, others, others_test)
        if _passes(favourites, _favourite_ratio, FAVOURITE_MARGIN, homes):
            gives, most = (table[:, 0].mean() for table in favourites)
            return (
                f"its OOF gives the truth a probability of {gives:.2f} on average, its test predictions give only "
                f"{most:.2f} to what they hold most likely; {REASON}"
            )
    beside = _reach(oof, test, truth, task, others, others_test)
    alone = _reach(oof, test, truth, task, others[:0], others_test[:0])
    if _passes(beside, _needed, REACH_MARGIN, homes) and _passes(alone, _needed, ALONE_MARGIN, homes):
        needed = np.exp(_needed(*(table.mean(0) for table in alone)))
        return (
            "to know as much as its OOF, its test predictions would have to correlate "
            f"{needed:.2f} with the truth, where 1 is the most; {REASON}"
        )
    return None


def _favourites(oof: Array, test: Array, truth: Truth, task: str, others: Array, others_test: Array) -> Tables:
    """By training row the truth's probability, by test row the favourite's; then the favourite's of each other."""
    classes = task in ("multiclass", "ordinal")

    def favourite(P: Array) -> Array:
        found: Array = P.max(1) if classes else np.maximum(P, 1 - P).mean(1)
        return found

    true = oof[np.arange(len(oof)), truth] if classes else np.abs(oof + truth.reshape(oof.shape) - 1).mean(1)
    return np.stack([true, *map(favourite, others)], 1), np.stack([favourite(test), *map(favourite, others_test)], 1)


def _favourite_ratio(train: Array, test: Array) -> float:
    """Log of the truth's probability over its bound, from the means of `_favourites`."""
    train, test = np.log(train.clip(TINY)), np.log(test.clip(TINY))
    return float(train[0] - test[0] - _allowance(train[1:] - test[1:]))


def _reach(oof: Array, test: Array, truth: Truth, task: str, others: Array, others_test: Array) -> Tables:
    """By row: products of truth and OOF, squares of the truth, and of the test predictions; then of each other.

    All of them centred, and without what is linear in the others' mean, if there are others enough to differ from it.
    """
    truth = np.eye(oof.shape[1])[truth] if task in ("multiclass", "ordinal") else truth.reshape(oof.shape)
    size = truth.std(0)
    scale = np.where(size > 0, size, 1) if task == "regression" else 1.0
    mean, mean_test = (others.mean(0), others_test.mean(0)) if len(others) > 1 else (None, None)
    known, said, *rest = [_rest(P / scale, mean) for P in (truth, oof, *others)]
    train = [known * said, known**2, *(P**2 for P in rest)]
    squares = [_rest(P / scale, mean_test) ** 2 for P in (test, *others_test)]
    return np.stack([P.sum(1) for P in train], 1), np.stack([P.sum(1) for P in squares], 1)


def _needed(train: Array, test: Array) -> float:
    """Log of the correlation with the truth that the test predictions would need, from the means of `_reach`."""
    train, test = np.log(train.clip(TINY)), np.log(test.clip(TINY))
    return float(train[0] - (train[1] + test[0]) / 2 - _allowance(train[2:] - test[1:]) / 2)


def _rest(P: Array, beside: Array | None) -> Array:
    rest: Array = P - P.mean(0)
    if beside is None:
        return rest
    beside = beside - beside.mean(0)
    rest -= (rest * beside).sum(0) / (beside**2).sum(0).clip(TINY) * beside
    return rest


def _allowance(falls: Array) -> float:
    """How much lower the bound of the middle one of the others is on the test rows; a rise is not held against it."""
    return max(0.0, float(np.median(falls))) if len(falls) else 0.0


def _passes(tables: Tables, value: Value, margin: float, homes: Homes) -> bool:
    """Whether a log ratio to a bound is beyond its margin, whatever rows were drawn."""
    size, error = _measured(*tables, value, homes)
    return bool(size - ERRORS * error > np.log(margin))


def _measured(train: Array, test: Array, value: Value, homes: Homes) -> tuple[float, float]:
    """A value of column means, and its standard error by the jackknife over blocks of training and test rows."""
    without = zip(_means_without(train, homes[0]), _means_without(test, homes[1]), strict=True)
    error = np.std([value(*means) for means in without]) * np.sqrt(BLOCKS - 1)
    return value(train.mean(0), test.mean(0)), float(error)


def _means_without(table: Array, home: Codes) -> Array:
    """Column means (blocks, columns) of the rows outside each block."""
    sums = np.stack([np.bincount(home, column, BLOCKS) for column in table.T], 1)
    left = len(table) - np.bincount(home, minlength=BLOCKS)
    means: Array = (sums.sum(0) - sums) / left.clip(1)[:, None]
    return means


def _homes(rows: int, component: npt.NDArray[np.int64] | None) -> Codes:
    """The block of each row; the rows of a component share one."""
    codes = np.arange(rows) if component is None else np.unique(component, return_inverse=True)[1]
    homes: Codes = np.random.default_rng(0).permutation(codes.max() + 1)[codes] % BLOCKS
    return homes
