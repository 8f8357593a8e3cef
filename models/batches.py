"""Batches: rows of like length together, padded on the right to the longest among them.

Always on the right: encoders with absolute positions change under left padding.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.tokens import Tokens

AT_ONCE = {"cpu": 1024, "cuda": 16384}  # tokens in a prediction: what the caches hold, what keeps a GPU busy
MEGA = 50  # batches sorted by length together: padding all but gone, order still random


def training_batches(
    lengths: np.ndarray, rows: np.ndarray, batch_size: int, rng: np.random.Generator
) -> list[np.ndarray]:
    """One epoch: `rows` shuffled, sorted by length within mega-batches, cut into batches, batches shuffled.

    The batch of the longest text comes first, so that running out of memory happens at once or never.
    """
    order = rng.permutation(rows)
    batches: list[np.ndarray] = []
    for start in range(0, len(order), MEGA * batch_size):
        mega = order[start : start + MEGA * batch_size]
        mega = mega[np.argsort(-lengths[mega], kind="stable")]
        batches += [mega[i : i + batch_size] for i in range(0, len(mega), batch_size)]
    shuffled = [batches[i] for i in rng.permutation(len(batches))]
    longest = max(range(len(shuffled)), key=lambda i: lengths[shuffled[i][0]] * len(shuffled[i]), default=0)
    return shuffled[longest : longest + 1] + shuffled[:longest] + shuffled[longest + 1 :]


def prediction_batches(lengths: np.ndarray, tokens: int) -> Iterator[np.ndarray]:
    """Places in `lengths`, longest first, cut so that a batch has at most so many `tokens`, padding included."""
    order = np.argsort(-lengths, kind="stable")
    yield from split(order, lengths, tokens)


def split(batch: np.ndarray, lengths: np.ndarray, tokens: int | None) -> Iterator[np.ndarray]:
    """Cut a batch, sorted by falling length, into parts of at most so many `tokens`, padding included, or one row."""
    start = 0
    while start < len(batch):
        size = len(batch) if tokens is None else max(1, tokens // max(1, int(lengths[batch[start]])))
        yield batch[start : start + size]
        start += size


def collate(tokens: Tokens, rows: np.ndarray, device: torch.device, pad: int) -> dict[str, Tensor]:
    """Inputs of a network for some rows: input_ids and, where used, token_type_ids, attention_mask and states.

    Rows of one length need no mask: an encoder is faster without, and no GPU is asked whether it is all ones.
    """
    lengths = tokens.lengths[rows]
    width = padded_width(int(lengths.max()), tokens.longest, device.type)
    mask = np.arange(width)[None, :] < lengths[:, None]  # (batch, tokens)
    places = tokens.places(rows)
    ids = np.full(mask.shape, pad, np.int64)
    ids[mask] = tokens.ids[places]
    arrays: dict[str, Any] = {"input_ids": ids}
    if not mask.all():
        arrays["attention_mask"] = mask.astype(np.int64)
    if tokens.types is not None:
        arrays["token_type_ids"] = np.zeros(mask.shape, np.int64)
        arrays["token_type_ids"][mask] = tokens.types[places]
    inputs = {name: to_device(array, device) for name, array in arrays.items()}
    if tokens.states is not None:
        inputs["states"] = tokens.states.rows(rows, mask.shape[1], device)
    return inputs


def padded_width(length: int, longest: int, device: str) -> int:
    """Tokens to pad a batch to: on a GPU a multiple of 8, which its matrix units like, unless no text is so `longest`.

    Beyond the longest text of all there may be no position embedding.
    """
    return min(-(-length // 8) * 8, longest) if device == "cuda" else length


def to_device(array: np.ndarray, device: torch.device) -> Tensor:
    """An array as a tensor on a device; to a GPU through pinned memory, so that nobody waits for the copy."""
    tensor = torch.from_numpy(array)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor
