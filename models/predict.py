"""Prediction: rows of like length in one batch, each prediction back in the place of its row.

`read_token_weights` shows how much each token counts in a few rows, for people to read.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from models import ModelError
from models.batches import AT_ONCE, collate, make_prediction_batches
from models.device import make_autocast, retry_with_smaller_batches
from models.encoder.backbone import Backbone
from models.network import Network
from models.store import TokenWeights
from models.tokens import Tokens

ROWS = 16  # whose token weights are shown


def predict(
    network: Network, tokens: Tokens, rows: np.ndarray, on_batch: Callable[[], None] = lambda: None
) -> dict[str, np.ndarray]:
    """Return the predictions of some rows, in their order: (rows, columns) float64 by pooling name.

    Starts again with smaller batches when memory runs out. Raises ModelError when it runs out on a single text, and
    the errors of `on_batch`.
    """
    if not len(rows):
        return {name: np.zeros((0, len(network.location))) for name in network.names}
    network.eval()

    def predict_in_batches(at_once: int) -> dict[str, np.ndarray]:
        return _predict(network, tokens, rows, at_once, on_batch)

    longest = int(tokens.lengths[rows].max())
    return retry_with_smaller_batches(predict_in_batches, AT_ONCE[network.device.type], longest)


def read_token_weights(network: Network, tokens: Tokens, rows: np.ndarray) -> list[TokenWeights]:
    """Return the token weights of some of `rows`, evenly spread; none where no pooling weighs tokens.

    They are for people to read and no fit may end for them: where memory does not suffice, there are none.
    """
    if not len(rows) or not network.weighs_tokens:
        return []
    chosen = rows[np.unique(np.linspace(0, len(rows) - 1, ROWS).astype(int))]
    network.eval()

    def read_in_batches(at_once: int) -> list[TokenWeights]:
        return _read_token_weights(network, tokens, chosen, at_once)

    longest = int(tokens.lengths[chosen].max())
    try:
        return retry_with_smaller_batches(read_in_batches, AT_ONCE[network.device.type], longest)
    except ModelError:
        return []


def _read_token_weights(network: Network, tokens: Tokens, rows: np.ndarray, at_once: int) -> list[TokenWeights]:
    device = network.device
    backbone = network.design.backbone
    result: dict[int, TokenWeights] = {}
    with torch.inference_mode(), make_autocast(device, network.prediction_precision):
        for places in make_prediction_batches(tokens.lengths[rows], at_once):
            weights = network.weigh_tokens(collate(tokens, rows[places], device, backbone.pad_id))
            for place, row in enumerate(rows[places]):
                ids = tokens.get_row(row)
                by_pooling = {
                    name: {kind: _round(values[place, : len(ids)]) for kind, values in kinds.items()}
                    for name, kinds in weights.items()
                    if kinds
                }
                result[int(row)] = TokenWeights(int(row), _decode_tokens(backbone, ids), by_pooling)
    return [result[row] for row in sorted(result)]


def _predict(
    network: Network, tokens: Tokens, rows: np.ndarray, at_once: int, on_batch: Callable[[], None]
) -> dict[str, np.ndarray]:
    device = network.device
    pad_id = network.design.backbone.pad_id
    parts: dict[str, list[Tensor]] = {name: [] for name in network.names}
    order: list[np.ndarray] = []
    with torch.inference_mode(), make_autocast(device, network.prediction_precision):
        for places in make_prediction_batches(tokens.lengths[rows], at_once):
            order.append(places)
            outputs = network(collate(tokens, rows[places], device, pad_id))
            for name, samples in outputs.items():
                parts[name].append(network.predict(samples[0]))
            on_batch()
    back = np.argsort(np.concatenate(order))
    return {name: torch.cat(batches).cpu().numpy()[back] for name, batches in parts.items()}


def _round(weights: Tensor) -> list[float]:
    return [round(weight, 5) for weight in weights.tolist()]


def _decode_tokens(backbone: Backbone, ids: np.ndarray) -> list[str]:
    """Return tokens as text where the tokenizer can decode a single one, else as the tokenizer writes them."""
    tokens = backbone.tokenizer.convert_ids_to_tokens(ids.tolist())
    return [backbone.tokenizer.convert_tokens_to_string([token]) or token for token in tokens]
