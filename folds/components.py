"""Components: rows that must stay together because a model that saw one has as good as seen the other."""

import unicodedata
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

IntArray = npt.NDArray[np.int64]


class _Letters(dict[int, int | None]):
    """Table for `str.translate` that drops all but letters, digits and marks, filled as characters turn up."""

    def __missing__(self, code: int) -> int | None:
        category = unicodedata.category(chr(code))
        # A variation selector is a mark to Unicode; kept, it would make all the emoji that carry it one text.
        drop = category[0] in "PSZC" or 0xFE00 <= code <= 0xFE0F or 0xE0100 <= code <= 0xE01EF
        self[code] = None if drop else code
        return self[code]


def fold_texts(texts: Sequence[str]) -> list[str]:
    """Each text in folded case, without punctuation, symbols and white space.

    A text of which nothing remains (emoji only, say) is its stripped self.
    """
    letters = _Letters()
    return [text.casefold().translate(letters) or text.strip() for text in texts]


def components(texts: Sequence[str], groups: Sequence[object] | None = None, duplicates: bool = True) -> IntArray:
    """Component of each row (rows,), numbered from 0 in order of first appearance.

    Two rows are in one component when a chain of equal groups or, with `duplicates`, equal folded texts links them. An
    empty text links to nothing, nor does a missing group.
    """
    rows = len(texts)
    links: list[IntArray] = []
    if duplicates:
        links.append(_codes(fold_texts(texts)))
    if groups is not None:
        links.append(_codes(groups))
    return _connected(rows, links)


def _codes(values: Sequence[object]) -> IntArray:
    """Code of each value (rows,), -1 where it is missing or an empty text."""
    present = np.array([None if isinstance(value, str) and not value else value for value in values], dtype=object)
    return pd.factorize(present)[0].astype(np.int64)


def _connected(rows: int, links: list[IntArray]) -> IntArray:
    """Components of the graph whose nodes are the rows and, after them, the values that rows share."""
    nodes, row_ends, value_ends = rows, [], []
    for codes in links:
        linked = np.flatnonzero(codes >= 0)
        row_ends.append(linked)
        value_ends.append(nodes + codes[linked])
        nodes += int(codes.max(initial=-1)) + 1
    if not links:
        return np.arange(rows, dtype=np.int64)
    ends = (np.concatenate(row_ends), np.concatenate(value_ends))
    graph = coo_array((np.ones(len(ends[0]), dtype=np.int8), ends), shape=(nodes, nodes))
    _, labels = connected_components(graph.tocsr(), directed=False)
    return np.unique(labels[:rows], return_inverse=True)[1].astype(np.int64)
