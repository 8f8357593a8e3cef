"""Layer mixes: from the hidden states of all layers to one state per token.

Every mix takes the hidden states as a sequence of `layers` tensors (batch, tokens, width), embedding output first,
and returns (batch, tokens, mix.width): of 16-bit states the mix as if they had 32 bits. Padding needs no care here:
the mix of a token reads no other token.
"""

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from models import ModelError
from models.settings import PoolingPart

HALF = (torch.float16, torch.bfloat16)


class _MixHalfLayers(torch.autograd.Function):
    """The weighted mean of 16-bit layers in float32, with one layer of 32 bits in memory at a time.

    Autograd alone would keep a 32-bit copy of every layer for the gradient of its weight.
    """

    @staticmethod
    def forward(context: Any, weights: Tensor, *layers: Tensor) -> Tensor:
        context.save_for_backward(weights, *layers)
        mixed = torch.zeros(layers[0].shape, dtype=torch.float32, device=layers[0].device)
        for weight, layer in zip(weights, layers, strict=True):
            mixed += weight * layer.float()
        return mixed

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, ...]:
        [gradient] = gradients
        weights, *layers = context.saved_tensors
        of_weights = torch.stack([(gradient * layer.float()).sum() for layer in layers])
        return of_weights, *((gradient * weight).to(layers[0].dtype) for weight in weights)


class LastLayer(nn.Module):
    """The output of the last layer."""

    def __init__(self, layers: int, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, hidden: Sequence[Tensor]) -> Tensor:
        return hidden[-1]


class WeightedLayers(nn.Module):
    """Mean of the layers with learned softmax weights (the scalar mix of ELMo, Peters et al. 2018).

    Raw weights divided by their sum can cross zero; a softmax cannot.
    """

    def __init__(self, layers: int, width: int, start: int = 1) -> None:
        super().__init__()
        _check_start("weighted", start, layers, 2)
        self.start, self.width = start, width
        self.scores = nn.Parameter(torch.zeros(layers - start))

    def forward(self, hidden: Sequence[Tensor]) -> Tensor:
        if hidden[-1].dtype in HALF:
            return cast(Tensor, _MixHalfLayers.apply(self.scores.softmax(0), *hidden[self.start :]))  # type: ignore[no-untyped-call]
        stack = torch.stack(tuple(hidden[self.start :]))  # (layers, batch, tokens, width)
        mixed = self.scores.softmax(0).to(stack.dtype) @ stack.flatten(1)  # one product: four times as fast as a sum
        return mixed.view_as(hidden[-1])


class ConcatLayers(nn.Module):
    """The last `count` layers side by side."""

    def __init__(self, layers: int, width: int, count: int = 4) -> None:
        super().__init__()
        if count > layers:
            raise ModelError(f"pooling.layers.count is {count} but the backbone has only {layers} hidden states")
        self.count, self.width = count, width * count

    def forward(self, hidden: Sequence[Tensor]) -> Tensor:
        return torch.cat(tuple(hidden[-self.count :]), dim=-1)


class MaxLayers(nn.Module):
    """Element-wise maximum over the layers."""

    def __init__(self, layers: int, width: int, start: int = 1) -> None:
        super().__init__()
        _check_start("max", start, layers, 1)
        self.start, self.width = start, width

    def forward(self, hidden: Sequence[Tensor]) -> Tensor:
        return torch.stack(tuple(hidden[self.start :])).amax(0)


class LstmLayers(nn.Module):
    """The last state of an LSTM over the layers of each token. A cell in a loop, because `nn.LSTM` breaks graphs."""

    def __init__(self, layers: int, width: int, start: int = 1, state: int = 256) -> None:
        super().__init__()
        _check_start("lstm", start, layers, 2)
        self.start, self.width = start, state
        self.cell = nn.LSTMCell(width, state)

    def forward(self, hidden: Sequence[Tensor]) -> Tensor:
        batch, tokens, width = hidden[-1].shape
        wide = torch.promote_types(hidden[-1].dtype, torch.float32)
        state = memory = hidden[-1].new_zeros(batch * tokens, self.width, dtype=wide)
        for layer in hidden[self.start :]:
            state, memory = self.cell(layer.reshape(-1, width).to(state.dtype), (state, memory))
        return state.reshape(batch, tokens, self.width)


LAYER_MIXES: dict[str, Callable[..., nn.Module]] = {
    "last": LastLayer,
    "weighted": WeightedLayers,
    "concat": ConcatLayers,
    "max": MaxLayers,
    "lstm": LstmLayers,
}


def build_layer_mix(part: PoolingPart, *, layers: int, width: int) -> nn.Module:
    """Return the mix for a backbone with `layers` hidden states (embeddings included) of `width`.

    Raises ModelError if the kind is unknown or its options do not fit the backbone.
    """
    if part.kind not in LAYER_MIXES:
        raise ModelError(f"unknown layer mix {part.kind!r}; known ones: {', '.join(LAYER_MIXES)}")
    return LAYER_MIXES[part.kind](layers, width, **part.options)


def _check_start(kind: str, start: int, layers: int, least: int) -> None:
    if start > layers - least:
        raise ModelError(
            f"pooling.layers.start is {start} but the backbone has layers 0 to {layers - 1}, "
            f"and {kind} needs {least} or more"
        )
