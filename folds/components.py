"""Components: rows that must share a fold, because a model that trained on one of them nearly knows the others."""

import unicodedata
from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from folds.types import IntArray


def find_components(texts: Sequence[str], groups: Sequence[object] | None = None, duplicates: bool = True) -> IntArray:
    """Return the component of each row (rows,), numbered from 0 in order of first appearance.

    Two rows are in one component when a chain of equal groups or, with `duplicates`, of equal normalised texts links
    them. Empty texts and missing groups link nothing.
    """
    links: list[IntArray] = []
    if duplicates:
        links.append(_encode_values(normalise_texts(texts)))
    if groups is not None:
        links.append(_encode_values(groups))
    return _connect_rows(len(texts), links)


def normalise_texts(texts: Sequence[str]) -> list[str]:
    """Return each text in folded case, without punctuation, symbols and white space.

    A text with nothing else in it (only emoji, for example) is stripped and otherwise kept.
    """
    table = _CharacterTable()
    return [text.casefold().translate(table) or text.strip() for text in texts]


class _CharacterTable(dict[int, int | None]):
    """A table for `str.translate` that drops all but letters, digits and marks; filled as characters turn up."""

    def __missing__(self, code: int) -> int | None:
        category = unicodedata.category(chr(code))
        # A variation selector is a mark to Unicode; kept, it would make one text of all emoji that carry it.
        is_selector = 0xFE00 <= code <= 0xFE0F or 0xE0100 <= code <= 0xE01EF
        self[code] = None if category[0] in "PSZC" or is_selector else code
        return self[code]


def _encode_values(values: Sequence[object]) -> IntArray:
    """Return a code for each value (rows,), -1 where it is missing or an empty text."""
    present = np.array([None if isinstance(value, str) and not value else value for value in values], dtype=object)
    return pd.factorize(present)[0].astype(np.int64)


def _connect_rows(rows: int, links: list[IntArray]) -> IntArray:
    """Return the connected components of a graph whose nodes are the rows and, after them, the values they share."""
    if not links:
        return np.arange(rows, dtype=np.int64)
    nodes = rows
    row_ends: list[IntArray] = []
    value_ends: list[IntArray] = []
    for codes in links:
        linked = np.flatnonzero(codes >= 0)
        row_ends.append(linked)
        value_ends.append(nodes + codes[linked])
        nodes += int(codes.max(initial=-1)) + 1
    edges = (np.concatenate(row_ends), np.concatenate(value_ends))
    graph = coo_array((np.ones(len(edges[0]), dtype=np.int8), edges), shape=(nodes, nodes))
    _, labels = connected_components(graph.tocsr(), directed=False)
    return np.unique(labels[:rows], return_inverse=True)[1].astype(np.int64)
