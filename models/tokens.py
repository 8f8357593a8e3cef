"""Texts as token ids: encoded once, cut to length, kept flat.

A long text keeps its head, its tail, or both ends. All three are one rule, applied to the ids between the special
tokens, which a cut text keeps. Of the two texts of a pair the longer one is cut first.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from models import ModelError
from models.settings import SEPARATOR

CHUNK = 512  # texts tokenised at once: a tokenizer's output is a hundred times as large as the ids in it


@dataclass(frozen=True)
class StoredStates:
    """States of many texts, flat like `Tokens`: those of text i are `values[:, offsets[i]:offsets[i + 1]]`."""

    values: np.ndarray  # (states, all tokens, width) float32, on disk
    offsets: np.ndarray  # (texts + 1,) int64

    def take(self, rows: np.ndarray, length: int, device: torch.device) -> Tensor:
        """Return (states, rows, length, width) of some texts on a device, zero after each text's end."""
        shape = (len(self.values), len(rows), length, self.values.shape[-1])
        padded = torch.zeros(shape, pin_memory=device.type == "cuda")
        array = padded.numpy()
        for place, row in enumerate(rows):
            start, end = self.offsets[row], self.offsets[row + 1]
            array[:, place, : end - start] = self.values[:, start:end]
        return padded.to(device, non_blocking=True)


@dataclass(frozen=True)
class Tokens:
    """Token ids of many texts, one after the other: text i is `ids[offsets[i]:offsets[i + 1]]`."""

    ids: np.ndarray  # (all tokens,) int32
    types: np.ndarray | None  # (all tokens,) uint8 segment of each token, where the backbone uses segments
    offsets: np.ndarray  # (texts + 1,) int64
    states: StoredStates | None = None  # hidden states from frozen layers, where there are any

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @cached_property
    def lengths(self) -> np.ndarray:
        """(texts,) number of tokens."""
        return np.diff(self.offsets)

    @cached_property
    def longest(self) -> int:
        """Tokens of the longest text."""
        return int(self.lengths.max(initial=0))

    def get_row(self, index: int) -> np.ndarray:
        """Return the token ids of one text."""
        return self.ids[self.offsets[index] : self.offsets[index + 1]]

    def find_places(self, rows: np.ndarray) -> np.ndarray:
        """Return where the tokens of some texts are in `ids`, one text after the other."""
        lengths = self.lengths[rows]
        before = np.cumsum(lengths) - lengths
        places: np.ndarray = np.arange(lengths.sum()) + np.repeat(self.offsets[rows] - before, lengths)
        return places


def encode_texts(
    tokenizer: Any,
    texts: Sequence[Sequence[str]],
    *,
    max_length: int,
    keep: str,
    separator: str = SEPARATOR,
) -> Tokens:
    """Encode texts, each a sequence of one string or two (a pair), with special tokens, cut to `max_length`.

    [SEP] in a text becomes `separator`. A text without any token, as an empty one is to a decoder, gets one that says
    nothing. Raises ModelError if `max_length` leaves no room between the special tokens.
    """
    parts = [(np.zeros(0, np.int32), np.zeros(0, np.uint8), np.zeros(0, np.int64))]  # for a table without texts
    segments = "token_type_ids" in tokenizer.model_input_names
    bar = tqdm(total=len(texts), desc="tokenising", unit="text", delay=2, disable=None, leave=False)
    for start in range(0, len(texts), CHUNK):
        chunk = texts[start : start + CHUNK]
        columns = [list(column) for column in zip(*chunk, strict=True)]
        if separator != SEPARATOR:
            columns = [[text.replace(SEPARATOR, separator) for text in column] for column in columns]
        coded = tokenizer(*columns, return_token_type_ids=False, return_attention_mask=False, verbose=False)
        ids, types, lengths = _flatten(coded.encodings, max_length, keep)
        if not lengths.all():
            places = (np.cumsum(lengths) - lengths)[lengths == 0]
            ids, types = np.insert(ids, places, find_empty_token(tokenizer)), np.insert(types, places, 0)
            lengths = np.maximum(lengths, 1)
        parts.append((ids, types, lengths))
        bar.update(len(chunk))
    bar.close()
    ids, types, lengths = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return Tokens(ids, types if segments else None, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))


def find_empty_token(tokenizer: Any) -> int:
    """Return the token id of a text without tokens: the tokenizer's end, padding, beginning or unknown token."""
    names = ("eos_token_id", "pad_token_id", "bos_token_id", "unk_token_id")
    return next((int(id) for name in names if (id := getattr(tokenizer, name, None)) is not None), 0)


def find_separator(tokenizer: Any) -> str:
    """Return what stands between two texts in one: the tokenizer's separator, its end token, or else a line's end.

    An end token in the middle of a text is none that a decoder has learned to read on from.
    """
    if tokenizer.sep_token:
        return str(tokenizer.sep_token)
    ends_texts = tokenizer.eos_token_id is not None and tokenizer("a").input_ids[-1:] == [tokenizer.eos_token_id]
    return str(tokenizer.eos_token) if ends_texts else "\n"


def _flatten(encodings: Sequence[Any], max_length: int, keep: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return token ids and segments of encoded texts, one after the other, and the (texts,) numbers of their tokens."""
    lengths = np.fromiter(map(len, encodings), np.int64)
    ids = np.fromiter(chain.from_iterable(encoding.ids for encoding in encodings), np.int32)
    types = np.fromiter(chain.from_iterable(encoding.type_ids for encoding in encodings), np.uint8)
    long = np.flatnonzero(lengths > max_length).tolist()
    if long:
        kept = np.ones(len(ids), bool)
        ends = np.cumsum(lengths)
        for row in long:
            kept[ends[row] - lengths[row] : ends[row]] = _choose_kept(encodings[row], max_length, keep)
        ids, types = ids[kept], types[kept]
    return ids, types, np.minimum(lengths, max_length)


def _choose_kept(encoding: Any, max_length: int, keep: str) -> np.ndarray:
    """Return (tokens,) booleans: the `max_length` tokens that are kept of a longer text."""
    part = np.array([-1 if s is None else s for s in encoding.sequence_ids])
    room = max_length - int((part == -1).sum())
    if room < 1:
        raise ModelError(f"training.max_length is {max_length}, which leaves no room between the special tokens")
    kept: np.ndarray = part == -1
    lengths = [int((part == side).sum()) for side in (0, 1)]
    for side, quota in enumerate(_share_room(lengths, room)):
        places = np.flatnonzero(part == side)
        head = {"head": quota, "tail": 0, "both": (quota + 1) // 2}[keep]
        kept[places[:head]] = True
        kept[places[len(places) - (quota - head) :]] = True
    return kept


def _share_room(lengths: list[int], room: int) -> list[int]:
    """Return the tokens of `room` for each text of a pair: the longer one is cut first, until both are equal."""
    short, long = sorted(lengths)
    kept_short = min(short, room // 2)
    kept_long = min(long, room - kept_short)
    return [kept_short, kept_long] if lengths[0] <= lengths[1] else [kept_long, kept_short]
