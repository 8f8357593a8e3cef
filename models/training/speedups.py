"""A network made lean for training: the same maths with less work, undone before the weights are saved."""

import numpy as np

from models.attention import choose_attention
from models.dropout import cheapen_dropout
from models.network import Network
from models.tokens import Tokens
from models.vocabulary import compact


def lean(
    network: Network, tokens: Tokens, rows: np.ndarray, pad: int, cheap_dropout: bool
) -> list[np.random.Generator]:
    """Train the embeddings of the tokens in `rows` and of `pad` alone, and make dropout cheap where that is asked for.

    `rows` are all that the network will be trained on. Returns the generators that it then draws from beside torch's.
    """
    vocabulary = int(network.encoder.get_input_embeddings().num_embeddings)  # type: ignore[operator]
    seen = np.zeros(vocabulary, np.bool_)
    seen[tokens.ids[tokens.places(rows)]] = seen[pad] = True
    compact(network.encoder, np.flatnonzero(seen))
    if not cheap_dropout:
        return []
    choose_attention(network.encoder)
    return [cheapen_dropout(network)]
