"""The attention mask in the form for which an encoder asks nothing of the device.

Given (batch, tokens), transformers looks on the device whether anything is masked, so that a GPU waits in each forward
pass. Texts are padded on the right, behind all real tokens.
"""

from typing import Any, Literal

import torch
from torch import Tensor

MaskForm = Literal["none", "broadcast", "always", "plain"]
# Families whose layers take a boolean mask of four dimensions as it is, in some versions of transformers.
BROADCAST = frozenset(
    [
        *("bert", "roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "electra", "distilbert", "ernie"),
        *("data2vec-text", "eurobert", "xmod", "bart", "mbart", "t5", "mt5", "umt5"),
    ]
)
ALWAYS = frozenset(["deberta-v2"])  # looks at the device where it is given no mask


def choose_mask_form(encoder: Any) -> MaskForm:
    """Return the form of the mask for an encoder.

    A causal decoder needs none: no real token attends to padding behind it, and poolings mask what the padding gives.
    """
    if has_causal_attention(encoder):
        return "none"
    kind = encoder.config.model_type
    if kind in BROADCAST and _takes_broadcast(encoder):
        return "broadcast"
    return "always" if kind in ALWAYS else "plain"


def has_causal_attention(encoder: Any) -> bool:
    """Return True if an attention module of an encoder says that a token attends only to those before it."""
    return any(getattr(module, "is_causal", False) is True for module in encoder.modules())


def place_mask(inputs: dict[str, Tensor], form: MaskForm) -> dict[str, Tensor]:
    """Return the inputs of an encoder with `attention_mask`, (batch, tokens) or missing, in another form."""
    mask = inputs.get("attention_mask")
    if form == "none":
        return {name: tensor for name, tensor in inputs.items() if name != "attention_mask"}
    if form == "broadcast" and mask is not None:
        return {**inputs, "attention_mask": mask.bool()[:, None, None, :]}
    if form == "always" and mask is None:
        return {**inputs, "attention_mask": torch.ones_like(inputs["input_ids"])}
    return inputs


def _takes_broadcast(encoder: Any) -> bool:
    """Return True if an encoder gives the same states for both forms; others fail, or mask other places in silence."""
    device = next(encoder.parameters()).device
    ids = torch.arange(12, device=device).view(2, 6) % int(encoder.config.vocab_size)
    mask = torch.arange(6, device=device) < torch.tensor([[4], [6]], device=device)
    inputs = {"input_ids": ids, "attention_mask": mask.long()}
    training = encoder.training
    encoder.eval()
    try:
        with torch.inference_mode():
            plain, placed = (encoder(**given).last_hidden_state for given in (inputs, place_mask(inputs, "broadcast")))
    except (RuntimeError, TypeError, ValueError, IndexError, AttributeError, AssertionError):
        return False
    finally:
        encoder.train(training)
    return bool(torch.allclose(plain[mask], placed[mask], rtol=1e-4, atol=1e-5))
