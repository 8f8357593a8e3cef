"""Exact speed-ups of training: the same maths with less work, undone before the weights are saved.

Dropout. On a CPU torch draws a Mersenne Twister number for each element on one core: a tenth of a training step of a
small encoder. Here one 64-bit number of SFC64 decides four elements. The maths is that of `nn.Dropout`, with p in steps
of 1/65536. A GPU draws in parallel and keeps torch's dropout; so does gradient checkpointing, which can repeat only the
draws of torch.

Attention. With dropout on a CPU, torch's attention falls back to plain maths and slow random numbers. The one here is
registered with transformers by name, so that every family that lets its attention be chosen can use it.

Embeddings. A token that no training text uses has a gradient of zero in every step: AdamW only applies weight decay to
its embedding. So the table in training holds the used tokens alone, which saves the dense gradient, its norm and most
of the optimizer's state and time (an XLM-R has 250,000 tokens, a competition ten thousand). One more row of ones, used
by no text, records the decay; the embeddings of all other tokens are their pretrained ones times that row.
"""

from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from models.encoder.pretrained import count_embeddings
from models.network import Network
from models.tokens import Tokens

STEPS = 1 << 16  # values of the 16 bits that decide one element
NAME = "poolblend"


def apply_speedups(
    network: Network, tokens: Tokens, rows: np.ndarray, replaces_dropout: bool
) -> list[np.random.Generator]:
    """Train the embeddings of the tokens in `rows` and of padding alone and, if asked, replace dropout and attention.

    `rows` are all rows that the network is trained on. Returns the generators that it then draws from beside torch's.
    """
    vocabulary = count_embeddings(network.encoder)
    used = np.zeros(vocabulary, np.bool_)
    used[tokens.ids[tokens.find_places(rows)]] = True
    used[network.design.backbone.pad_id] = True
    compact_embedding(network.encoder, np.flatnonzero(used))
    if not replaces_dropout:
        return []
    choose_attention(network.encoder)
    return [replace_dropout(network)]


class Dropout(nn.Module):
    """`nn.Dropout` for the CPU. All dropouts of a network share `source`, and draw from it in the order of the pass."""

    def __init__(self, p: float, source: np.random.Generator) -> None:
        super().__init__()
        self.p = p
        self.source = source

    def forward(self, states: Tensor) -> Tensor:
        """Any shape in, the same out: in training zero with probability p, and scaled by 1 / (1 - p) otherwise."""
        if not (self.training and self.p):
            return states
        dropped = min(round(self.p * STEPS), STEPS - 1)
        scale = STEPS / (STEPS - dropped)
        keep = draw_kept(states.shape, dropped, self.source, states.dtype)
        if states.dtype == torch.float32:
            return states * keep.mul_(scale)  # a pass less in either direction
        return states * keep * scale  # in bfloat16 the scale itself would be rounded

    def extra_repr(self) -> str:
        """Show p as `nn.Dropout` does."""
        return f"p={self.p}"


def replace_dropout(network: nn.Module) -> np.random.Generator:
    """Replace every `nn.Dropout` of a network by `Dropout`; returns their generator, seeded by torch's."""
    seed = int(torch.randint(2**62, ()))
    source = np.random.Generator(np.random.SFC64(seed))
    for module in list(network.modules()):
        for name, child in module.named_children():
            if type(child) is nn.Dropout:
                setattr(module, name, Dropout(child.p, source))
    return source


def draw_kept(shape: torch.Size, dropped: int, source: np.random.Generator, dtype: torch.dtype) -> Tensor:
    """Return a tensor of ones, with zeros at `dropped` in 65536 places on average."""
    count = shape.numel()
    draws = source.integers(0, 2**64, -(-count // 4), dtype=np.uint64).view(np.int16)[:count]
    keep = torch.empty(shape, dtype=dtype)
    # The comparison writes numbers: torch is several times slower with booleans.
    return torch.ge(torch.from_numpy(draws).view(shape), dropped - STEPS // 2, out=keep)


def choose_attention(encoder: Any) -> None:
    """Make an encoder use `compute_attention`, if its family lets attention be chosen."""
    if not getattr(encoder, "_supports_attention_backend", False) or encoder.config._attn_implementation != "sdpa":
        return
    AttentionInterface.register(NAME, compute_attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    encoder.set_attn_implementation(NAME)


def compute_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **others: Any,
) -> tuple[Tensor, Tensor | None]:
    """Compute softmax(query key' * scaling) value with the module's own `Dropout`; torch's way where it has none.

    query, key, value: (batch, heads, tokens, width); attention_mask: boolean (batch, 1 or heads, tokens, tokens), true
    where a token may attend, or None. Returns (batch, tokens, heads, width).
    """
    own = next((child for child in module.children() if isinstance(child, Dropout) and child.p == dropout), None)
    if not dropout or own is None or getattr(module, "is_causal", False) or query.shape[1] != key.shape[1]:
        result: Any = sdpa_attention_forward(module, query, key, value, attention_mask, dropout, scaling, **others)
        return result[0], result[1]
    scores = query * (query.shape[-1] ** -0.5 if scaling is None else scaling) @ key.transpose(-1, -2)
    if attention_mask is not None:
        hidden = torch.zeros_like(attention_mask, dtype=scores.dtype)
        scores = scores + hidden.masked_fill_(~attention_mask, torch.finfo(scores.dtype).min)
    mixed = own(scores.softmax(-1)) @ value
    return mixed.transpose(1, 2).contiguous(), None


class CompactEmbedding(nn.Module):
    """In training only the rows `used` (n,) of an embedding, looked up by the same token ids; otherwise all of them.

    In training a token outside of `used` raises an IndexError.
    """

    used: Tensor
    places: Tensor

    def __init__(self, full: nn.Embedding, used: np.ndarray) -> None:
        super().__init__()
        self.pretrained = [full]  # in a list it is no submodule: it stays on its device and is not saved
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
        self.whole = None if mode else self.build_table()
        return super().train(mode)

    def forward(self, ids: Tensor) -> Tensor:
        """(batch, tokens) ids -> (batch, tokens, width)."""
        return F.embedding(self.places[ids], self.weight) if self.whole is None else F.embedding(ids, self.whole)

    def build_table(self) -> Tensor:
        """Return (vocabulary, width): every token's embedding as training of the whole table would have left it."""
        weight = self.weight.detach()
        table = self.pretrained[0].weight.detach().to(weight.device) * weight[-1]
        table[self.used] = weight[:-1]
        return table


def compact_embedding(encoder: Any, used: np.ndarray) -> None:
    """Give an encoder a `CompactEmbedding` of the token ids `used`, unless its embedding is frozen or a special one."""
    full = encoder.get_input_embeddings()
    if type(full) is nn.Embedding and full.weight.requires_grad and full.max_norm is None:
        encoder.set_input_embeddings(CompactEmbedding(full, used))


def restore_embedding(encoder: Any) -> None:
    """Undo `compact_embedding` after training; without one nothing changes."""
    compact = encoder.get_input_embeddings()
    if isinstance(compact, CompactEmbedding):
        full = compact.pretrained[0]
        full.weight = nn.Parameter(compact.build_table())
        encoder.set_input_embeddings(full)
