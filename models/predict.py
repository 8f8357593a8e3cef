"""Prediction: rows of like length together, each answer back at its row.

What the poolings of a fit look at: the weights of the tokens of a few rows, for people to read.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.batches import AT_ONCE, collate, prediction_batches
from models.device import autocast, prediction_precision, within_memory
from models.encoder.backbone import Backbone
from models.network import Network
from models.tokens import Tokens

ROWS = 16


def predict(
    network: Network,
    tokens: Tokens,
    rows: np.ndarray,
    training: dict[str, Any],
    backbone: Backbone,
    on_batch: Callable[[], None] = lambda: None,
) -> dict[str, np.ndarray]:
    """Predictions of some rows, in their order: (rows, columns) float64 by pooling name.

    Starts again with smaller batches when memory runs out. Raises ModelError when a single text is too much, and
    whatever `on_batch` raises.
    """
    if not len(rows):
        return {name: np.zeros((0, len(network.location))) for name in network.names}
    network.eval()
    longest = int(tokens.lengths[rows].max())
    at_once = AT_ONCE[next(network.parameters()).device.type]

    def work(most: int) -> dict[str, np.ndarray]:
        return _predict(network, tokens, rows, training, backbone, most, on_batch)

    return within_memory(work, at_once, longest)


def _predict(
    network: Network,
    tokens: Tokens,
    rows: np.ndarray,
    training: dict[str, Any],
    backbone: Backbone,
    at_once: int,
    on_batch: Callable[[], None],
) -> dict[str, np.ndarray]:
    device = next(network.parameters()).device
    precision = prediction_precision(training["precision"], device)
    parts: dict[str, list[Tensor]] = {name: [] for name in network.names}
    order: list[np.ndarray] = []
    with torch.inference_mode(), autocast(device, precision):
        for places in prediction_batches(tokens.lengths[rows], at_once):
            order.append(places)
            outputs = network(collate(tokens, rows[places], device, pad_id(backbone)))
            for name, numbers in outputs.items():
                parts[name].append(network.predict(numbers[0]))
            on_batch()
    back = np.argsort(np.concatenate(order))
    return {name: torch.cat(p).cpu().numpy()[back] for name, p in parts.items()}


def pad_id(backbone: Backbone) -> int:
    """The token id that stands in padded places; masked, so any id will do where the tokenizer names none."""
    return int(backbone.tokenizer.pad_token_id or 0)


def looks(network: Network, tokens: Tokens, rows: np.ndarray, backbone: Backbone) -> list[dict[str, Any]]:
    """For some of `rows`, evenly spread: `row`, its `tokens`, and `weights` by pooling and kind of token pool.

    Weights are of sum one in each row, but for rounding; nothing where no pooling weighs tokens.
    """
    if not len(rows) or not network.weighs_tokens:
        return []
    some = rows[np.unique(np.linspace(0, len(rows) - 1, ROWS).astype(int))]
    network.eval()
    with torch.inference_mode():
        seen = network.look(collate(tokens, some, next(network.parameters()).device, pad_id(backbone)))
    found = []
    for place, row in enumerate(some):
        ids = tokens.row(row)

        def weights(of: Tensor, place: int = place, count: int = len(ids)) -> list[float]:
            return [round(weight, 5) for weight in of[place, :count].tolist()]

        by_pooling = {name: {kind: weights(of) for kind, of in kinds.items()} for name, kinds in seen.items() if kinds}
        found.append({"row": int(row), "tokens": _words(backbone, ids), "weights": by_pooling})
    return found


def _words(backbone: Backbone, ids: np.ndarray) -> list[str]:
    """Tokens as people read them, where a tokenizer can say so of one alone."""
    tokens = backbone.tokenizer.convert_ids_to_tokens(ids.tolist())
    return [backbone.tokenizer.convert_tokens_to_string([token]) or token for token in tokens]
