"""Texts that are nearly the same: rows that share one must share a fold.

Two rows are linked by equal texts up to case, punctuation and space (after Unicode's NFKC); for a pair in either order;
by an equal long text in one of several columns, such as the same tweet under another keyword; and by a long text that
stands whole inside another one.
"""

import unicodedata
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from folds.types import IntArray

LONG = 20  # normalised characters from which a column's text, or a text inside another, says which row it is
WORDS = 8  # of a long text inside another one
MOST_ROWS = 0.02  # of all rows that one value of a column may link; more is a category, such as the prompt of an essay
MOST_TEXTS = 200_000  # whose words are compared with one another: 35 microseconds and 1 KB a text
FEW = 5  # rows that it may link in any table
PRIME = np.uint64(0x9E3779B97F4A7C15)

Parts = Mapping[str, Sequence[str]]  # texts by column


def link_duplicates(texts: Sequence[str], parts: Parts, is_pair: bool = False) -> list[IntArray]:
    """Return arrays of codes (rows,): rows with an equal code are linked, -1 links nothing.

    `texts` are what a model reads, `parts` the columns that they are made of, with a name each; two columns of a pair
    are exchangeable.
    """
    normalised = {name: normalise_texts(column) for name, column in parts.items()}
    if is_pair:
        first, second = normalised.values()
        whole = ["\n".join(sorted(pair)) if any(pair) else "" for pair in zip(first, second, strict=True)]
    elif len(normalised) == 1:
        [whole] = normalised.values()
    else:
        whole = normalise_texts(texts)
    links = [encode_values(whole)]
    if len(normalised) > 1:
        links += [link_long_texts(column) for column in normalised.values()]
    if len(texts) <= MOST_TEXTS:
        links += [link_contained_texts(column) for column in parts.values()]
    return [codes for codes in links if (codes >= 0).any()]


def link_column(values: Sequence[str]) -> IntArray:
    """Return the code of each text of a column (rows,), -1 for an empty one, however many rows share it."""
    return encode_values(normalise_texts(values))


def link_long_texts(normalised: Sequence[str]) -> IntArray:
    """Return the code of each long text of a column (rows,), -1 for a short one or one that too many rows share."""
    codes = encode_values([text if len(text) >= LONG else "" for text in normalised])
    return _drop_common(codes)


def link_contained_texts(texts: Sequence[str]) -> IntArray:
    """Return a code for each row (rows,) that holds the whole text of another row, and for that one; else -1.

    A text counts from 8 words and 20 characters on. Its first 8 words are looked up by a hash among all runs of 8 words
    of the table, and what is found is compared word by word.
    """
    words = [_split_words(text) for text in texts]
    lengths = np.array([len(row) for row in words], dtype=np.int64)
    codes: IntArray = np.full(len(words), -1, dtype=np.int64)
    if not (lengths >= WORDS).any():
        return codes
    hashes = pd.util.hash_array(np.array([word for row in words for word in row], dtype=object))
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    runs = np.zeros(len(hashes) - WORDS + 1, dtype=np.uint64)
    for place in range(WORDS):
        runs = runs * PRIME + hashes[place : len(hashes) - WORDS + 1 + place]
    owner = np.repeat(np.arange(len(words)), lengths)[: len(runs)]
    is_whole = np.arange(len(runs)) - starts[owner] + WORDS <= lengths[owner]  # the run ends in its row
    heads: dict[int, list[int]] = {}  # rows by the hash of their first words
    is_long = (lengths >= WORDS) & (np.array([sum(map(len, row)) for row in words]) >= LONG)
    for number in np.flatnonzero(is_long).tolist():
        heads.setdefault(int(runs[starts[number]]), []).append(number)
    found = np.flatnonzero(is_whole & np.isin(runs, np.array(list(heads), dtype=np.uint64)))
    parents = list(range(len(words)))

    def find_root(number: int) -> int:
        while parents[number] != number:
            parents[number] = parents[parents[number]]
            number = parents[number]
        return number

    holders: dict[int, list[int]] = {}  # rows that hold the text of a row
    for start in found.tolist():
        holder = int(owner[start])
        offset = start - int(starts[holder])
        for inner in heads[int(runs[start])]:
            if inner != holder and words[holder][offset : offset + len(words[inner])] == words[inner]:
                holders.setdefault(inner, []).append(holder)
    most = max(FEW, int(MOST_ROWS * len(words)))
    for inner, outer in holders.items():
        if len(set(outer)) < most:  # else a phrase that many texts begin or end with
            for holder in outer:
                parents[find_root(holder)] = find_root(inner)
    roots = np.array([find_root(number) for number in range(len(words))])
    linked = np.bincount(roots, minlength=len(words))[roots] > 1
    codes[linked] = roots[linked]
    return codes


def normalise_texts(texts: Sequence[str]) -> list[str]:
    """Return each text in NFKC and folded case, without punctuation, symbols and white space.

    A text with nothing else in it (only emoji, for example) is stripped and otherwise kept.
    """
    table = _CharacterTable()
    return [
        unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold()).translate(table) or text.strip()
        for text in texts
    ]


def encode_values(values: Sequence[object]) -> IntArray:
    """Return a code for each value (rows,), -1 where it is missing or an empty text."""
    present = np.array([None if isinstance(value, str) and not value else value for value in values], dtype=object)
    return pd.factorize(present)[0].astype(np.int64)


def _drop_common(codes: IntArray) -> IntArray:
    """Return the codes without those that are in more than 2 % of the rows, and in more than 5."""
    counts = np.bincount(codes[codes >= 0], minlength=1)
    common: npt.NDArray[np.bool_] = counts > max(FEW, MOST_ROWS * len(codes))
    return np.where((codes >= 0) & common[codes], -1, codes)


def _split_words(text: str) -> list[str]:
    words = (unicodedata.normalize("NFKC", text)).casefold().split()
    table = _WORD_TABLE
    return [word for word in (word.translate(table) for word in words) if word]


class _CharacterTable(dict[int, int | None]):
    """A table for `str.translate` that drops all but letters, digits and marks; filled as characters turn up."""

    def __missing__(self, code: int) -> int | None:
        category = unicodedata.category(chr(code))
        # A variation selector is a mark to Unicode; kept, it would make one text of all emoji that carry it.
        is_selector = 0xFE00 <= code <= 0xFE0F or 0xE0100 <= code <= 0xE01EF
        self[code] = None if category[0] in "PSZC" or is_selector else code
        return self[code]


_WORD_TABLE = _CharacterTable()
