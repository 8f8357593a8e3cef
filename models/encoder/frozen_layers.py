"""Frozen lower layers: the embeddings and the first layers of an encoder stay pretrained and run once per text.

They run in eval mode, so without dropout, also while the network is in training mode. Training and prediction run the
upper layers on their stored output. The encoder itself stays whole: its weights are saved and loaded as always.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from models import ModelError
from models.encoder.backbone import Backbone
from models.encoder.split_encoder import copy_from_layer, find_embedding_modules, find_layers, run_to_layer

CLOSE = 1e-4  # of the norm: rounding makes a far smaller difference, another attention a far larger one
SPLIT_ERRORS = (AttributeError, IndexError, KeyError, RuntimeError, StopIteration, TypeError, ValueError)


@dataclass(frozen=True)
class FrozenLayers:
    """An encoder in two parts, its `layers` lowest layers and those `above`; both share modules and parameters."""

    encoder: Any
    above: Any
    layers: int

    @torch.no_grad()  # embeddings can still ask for gradients: transformers allows it, for gradient checkpointing
    def run_lower(self, inputs: dict[str, Tensor], all_layers: bool) -> Tensor:
        """Encoder inputs -> (states, batch, tokens, width): the state that enters the first upper layer.

        With `all_layers` every hidden state up to that one, the embeddings' output first. The upper layers do not run.
        """
        training = self.encoder.training
        self.encoder.eval()
        try:
            states = run_to_layer(self.encoder, self.layers, inputs)
        finally:
            self.encoder.train(training)
        return torch.stack(states if all_layers else states[-1:])

    def run_upper(self, states: Tensor, mask: Tensor | None, all_layers: bool) -> list[Tensor]:
        """States from `run_lower` and the attention mask (batch, tokens) or None -> (batch, tokens, width) each.

        Returns the encoder's last hidden state or, with `all_layers`, all of them. States of padding have no effect.
        """
        if self.above.training != self.encoder.training:  # train() and eval() of a network reach only the encoder
            self.above.train(self.encoder.training)
        encoded = self.above(inputs_embeds=states[-1], attention_mask=mask, output_hidden_states=all_layers)
        if not all_layers:
            return [encoded.last_hidden_state]
        return [*states, *encoded.hidden_states[1:-1], encoded.last_hidden_state]


def freeze_lower_layers(encoder: nn.Module, layers: int, backbone: Backbone) -> FrozenLayers:
    """Freeze the embeddings, the first `layers` layers and the parameters they use, and split the encoder above them.

    Raises ModelError for an encoder whose two parts give other hidden states than the whole: for example one whose
    first layer computes something that all others read.
    """
    check_freeze(backbone, layers)
    inputs = _make_probe(backbone, next(encoder.parameters()).device)
    training = encoder.training
    refusal = ModelError(f"training.freeze_layers is not supported by backbone {backbone.name!r}: leave it out")
    encoder.eval()
    try:
        # Before the copy: the first call for all hidden states makes transformers add hooks to the layers, and a copy
        # made earlier would add its own to the same layers.
        with torch.inference_mode():
            whole = encoder(**inputs, output_hidden_states=True)
        before = find_embedding_modules(encoder, inputs)
        frozen = FrozenLayers(encoder, copy_from_layer(encoder, layers, before), layers)
        is_same = _compare_parts(frozen, inputs, [*whole.hidden_states[:-1], whole.last_hidden_state])
    except SPLIT_ERRORS as error:
        raise refusal from error
    if not is_same:
        raise refusal
    _freeze(encoder, layers, before, inputs)
    encoder.train(training)
    return frozen


def check_freeze(backbone: Backbone, layers: int) -> None:
    """Raise ModelError if all layers would be frozen, or embeddings that are not trained."""
    count = backbone.layers - 1
    if layers >= count:
        raise ModelError(
            f"training.freeze_layers is {layers}, but {backbone.name!r} has {count} layers: {count - 1} at most"
        )
    if len(backbone.tokenizer) > backbone.config.vocab_size:
        raise ModelError(
            "training.freeze_layers would leave the embeddings of extra_tokens random: leave one of them out"
        )


def _make_probe(backbone: Backbone, device: torch.device) -> dict[str, Tensor]:
    """Return encoder inputs: texts of 5, 12 and 1 tokens."""
    ids = torch.arange(36, device=device).view(3, 12) % int(backbone.config.vocab_size)
    mask = torch.arange(12, device=device) < torch.tensor([[5], [12], [1]], device=device)
    inputs = {"input_ids": ids, "attention_mask": mask.long()}
    if "token_type_ids" in backbone.tokenizer.model_input_names:
        inputs["token_type_ids"] = ids % 2
    return inputs


@torch.inference_mode()
def _compare_parts(frozen: FrozenLayers, inputs: dict[str, Tensor], whole: list[Tensor]) -> bool:
    """Return True if the two parts give the hidden states of the whole encoder, at all tokens but padding."""
    mask = inputs["attention_mask"]
    states = frozen.run_lower(inputs, all_layers=True) * mask[None, :, :, None]  # zero at padding, as when stored
    parts = frozen.run_upper(states, mask, all_layers=True)
    pairs = [(part[mask > 0], full[mask > 0]) for part, full in zip(parts, whole, strict=True)]
    return all(bool((part - full).norm() <= CLOSE * full.norm()) for part, full in pairs)


def _freeze(encoder: Any, layers: int, before: list[nn.Module], inputs: dict[str, Tensor]) -> None:
    for module in (*before, *find_layers(encoder)[:layers]):
        module.requires_grad_(False)
    # Also what upper layers share with them, such as a table of relative positions: training it would change the
    # lower states.
    state = run_to_layer(encoder, layers, inputs)[-1]
    if state.requires_grad:
        learning = [parameter for parameter in encoder.parameters() if parameter.requires_grad]
        gradients = torch.autograd.grad(state.sum(), learning, allow_unused=True)
        for parameter, gradient in zip(learning, gradients, strict=True):
            parameter.requires_grad_(gradient is None)
