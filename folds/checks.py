"""Use of a split: which rows a fit of fold k trains on and which it predicts.

Checks on a split: plain sentences about what it cannot give, for the user to read before hours of training.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
MOST = 20  # sentences; more would hide each other


def valid_folds(fold: IntArray, kind: str) -> list[int]:
    """The folds that have OOF: all from 0 on, for kind time all from 1 on (nothing is earlier than fold 0)."""
    return [int(k) for k in np.unique(fold) if k >= (1 if kind == "time" else 0)]


def valid_rows(fold: IntArray, k: int) -> Mask:
    """Mask (rows,) of the rows that fold `k` validates on."""
    return np.equal(fold, k)


def train_rows(fold: IntArray, k: int, kind: str) -> Mask:
    """Mask (rows,) of the rows that fold `k` trains on: all others, for kind time the earlier folds and -1."""
    return np.less(fold, k) if kind == "time" else np.not_equal(fold, k)


def rarity(truth: npt.NDArray[np.generic], task: str, fold: IntArray, names: Sequence[str], kind: str) -> list[str]:
    """A sentence for each class or label rarer than the folds, or missing in a fold's training or validation part.

    `truth` is (rows,) codes or (rows, labels) 0/1, `names` the classes or labels. The rarest come first, at most 20
    and then a count. Regression has none.
    """
    if task == "regression":
        return []
    present = truth.astype(bool) if task == "multilabel" else truth[:, None] == np.arange(len(names))  # (rows, names)
    noun = "label" if task == "multilabel" else "class"
    folds = valid_folds(fold, kind)
    valid = np.array([present[valid_rows(fold, k)].sum(axis=0) for k in folds])  # (folds, names)
    train = np.array([present[train_rows(fold, k, kind)].sum(axis=0) for k in folds])
    rows = present.sum(axis=0)
    sentences = []
    for column in np.argsort(rows, kind="stable"):
        unseen = [k for k, n in zip(folds, train[:, column], strict=True) if n == 0]
        without = [k for k, n in zip(folds, valid[:, column], strict=True) if n == 0]
        if unseen or without or rows[column] < len(folds):
            parts = [f"{noun} {names[column]}: {_count(int(rows[column]), 'row')}"]
            parts += [f"no OOF in {_listed(without)}"] if without else []
            parts += [f"nothing to train on in {_listed(unseen)}"] if unseen else []
            sentences.append(", ".join(parts))
    return _shortened(sentences, "classes" if noun == "class" else "labels")


def _shortened(sentences: list[str], noun: str) -> list[str]:
    left = len(sentences) - MOST
    return [*sentences[:MOST], f"and {left} more {noun}"] if left > 0 else sentences


def moved_to_train(fold: IntArray, train_only: npt.NDArray[np.bool_]) -> list[str]:
    """A sentence if rows were made train only because they stay together with one flagged so (`train_only`, a mask)."""
    moved = int(((fold == -1) & ~train_only).sum())
    return [f"{_count(moved, 'row')} only trained on, together with a duplicate that is train only"] if moved else []


def parted(fold: IntArray, component: IntArray) -> list[str]:
    """A sentence if rows that should stay together are not (kind predefined alone can do that)."""
    lowest, highest = np.full((2, int(component.max(initial=-1)) + 1), np.iinfo(np.int64).max)
    np.minimum.at(lowest, component, fold)
    np.minimum.at(highest, component, -fold)
    rows = int((lowest != -highest)[component].sum())
    return [f"{_count(rows, 'row')} with a duplicate in another fold: their OOF flatters the score"] if rows else []


def _listed(folds: Sequence[int]) -> str:
    return f"fold{'s' if len(folds) > 1 else ''} {', '.join(map(str, folds))}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
