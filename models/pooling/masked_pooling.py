"""Pooling: a layer mix, then one token pool or several side by side."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from models.pooling.layer_mixes import layer_mix
from models.pooling.token_pools import token_pool


class Pooling(nn.Module):
    """From hidden states to one vector per text, computed in float32 or wider.

    `layers` is {kind, settings}, `tokens` a list of such; `depth` counts the hidden states, embeddings included.
    `width` is the width of the output. Raises ModelError if a kind is unknown or does not fit.
    """

    def __init__(
        self, *, layers: dict[str, Any], tokens: list[dict[str, Any]], depth: int, width: int, idf: Tensor
    ) -> None:
        super().__init__()
        mix: Any = layer_mix(**layers, layers=depth, width=width)
        pools: list[Any] = [token_pool(**pool, width=mix.width, idf=idf) for pool in tokens]
        self.mix, self.pools, self.width = mix, nn.ModuleList(pools), sum(pool.width for pool in pools)
        self._looking = {pool["kind"]: place for place, pool in enumerate(tokens) if hasattr(pools[place], "look")}
        self.weighs_tokens = bool(self._looking)
        self.needs_all_layers = layers["kind"] != "last"

    def forward(self, hidden: Sequence[Tensor], mask: Tensor, ids: Tensor) -> Tensor:
        """hidden: `depth` tensors (batch, tokens, width), or the last one alone where the mix needs no other.

        mask: (batch, tokens), 1 = real token; ids: (batch, tokens). Returns (batch, self.width).
        """
        with torch.autocast(hidden[-1].device.type, enabled=False):
            states, real, ids = self._enter(hidden, mask, ids)
            return torch.cat([pool(states, real, ids) for pool in self.pools], dim=-1)

    def look(self, hidden: Sequence[Tensor], mask: Tensor, ids: Tensor) -> dict[str, Tensor]:
        """For each kind of pool that weighs tokens, how much each counts: (batch, tokens), of sum one in each row."""
        with torch.autocast(hidden[-1].device.type, enabled=False):
            states, real, ids = self._enter(hidden, mask, ids)
            return {kind: self.pools[place].look(states, real, ids) for kind, place in self._looking.items()}  # type: ignore[operator]

    def _enter(self, hidden: Sequence[Tensor], mask: Tensor, ids: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        real = mask.bool()
        # The door. A NaN or infinity in a padded place passes a mask in the forward pass (0 * inf) and poisons
        # the gradient, so masked states become zero before anything else sees them. Masked ids become 0, a token
        # of every vocabulary.
        used = hidden if self.needs_all_layers else hidden[-1:]
        states = self.mix([_zero_masked(states, real) for states in used])
        ids = ids.masked_fill(~real, 0)
        if self.needs_all_layers:  # an LSTM makes something of zeros
            states = _zero_masked(states, real)
        return states, real, ids


def _zero_masked(states: Tensor, real: Tensor) -> Tensor:
    wide = states.to(torch.promote_types(states.dtype, torch.float32))
    return torch.where(real[..., None], wide, torch.zeros((), dtype=wide.dtype, device=wide.device))
