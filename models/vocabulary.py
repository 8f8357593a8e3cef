"""A fit's own vocabulary: in training, embeddings of the tokens that its training texts use, and no others.

A token that no training text uses has a gradient of zero in every step: AdamW does nothing to its embedding but weight
decay. So the table in training holds the used tokens alone, which saves the dense gradient, its norm and most of the
optimizer's state and time (an XLM-R has 250,000 tokens, a competition ten thousand). One more row of ones, used by no
text, records what the decay came to; the embeddings of all other tokens are their pretrained ones times that.
"""

from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F


class CompactEmbedding(nn.Module):
    """In training the rows `used` (n,) of an embedding, found by the same token ids; otherwise all of them.

    In training a token outside of `used` is an IndexError.
    """

    used: Tensor
    places: Tensor

    def __init__(self, full: nn.Embedding, used: np.ndarray) -> None:
        super().__init__()
        self.pretrained = [full]  # in a list: no part of the module, so it neither moves to a GPU nor is saved
        self.num_embeddings = full.num_embeddings
        rows = torch.from_numpy(used.astype(np.int64))
        self.register_buffer("used", rows, persistent=False)
        self.register_buffer("places", torch.full((full.num_embeddings,), len(rows) + 1), persistent=False)
        self.places[rows] = torch.arange(len(rows))
        table = full.weight.detach()
        self.weight = nn.Parameter(torch.cat([table[rows], torch.ones_like(table[:1])]))
        self.whole: Tensor | None = None

    def train(self, mode: bool = True) -> Self:
        """Switch between the two tables."""
        self.whole = None if mode else self.table()
        return super().train(mode)

    def forward(self, ids: Tensor) -> Tensor:
        """(batch, tokens) ids -> (batch, tokens, width)."""
        return F.embedding(self.places[ids], self.weight) if self.whole is None else F.embedding(ids, self.whole)

    def table(self) -> Tensor:
        """(vocabulary, width): every token's embedding as training the whole table would have left it."""
        weight = self.weight.detach()
        table = self.pretrained[0].weight.detach().to(weight.device) * weight[-1]
        table[self.used] = weight[:-1]
        return table


def compact(encoder: Any, used: np.ndarray) -> None:
    """Give an encoder a `CompactEmbedding` of the token ids `used`, unless its embedding is frozen or a special one."""
    full = encoder.get_input_embeddings()
    if type(full) is nn.Embedding and full.weight.requires_grad and full.max_norm is None:
        encoder.set_input_embeddings(CompactEmbedding(full, used))


def restore(encoder: Any) -> None:
    """Undo `compact` after training; without one nothing changes."""
    small = encoder.get_input_embeddings()
    if isinstance(small, CompactEmbedding):
        full = small.pretrained[0]
        full.weight = nn.Parameter(small.table())
        encoder.set_input_embeddings(full)
