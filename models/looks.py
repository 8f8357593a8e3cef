"""What the poolings of a fit look at: the weights of the tokens of a few rows, for people to read."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.batches import collate
from models.encoder.backbone import Backbone
from models.network import Network
from models.predict import pad_id
from models.tokens import Tokens

ROWS = 16


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
