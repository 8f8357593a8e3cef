"""A frozen trunk: the embeddings and the first layers of an encoder stay as pretrained and run once per text.

They run in eval mode, so there is no dropout in them, whatever the mode of the network; training and prediction run
the layers above on what they gave. The encoder itself stays whole: its weights are saved and loaded as ever.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from models import ModelError
from models.encoder.backbone import Backbone
from models.encoder.split_encoder import before_layers, entering, from_layer, layers_of

CLOSE = 1e-4  # of the norm: rounding makes far less of a difference, another attention far more
REFUSALS = (AttributeError, IndexError, KeyError, RuntimeError, StopIteration, TypeError, ValueError)


@dataclass(frozen=True)
class Trunk:
    """An encoder in two parts, its `layers` lowest ones and those `above`, which share its modules and parameters."""

    encoder: Any
    above: Any
    layers: int

    @torch.no_grad()  # even so embeddings can ask for gradients: transformers lets them, for gradient checkpointing
    def lower(self, inputs: dict[str, Tensor], all_layers: bool) -> Tensor:
        """Encoder inputs -> (states, batch, tokens, width): the one state that enters the first upper layer.

        With `all_layers` every hidden state up to that, the embeddings' output first. The upper layers do not run.
        """
        training = self.encoder.training
        self.encoder.eval()
        try:
            states = entering(self.encoder, self.layers, inputs)
        finally:
            self.encoder.train(training)
        return torch.stack(states if all_layers else states[-1:])

    def upper(self, states: Tensor, mask: Tensor | None, all_layers: bool) -> list[Tensor]:
        """States as `lower` gives them and the attention mask (batch, tokens) or None -> (batch, tokens, width).

        The encoder's last hidden state or, with `all_layers`, all of them. What stands in padded places has no effect.
        """
        if self.above.training != self.encoder.training:  # a network's train() and eval() reach the encoder alone
            self.above.train(self.encoder.training)
        encoded = self.above(inputs_embeds=states[-1], attention_mask=mask, output_hidden_states=all_layers)
        if not all_layers:
            return [encoded.last_hidden_state]
        return [*states, *encoded.hidden_states[1:-1], encoded.last_hidden_state]


def check_freeze(backbone: Backbone, layers: int) -> None:
    """Refuse to freeze all layers, or embeddings that nothing has trained. Raises ModelError."""
    count = backbone.layers - 1
    if layers >= count:
        raise ModelError(
            f"training.freeze_layers is {layers}, but {backbone.name!r} has {count} layers: {count - 1} at most"
        )
    if len(backbone.tokenizer) > backbone.config.vocab_size:
        raise ModelError(
            "training.freeze_layers would leave the embeddings of extra_tokens random: leave one of them out"
        )


def cut(encoder: nn.Module, layers: int, backbone: Backbone) -> Trunk:
    """Freeze the embeddings, the first `layers` layers and whatever these use besides, and part them from those above.

    Raises ModelError for an encoder that gives other hidden states in two parts than whole, as one does whose first
    layer makes something for all others.
    """
    check_freeze(backbone, layers)
    inputs, training = _made_up(backbone, next(encoder.parameters()).device), encoder.training
    refusal = ModelError(f"training.freeze_layers is not supported by backbone {backbone.name!r}: leave it out")
    encoder.eval()
    try:
        # Before the copy is made: at the first call for all hidden states transformers hangs hooks on the layers, and
        # a copy that did not know of them would hang its own on the same layers.
        with torch.inference_mode():
            whole = encoder(**inputs, output_hidden_states=True)
        before = before_layers(encoder, inputs)
        trunk = Trunk(encoder, from_layer(encoder, layers, before), layers)
        same = _gives(trunk, inputs, [*whole.hidden_states[:-1], whole.last_hidden_state])
    except REFUSALS as error:
        raise refusal from error
    if not same:
        raise refusal
    _freeze(encoder, layers, before, inputs)
    encoder.train(training)
    return trunk


def _made_up(backbone: Backbone, device: torch.device) -> dict[str, Tensor]:
    """Encoder inputs: texts of 5, 12 and 1 tokens."""
    ids = torch.arange(36, device=device).view(3, 12) % int(backbone.config.vocab_size)
    mask = torch.arange(12, device=device) < torch.tensor([[5], [12], [1]], device=device)
    inputs = {"input_ids": ids, "attention_mask": mask.long()}
    if "token_type_ids" in backbone.tokenizer.model_input_names:
        inputs["token_type_ids"] = ids % 2
    return inputs


@torch.inference_mode()
def _gives(trunk: Trunk, inputs: dict[str, Tensor], whole: list[Tensor]) -> bool:
    """Whether the two parts give the hidden states of the whole encoder, at all tokens that are no padding."""
    mask = inputs["attention_mask"]
    states = trunk.lower(inputs, all_layers=True) * mask[None, :, :, None]  # padding as a cache has it
    parts = trunk.upper(states, mask, all_layers=True)
    pairs = [(part[mask > 0], full[mask > 0]) for part, full in zip(parts, whole, strict=True)]
    return all(bool((part - full).norm() <= CLOSE * full.norm()) for part, full in pairs)


def _freeze(encoder: Any, layers: int, before: list[nn.Module], inputs: dict[str, Tensor]) -> None:
    for module in (*before, *layers_of(encoder)[:layers]):
        module.requires_grad_(False)
    # What upper layers use as well, a table of relative positions for one: the lower states would change with it.
    state = entering(encoder, layers, inputs)[-1]
    if state.requires_grad:
        learning = [parameter for parameter in encoder.parameters() if parameter.requires_grad]
        gradients = torch.autograd.grad(state.sum(), learning, allow_unused=True)
        for parameter, gradient in zip(learning, gradients, strict=True):
            parameter.requires_grad_(gradient is None)
