"""Prediction: rows of like length together, each answer back at its row."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.backbone import Backbone
from models.batches import collate, prediction_batches
from models.device import autocast, pick_precision
from models.network import Network
from models.tokens import Tokens

BATCHES = 4  # a prediction keeps no activations: batches may be this many times larger


def predict(
    network: Network, tokens: Tokens, rows: np.ndarray, training: dict[str, Any], backbone: Backbone
) -> dict[str, np.ndarray]:
    """Predictions of some rows, in their order: (rows, columns) float64 by pooling name."""
    device = next(network.parameters()).device
    precision, batch_size = pick_precision(training["precision"], device), training["batch_size"]
    network.eval()
    parts: dict[str, list[Tensor]] = {name: [] for name in network.names}
    order: list[np.ndarray] = []
    with torch.inference_mode(), autocast(device, precision):
        for places in prediction_batches(tokens.lengths[rows], batch_size * BATCHES):
            order.append(places)
            outputs = network(collate(tokens, rows[places], device, pad_id(backbone)))
            for name, numbers in outputs.items():
                parts[name].append(network.predict(numbers[0]))
    if not order:
        return {name: np.zeros((0, len(network.location))) for name in network.names}
    back = np.argsort(np.concatenate(order))
    return {name: torch.cat(p).cpu().numpy()[back] for name, p in parts.items()}


def pad_id(backbone: Backbone) -> int:
    """The token id that stands in padded places; masked, so any id will do where the tokenizer names none."""
    return int(backbone.tokenizer.pad_token_id or 0)
