"""Batches: rows of like length together, padded on the right to the longest among them.

Always on the right: encoders with absolute positions change under left padding.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.tokens import Tokens

MEGA = 50  # batches sorted by length together: padding all but gone, order still random


def training_batches(
    lengths: np.ndarray, rows: np.ndarray, batch_size: int, rng: np.random.Generator
) -> list[np.ndarray]:
    """One epoch: `rows` shuffled, sorted by length within mega-batches, cut into batches, batches shuffled."""
    order = rng.permutation(rows)
    batches: list[np.ndarray] = []
    for start in range(0, len(order), MEGA * batch_size):
        mega = order[start : start + MEGA * batch_size]
        mega = mega[np.argsort(-lengths[mega], kind="stable")]
        batches += [mega[i : i + batch_size] for i in range(0, len(mega), batch_size)]
    return [batches[i] for i in rng.permutation(len(batches))]


def prediction_batches(lengths: np.ndarray, batch_size: int) -> Iterator[np.ndarray]:
    """Places in `lengths`, longest first, so that running out of memory happens at once or never."""
    order = np.argsort(-lengths, kind="stable")
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]


def collate(tokens: Tokens, rows: np.ndarray, device: torch.device, pad: int) -> dict[str, Tensor]:
    """Inputs of an encoder for some rows: input_ids, attention_mask and, where used, token_type_ids."""
    lengths = tokens.lengths[rows]
    mask = np.arange(int(lengths.max()))[None, :] < lengths[:, None]  # (batch, tokens)
    places = np.concatenate([np.arange(tokens.offsets[r], tokens.offsets[r + 1]) for r in rows])
    ids = np.full(mask.shape, pad, np.int64)
    ids[mask] = tokens.ids[places]
    arrays: dict[str, Any] = {"input_ids": ids, "attention_mask": mask.astype(np.int64)}
    if tokens.types is not None:
        arrays["token_type_ids"] = np.zeros(mask.shape, np.int64)
        arrays["token_type_ids"][mask] = tokens.types[places]
    return {name: torch.from_numpy(array).to(device, non_blocking=True) for name, array in arrays.items()}
