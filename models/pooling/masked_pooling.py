"""Pooling: a layer mix, then one token pool or several side by side."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from models.pooling.layer_mixes import build_layer_mix
from models.pooling.token_pools import build_token_pool
from models.settings import PoolingSettings


class Pooling(nn.Module):
    """From hidden states to one vector per text, computed in float32 or wider.

    `depth` counts the hidden states of the backbone, embeddings included; `self.width` is the width of the output.
    Raises ModelError if a kind is unknown or does not fit the backbone.
    """

    def __init__(self, settings: PoolingSettings, *, depth: int, width: int, idf: Tensor) -> None:
        super().__init__()
        mix: Any = build_layer_mix(settings.layers, layers=depth, width=width)
        pools: list[Any] = [build_token_pool(pool, width=mix.width, idf=idf) for pool in settings.tokens]
        self.mix = mix
        self.pools = nn.ModuleList(pools)
        self.width = sum(pool.width for pool in pools)
        self.needs_all_layers = settings.layers.kind != "last"
        self._weighing_pools = {
            part.kind: place for place, part in enumerate(settings.tokens) if hasattr(pools[place], "weigh_tokens")
        }
        self.weighs_tokens = bool(self._weighing_pools)

    def forward(self, hidden: Sequence[Tensor], mask: Tensor, ids: Tensor) -> Tensor:
        """hidden: `depth` tensors (batch, tokens, width), or only the last one where the mix needs no other.

        mask: (batch, tokens), 1 = real token; ids: (batch, tokens). Returns (batch, self.width).
        """
        with torch.autocast(hidden[-1].device.type, enabled=False):
            states, real, ids = self._mix_layers(hidden, mask, ids)
            return torch.cat([pool(states, real, ids) for pool in self.pools], dim=-1)

    def weigh_tokens(self, hidden: Sequence[Tensor], mask: Tensor, ids: Tensor) -> dict[str, Tensor]:
        """Return for each kind of pool that weighs tokens their weights: (batch, tokens), each row's sum is one."""
        with torch.autocast(hidden[-1].device.type, enabled=False):
            states, real, ids = self._mix_layers(hidden, mask, ids)
            return {
                kind: self.pools[place].weigh_tokens(states, real, ids)  # type: ignore[operator]
                for kind, place in self._weighing_pools.items()
            }

    def _mix_layers(self, hidden: Sequence[Tensor], mask: Tensor, ids: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        real = mask.bool()
        # A NaN or infinity at a padded place passes a mask in the forward pass (0 * inf) and spoils the gradient, so
        # masked states become zero before anything else reads them. Masked ids become 0, a token of every vocabulary.
        used = hidden if self.needs_all_layers else hidden[-1:]
        states = self.mix([_set_masked_to_zero(states, real) for states in used])
        states = states.to(torch.promote_types(states.dtype, torch.float32))  # after the mix: one layer, and not all
        ids = ids.masked_fill(~real, 0)
        if self.needs_all_layers:  # an LSTM turns zeros into other numbers
            states = _set_masked_to_zero(states, real)
        return states, real, ids


def _set_masked_to_zero(states: Tensor, real: Tensor) -> Tensor:
    return torch.where(real[..., None], states, torch.zeros((), dtype=states.dtype, device=states.device))
