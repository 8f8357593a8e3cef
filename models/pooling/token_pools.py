"""Token pools: from one state per token to one vector per text.

Every pool takes `states` (batch, tokens, width) that are zero at masked places, the boolean `mask` (batch, tokens;
true = real token) and the token `ids` (batch, tokens), and returns (batch, pool.width). Masked places never matter;
a row without a real token gives zeros. `masked_pooling.Pooling` prepares the states this way. The method
`weigh_tokens` of a pool, where it has one, returns the weight of each token.
"""

from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models import ModelError
from models.settings import PoolingPart


class SameWidth(nn.Module):
    """A pool without parameters whose output is as wide as a state."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width


class ClsPool(SameWidth):
    """The state of the first real token; padding may be on either side."""

    def forward(self, states: Tensor, mask: Tensor, ids: Tensor) -> Tensor:
        return _pick_state(states, mask.int().argmax(1))


class LastPool(SameWidth):
    """The state of the last real token."""

    def forward(self, states: Tensor, mask: Tensor, ids: Tensor) -> Tensor:
        steps = torch.arange(1, mask.shape[1] + 1, device=mask.device)
        return _pick_state(states, (mask * steps).argmax(1))


class MeanPool(SameWidth):
    """The mean of the real tokens."""

    def forward(self, states: Tensor, mask: Tensor, ids: Tensor) -> Tensor:
        return states.sum(1) / _count_tokens(states, mask)


class MeanSqrtPool(SameWidth):
    """The sum of the real tokens over the square root of their number."""

    def forward(self, states: Tensor, mask: Tensor, ids: Tensor) -> Tensor:
        return states.sum(1) / _count_tokens(states, mask).sqrt()


class MaxPool(SameWidth):
    """The largest value of each feature among the real tokens."""

    def forward(self, states: Tensor, mask: Tensor, ids: Tensor) -> Tensor:
        top = states.masked_fill(~mask[..., None], -torch.inf).amax(1)
        return top.masked_fill(~mask.any(1, keepdim=True), 0.0)


class MinPool(SameWidth):
    """The smallest value of each feature among the real tokens."""

    def forward(self, states: Tensor, mask: Tensor, ids: Tensor) -> Tensor:
        low = states.masked_fill(~mask[..., None], torch.inf).amin(1)
        return low.masked_fill(~mask.any(1, keepdim=True), 0.0)


class IdfPool(nn.Module):
    """Mean weighted by the inverse document frequency of each token id.

    The weights are a buffer, not a parameter: fixed, and saved with the fit. `weights` (vocabulary,) come from
    `compute_idf` over the training texts of the fold.
    """

    weights: Tensor

    def __init__(self, width: int, weights: Tensor) -> None:
        super().__init__()
        self.width = width
        self.register_buffer("weights", weights.clone())

    def forward(self, states: Tensor, mask: Tensor, ids: Tensor) -> Tensor:
        w = self.weights[ids].to(states.dtype) * mask  # (batch, tokens)
        return torch.einsum("bt,btw->bw", w, states) / w.sum(1, keepdim=True).clamp(min=1e-9)

    def weigh_tokens(self, states: Tensor, mask: Tensor, ids: Tensor) -> Tensor:
        """Return (batch, tokens) weights; their sum is one in a row with a token."""
        w = self.weights[ids].to(states.dtype) * mask
        return w / w.sum(1, keepdim=True).clamp(min=1e-9)


class TokenWeightPool(nn.Module):
    """Mean weighted by a positive function of each token's own features; softplus, so never negative."""

    FLOOR = 1e-4  # softplus underflows to zero for very negative scores; the sum of the weights must not

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.score = nn.Sequential(nn.Linear(width, width // 4 or 1), nn.GELU(), nn.Linear(width // 4 or 1, 1))

    def forward(self, states: Tensor, mask: Tensor, ids: Tensor) -> Tensor:
        w = self._score_tokens(states, mask)
        return torch.einsum("bt,btw->bw", w, states) / w.sum(1, keepdim=True).clamp(min=self.FLOOR)

    def weigh_tokens(self, states: Tensor, mask: Tensor, ids: Tensor) -> Tensor:
        """Return (batch, tokens) weights; their sum is one in a row with a token."""
        w = self._score_tokens(states, mask)
        return w / w.sum(1, keepdim=True).clamp(min=self.FLOOR)

    def _score_tokens(self, states: Tensor, mask: Tensor) -> Tensor:
        return (F.softplus(self.score(states)) + self.FLOOR).squeeze(-1) * mask  # (batch, tokens)


class AttentionPool(nn.Module):
    """Softmax attention over the real tokens, scored by a small network (after Yang et al. 2016).

    The last layer has no bias: a constant cancels in the softmax and would never learn.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.score = nn.Sequential(
            nn.Linear(width, width), nn.LayerNorm(width), nn.GELU(), nn.Linear(width, 1, bias=False)
        )

    def forward(self, states: Tensor, mask: Tensor, ids: Tensor) -> Tensor:
        return torch.einsum("bt,btw->bw", self.weigh_tokens(states, mask, ids), states)

    def weigh_tokens(self, states: Tensor, mask: Tensor, ids: Tensor) -> Tensor:
        """Return (batch, tokens) weights; their sum is one."""
        return _compute_masked_softmax(self.score(states).squeeze(-1), mask)


class MultiHeadAttentionPool(nn.Module):
    """One learned query per head over the real tokens (pooling by attention, Lee et al. 2019, Set Transformer).

    Keys have no bias: it would add the same to every token's score and cancel.
    """

    def __init__(self, width: int, heads: int = 4) -> None:
        super().__init__()
        if width % heads:
            raise ModelError(f"pooling.tokens.heads is {heads} but must divide the width of the states, {width}")
        self.width, self.heads = width, heads
        self.key, self.value = nn.Linear(width, width, bias=False), nn.Linear(width, width)
        self.query = nn.Parameter(torch.randn(heads, width // heads))

    def forward(self, states: Tensor, mask: Tensor, ids: Tensor) -> Tensor:
        value = self.value(states).unflatten(-1, (self.heads, -1))
        return torch.einsum("bth,bthd->bhd", self._weigh_by_head(states, mask), value).flatten(1)

    def weigh_tokens(self, states: Tensor, mask: Tensor, ids: Tensor) -> Tensor:
        """Return (batch, tokens) weights, means over the heads; their sum is one in a row with a token."""
        return self._weigh_by_head(states, mask).mean(-1)

    def _weigh_by_head(self, states: Tensor, mask: Tensor) -> Tensor:
        key = self.key(states).unflatten(-1, (self.heads, -1))
        scores = torch.einsum("bthd,hd->bth", key, self.query) / key.shape[-1] ** 0.5
        return _compute_masked_softmax(scores, mask[..., None]) * mask.any(1)[:, None, None]  # (batch, tokens, heads)


class GemPool(nn.Module):
    """Generalised mean with a learned exponent (Radenovic et al. 2018), in a shifted form for signed features.

    `clamp(min=eps)` of the image version zeroes negative activations. Here each feature is scaled to its range over
    the real tokens, averaged with the exponent, and scaled back: exponent 1 is the mean, a large one the maximum. In
    logarithms, because a power underflows.
    """

    EDGE = 1e-6

    def __init__(self, width: int, exponent: float = 3.0) -> None:
        super().__init__()
        self.width = width
        self.log_exponent = nn.Parameter(torch.tensor(float(exponent)).log())

    def forward(self, states: Tensor, mask: Tensor, ids: Tensor) -> Tensor:
        real, some = mask[..., None], mask.any(1, keepdim=True)
        low = states.masked_fill(~real, torch.inf).amin(1).masked_fill(~some, 0.0)  # (batch, width)
        high = states.masked_fill(~real, -torch.inf).amax(1).masked_fill(~some, 0.0)
        span = high - low + self.EDGE
        share = ((states - low[:, None]) / span[:, None]).masked_fill(~real, 0.0) + self.EDGE
        p = self.log_exponent.exp()
        powers = (p * share.log()).masked_fill(~real, torch.finfo(states.dtype).min)
        mean = ((powers.logsumexp(1) - _count_tokens(states, mask).log()) / p).exp()
        return (low + span * (mean - self.EDGE)).masked_fill(~some, 0.0)


TOKEN_POOLS: dict[str, Callable[..., nn.Module]] = {
    "cls": ClsPool,
    "mean": MeanPool,
    "max": MaxPool,
    "min": MinPool,
    "attention": AttentionPool,
    "multi_head_attention": MultiHeadAttentionPool,
    "idf": IdfPool,
    "token_weight": TokenWeightPool,
    "mean_sqrt": MeanSqrtPool,
    "gem": GemPool,
    "last": LastPool,
}


def build_token_pool(part: PoolingPart, *, width: int, idf: Tensor) -> nn.Module:
    """Return the pool for states of `width`; `idf` (vocabulary,) is given to the pool that needs it.

    Raises ModelError if the kind is unknown or its options do not fit the width.
    """
    if part.kind not in TOKEN_POOLS:
        raise ModelError(f"unknown token pool {part.kind!r}; known ones: {', '.join(TOKEN_POOLS)}")
    if part.kind == "idf":
        return IdfPool(width, idf)
    return TOKEN_POOLS[part.kind](width, **part.options)


def compute_idf(texts: Iterable[np.ndarray], vocabulary: int) -> Tensor:
    """Return the smoothed inverse document frequency of every token id: log((1 + texts) / (1 + texts with it)) + 1.

    `texts` are arrays of token ids, of training rows only. Ids that do not occur get the largest weight, not zero.
    The result is (vocabulary,) float32.
    """
    seen, count = np.zeros(vocabulary, np.int64), 0
    for ids in texts:
        seen[np.unique(ids)] += 1
        count += 1
    return torch.from_numpy((np.log((1 + count) / (1 + seen)) + 1).astype(np.float32))


def _count_tokens(states: Tensor, mask: Tensor) -> Tensor:
    return mask.sum(1, keepdim=True).clamp(min=1).to(states.dtype)  # (batch, 1)


def _compute_masked_softmax(scores: Tensor, mask: Tensor) -> Tensor:
    """Softmax over real tokens (dim 1). The least finite number, not -inf: a row of -inf only would become NaN."""
    return scores.masked_fill(~mask, torch.finfo(scores.dtype).min).softmax(1)


def _pick_state(states: Tensor, position: Tensor) -> Tensor:
    index = position[:, None, None].expand(-1, 1, states.shape[-1])
    return states.gather(1, index).squeeze(1)
