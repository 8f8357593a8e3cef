"""Batches: rows of like length together, padded on the right to the longest among them.

Always on the right: encoders with absolute positions change under left padding.
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from models.tokens import Tokens

AT_ONCE = {"cpu": 1024, "cuda": 16384}  # tokens in a prediction: as many as caches hold, enough to keep a GPU busy
MEGA = 50  # batches sorted by length together: little padding, and the order stays random


def make_training_batches(
    lengths: np.ndarray, rows: np.ndarray, batch_size: int, rng: np.random.Generator
) -> list[np.ndarray]:
    """Return the batches of one epoch: shuffle `rows`, sort them by length within mega-batches, shuffle the batches.

    The batch of the longest text comes first, so that memory runs out at once or never.
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


def make_prediction_batches(lengths: np.ndarray, tokens: int) -> Iterator[np.ndarray]:
    """Yield places in `lengths`, longest first, in batches of at most `tokens`, padding included."""
    order = np.argsort(-lengths, kind="stable")
    yield from split_batch(order, lengths, tokens)


def split_batch(batch: np.ndarray, lengths: np.ndarray, tokens: int | None) -> Iterator[np.ndarray]:
    """Split a batch, longest text first, into parts of at most `tokens`, padding included, or of one row."""
    start = 0
    while start < len(batch):
        size = len(batch) if tokens is None else max(1, tokens // max(1, int(lengths[batch[start]])))
        yield batch[start : start + size]
        start += size


def collate(tokens: Tokens, rows: np.ndarray, device: torch.device, pad: int) -> dict[str, Tensor]:
    """Return the inputs of a network for some rows: input_ids and, where used, token_type_ids, attention_mask, states.

    Rows of one length get no mask: the encoder is faster, and does not read from the GPU if the mask is all ones.
    """
    lengths = tokens.lengths[rows]
    width = choose_padded_width(int(lengths.max()), tokens.longest, device.type)
    mask = np.arange(width)[None, :] < lengths[:, None]  # (batch, tokens)
    places = tokens.find_places(rows)
    ids = np.full(mask.shape, pad, np.int64)
    ids[mask] = tokens.ids[places]
    arrays: dict[str, np.ndarray] = {"input_ids": ids}
    if not mask.all():
        arrays["attention_mask"] = mask.astype(np.int64)
    if tokens.types is not None:
        arrays["token_type_ids"] = np.zeros(mask.shape, np.int64)
        arrays["token_type_ids"][mask] = tokens.types[places]
    inputs = {name: move_to_device(array, device) for name, array in arrays.items()}
    if tokens.states is not None:
        inputs["states"] = tokens.states.take(rows, mask.shape[1], device)
    return inputs


def choose_padded_width(length: int, longest: int, device: str) -> int:
    """Return the tokens to pad a batch to: on a GPU a multiple of 8, for its matrix units, but at most `longest`.

    Beyond the longest text of the table there may be no position embedding.
    """
    return min(-(-length // 8) * 8, longest) if device == "cuda" else length


def move_to_device(array: np.ndarray, device: torch.device) -> Tensor:
    """Return an array as a tensor on a device; to a GPU through pinned memory, so that the CPU does not wait."""
    tensor = torch.from_numpy(array)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor
