"""The rows of a fold, and warnings about a split: sentences for the user to read before hours of training."""

from collections.abc import Sequence

import numpy as np

from folds.duplicates import encode_values
from folds.types import AnyArray, IntArray, Mask

MAX_SENTENCES = 20
UNEVEN = 1.5  # times as many rows


def list_valid_folds(fold: IntArray, kind: str) -> list[int]:
    """Return the folds that have OOF: all from 0 on; for kind time from 1 on, as nothing is earlier than fold 0."""
    first = 1 if kind == "time" else 0
    return [int(k) for k in np.unique(fold) if k >= first]


def select_valid_rows(fold: IntArray, k: int) -> Mask:
    """Return a mask (rows,) of the rows that fold `k` validates on."""
    return np.equal(fold, k)


def select_train_rows(fold: IntArray, k: int, kind: str) -> Mask:
    """Return a mask (rows,) of the rows that fold `k` trains on: all others, for kind time the earlier folds and -1."""
    return np.less(fold, k) if kind == "time" else np.not_equal(fold, k)


def describe_rare_classes(truth: AnyArray, task: str, fold: IntArray, names: Sequence[str], kind: str) -> list[str]:
    """Return a sentence for each class or label that is rarer than the folds, or missing in a part of a fold.

    `truth` is (rows,) codes or (rows, labels) 0/1; `names` are the classes or labels. The rarest come first; after 20
    sentences there is a count. Regression has none.
    """
    if task == "regression":
        return []
    noun, plural = ("label", "labels") if task == "multilabel" else ("class", "classes")
    present = truth.astype(bool) if task == "multilabel" else truth[:, None] == np.arange(len(names))  # (rows, names)
    folds = list_valid_folds(fold, kind)
    valid = np.array([present[select_valid_rows(fold, k)].sum(axis=0) for k in folds])  # (folds, names)
    train = np.array([present[select_train_rows(fold, k, kind)].sum(axis=0) for k in folds])
    rows = present.sum(axis=0)
    sentences = []
    for column in np.argsort(rows, kind="stable"):
        untrained = [k for k, count in zip(folds, train[:, column], strict=True) if count == 0]
        unvalidated = [k for k, count in zip(folds, valid[:, column], strict=True) if count == 0]
        if untrained or unvalidated or rows[column] < len(folds):
            parts = [f"{noun} {names[column]}: {_format_count(int(rows[column]), 'row')}"]
            if unvalidated:
                parts.append(f"no OOF in {_format_folds(unvalidated)}")
            if untrained:
                parts.append(f"nothing to train on in {_format_folds(untrained)}")
            sentences.append(", ".join(parts))
    more = len(sentences) - MAX_SENTENCES
    return [*sentences[:MAX_SENTENCES], f"and {more} more {plural}"] if more > 0 else sentences


def describe_moved_rows(fold: IntArray, train_only: Mask) -> list[str]:
    """Return a sentence if rows only train because a row of their component is flagged so in `train_only` (rows,)."""
    moved = int(((fold == -1) & ~train_only).sum())
    return (
        [f"{_format_count(moved, 'row')} only trained on, together with a duplicate that is train only"]
        if moved
        else []
    )


def describe_uneven_folds(fold: IntArray, component: IntArray) -> list[str]:
    """Return a sentence if the largest fold has more than half as many rows again as the smallest one."""
    sizes = np.bincount(fold[fold >= 0])
    sizes = sizes[sizes > 0]
    if sizes.max() <= UNEVEN * sizes.min() or sizes.max() - sizes.min() <= 5:
        return []
    largest = int(np.bincount(component).max())
    return [f"folds hold {sizes.min():,} to {sizes.max():,} rows, because up to {largest:,} rows must share a fold"]


def describe_chain(
    texts: Sequence[str], groups: Sequence[object], links: Sequence[IntArray], component: IntArray, count: int
) -> list[str]:
    """Return a sentence if texts that several groups share chain them to more rows than a fold should have.

    `links` are the codes (rows,) of equal texts. The text that links most groups is named.
    """
    largest = np.bincount(component).argmax()
    rows = component == largest
    group_codes = encode_values(list(groups))
    if rows.sum() <= UNEVEN * len(rows) / count or len(np.unique(group_codes[rows])) < 2:
        return []
    best, linked = -1, 1
    for codes in links:
        pairs = np.unique(np.stack([codes, group_codes])[:, rows & (codes >= 0)], axis=1)
        numbers, counts = np.unique(pairs[0], return_counts=True)
        if len(counts) and counts.max() > linked:
            best, linked = int(np.flatnonzero(codes == numbers[counts.argmax()])[0]), int(counts.max())
    if best < 0:
        return []
    text = texts[best] if len(texts[best]) < 40 else texts[best][:40] + "..."
    return [
        f"the text {text!r} is in {linked:,} groups; such texts chain {int(rows.sum()):,} of {len(rows):,} rows, which "
        "must share a fold; folds.together: null keeps together the rows of a group alone"
    ]


def describe_split_duplicates(fold: IntArray, component: IntArray) -> list[str]:
    """Return a sentence if rows of one component are in several folds, which kinds predefined and time allow."""
    components = int(component.max(initial=-1)) + 1
    lowest = np.full(components, np.iinfo(np.int64).max)
    highest = np.full(components, np.iinfo(np.int64).min)
    np.minimum.at(lowest, component, fold)
    np.maximum.at(highest, component, fold)
    rows = int((lowest != highest)[component].sum())
    return (
        [f"{_format_count(rows, 'row')} with a duplicate in another fold: their OOF score is too good"] if rows else []
    )


def _format_folds(folds: Sequence[int]) -> str:
    return f"fold{'s' if len(folds) > 1 else ''} {', '.join(map(str, folds))}"


def _format_count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
