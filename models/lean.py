"""A network made lean for training: the same maths with less work, undone before the weights are saved."""

from collections.abc import Sequence

import numpy as np
import torch

from models.attention import choose_attention
from models.dropout import cheapen_dropout
from models.network import Network
from models.vocabulary import compact, restore


def lean(network: Network, texts: Sequence[np.ndarray], pad: int, device: torch.device) -> None:
    """Train the embeddings of the tokens in `texts` and of `pad` alone, and on the CPU make dropout cheap.

    `texts` are arrays of token ids: all that the network will be trained on.
    """
    compact(network.encoder, np.unique(np.concatenate([*texts, np.array([pad], np.int32)])))
    if device.type == "cpu":
        cheapen_dropout(network)
        choose_attention(network.encoder)


def fatten(network: Network) -> None:
    """Give the network an ordinary embedding of every token again, to be saved."""
    restore(network.encoder)
