"""Components: rows that must share a fold, because a model that trained on one of them nearly knows the others."""

from collections.abc import Sequence

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from folds.duplicates import encode_values
from folds.types import IntArray


def find_components(rows: int, links: Sequence[IntArray], groups: Sequence[object] | None = None) -> IntArray:
    """Return the component of each row (rows,), numbered from 0 in order of first appearance.

    Two rows are in one component when a chain of equal groups, or of equal codes of one of the `links` (rows,), links
    them. Missing groups and code -1 link nothing.
    """
    return _connect_rows(rows, [*links, *([] if groups is None else [encode_values(groups)])])


def _connect_rows(rows: int, links: Sequence[IntArray]) -> IntArray:
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
