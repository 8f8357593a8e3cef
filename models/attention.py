"""Attention on a CPU in training: with dropout, torch's own falls back to plain maths and slow random numbers.

Registered with transformers by name, so that every family that lets its attention be chosen can use it.
"""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from models.dropout import Dropout

NAME = "poolblend"


def attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **others: Any,
) -> tuple[Tensor, Tensor | None]:
    """softmax(query key' * scaling) value with the module's own cheap dropout; torch's where there is none.

    query, key, value: (batch, heads, tokens, width); attention_mask: boolean (batch, 1 or heads, tokens, tokens), true
    where a token may look, or None. Returns (batch, tokens, heads, width).
    """
    cheap = next((child for child in module.children() if isinstance(child, Dropout) and child.p == dropout), None)
    if not dropout or cheap is None or getattr(module, "is_causal", False) or query.shape[1] != key.shape[1]:
        given: Any = sdpa_attention_forward(module, query, key, value, attention_mask, dropout, scaling, **others)
        return given[0], given[1]
    scores = query * (query.shape[-1] ** -0.5 if scaling is None else scaling) @ key.transpose(-1, -2)
    if attention_mask is not None:
        hidden = torch.zeros_like(attention_mask, dtype=scores.dtype)
        scores = scores + hidden.masked_fill_(~attention_mask, torch.finfo(scores.dtype).min)
    mixed = cheap(scores.softmax(-1)) @ value
    return mixed.transpose(1, 2).contiguous(), None


def choose_attention(encoder: Any) -> None:
    """Let an encoder use `attention`, if its family lets attention be chosen; otherwise nothing changes."""
    if not getattr(encoder, "_supports_attention_backend", False) or encoder.config._attn_implementation != "sdpa":
        return
    AttentionInterface.register(NAME, attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    encoder.set_attn_implementation(NAME)
