"""Encoders: the network of a backbone, with pretrained weights or random ones, and the longest text it can read."""

import copy
from collections.abc import Mapping
from functools import cache
from typing import Any

import torch
import transformers
from safetensors import SafetensorError
from torch import nn

from models import ModelError
from models.encoder.attention_masks import has_causal_attention
from models.encoder.backbone import Backbone, shorten_error, silence_transformers

# The names of dropouts in config.json, by family.
DROPOUTS = {
    "hidden_dropout": [
        *("hidden_dropout_prob", "hidden_dropout", "dropout", "dropout_rate"),
        *("resid_pdrop", "embd_pdrop", "embedding_dropout", "mlp_dropout"),
    ],
    "attention_dropout": ["attention_probs_dropout_prob", "attention_dropout", "attn_pdrop"],
}
CLOSE = 1e-3  # of the norm: rounding makes a smaller difference, padding that is read a larger one
POSITIONS = ("position_embeddings", "embed_positions", "positions_embed", "wpe")  # tables of absolute positions


class NoPooler(nn.Module):
    """Stands in the place of a pooler, for SqueezeBERT, which calls its own unasked."""

    def forward(self, states: torch.Tensor) -> None:
        """Return nothing."""


def load_encoder(backbone: Backbone, dropouts: Mapping[str, float | None] | None = None) -> nn.Module:
    """Return a new encoder with the pretrained weights in float32, without a pooler or a decoder.

    `dropouts` (hidden_dropout, attention_dropout) replace the backbone's own where they are not None. Raises ModelError
    if the weights are damaged or do not fit the configuration: missing ones would be random.
    """
    config = set_dropouts(backbone, dropouts or {})
    if not (backbone.folder / "config.json").is_file():
        raise ModelError(
            f"the files of backbone {backbone.name!r} are gone from {backbone.folder}: run the command again"
        )
    try:
        with silence_transformers():
            whole = transformers.AutoConfig.from_pretrained(backbone.folder, trust_remote_code=False)
            if getattr(whole, "text_config", None) is not None:
                whole.text_config = config
                config = whole
            encoder, report = transformers.AutoModel.from_pretrained(
                backbone.folder,
                config=config,
                dtype=torch.float32,
                use_safetensors=True,
                trust_remote_code=False,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # they are refused below, with a message
            )
    except (OSError, ValueError, TypeError, SafetensorError) as error:
        raise ModelError(f"backbone {backbone.name!r} has unreadable weights: {shorten_error(error)}") from error
    if getattr(config, "text_config", None) is not None:
        if not hasattr(encoder, "language_model"):
            raise ModelError(
                f"backbone {backbone.name!r} is no encoder of texts: {config.model_type} is not one stack of layers"
            )
        encoder = encoder.language_model  # without the part that reads images
    unused = ("pooler.", "decoder.") if encoder.config.is_encoder_decoder else ("pooler.",)
    wrong = sorted({*report["missing_keys"], *(name for name, *_ in report["mismatched_keys"])})
    wrong = [name for name in wrong if not name.startswith(unused)]
    if wrong:
        raise ModelError(
            f"backbone {backbone.name!r} has other weights than its config.json asks for: {len(wrong)} are missing or "
            f"of another shape, {wrong[0]} for one"
        )
    return _grow_embeddings(_drop_unused_parts(encoder), backbone)


def set_dropouts(backbone: Backbone, dropouts: Mapping[str, float | None]) -> Any:
    """Return a copy of the backbone's configuration with other dropouts. Raises ModelError for one it does not have."""
    config = copy.deepcopy(backbone.config)
    for setting, probability in dropouts.items():
        names = [name for name in DROPOUTS[setting] if hasattr(config, name)]
        if probability is not None and not names:
            raise ModelError(f"training.{setting} has no effect on backbone {backbone.name!r}: leave it out")
        if probability is not None:
            config.update(dict.fromkeys(names, probability))
    return config


def count_embeddings(encoder: Any) -> int:
    """Return the number of token embeddings of an encoder."""
    return int(encoder.get_input_embeddings().weight.shape[0])


def create_empty_encoder(backbone: Backbone) -> nn.Module:
    """Return the same encoder with random weights, into which the weights of a fit are loaded."""
    return _grow_embeddings(_create_random_encoder(backbone), backbone)


@cache
def reads_padding(backbone: Backbone) -> bool:
    """Return True if the states of a text depend on the padding beside it, and so on the other texts of its batch.

    Raises ModelError if the encoder does not take texts of any length, or gives no state for each token. Some families
    read padded places, masked or not: convolutions over tokens, landmarks, Fourier transforms.
    """
    encoder = load_encoder(backbone).eval()
    size = int(backbone.config.vocab_size)
    ids = torch.arange(3, 15).repeat(2, 1) % size
    mask = torch.ones_like(ids)
    mask[0, 5:] = 0
    ids[0, 5:] = backbone.pad_id
    try:
        with silence_transformers(), torch.inference_mode():
            alone = encoder(input_ids=ids[:1, :5], attention_mask=mask[:1, :5]).last_hidden_state
            beside = encoder(input_ids=ids, attention_mask=mask).last_hidden_state[:1, :5]
    except RuntimeError as error:
        raise ModelError(
            f"backbone {backbone.name!r} cannot encode texts of 5 and 12 tokens: {shorten_error(error)}"
        ) from error
    if alone.shape[:2] != (1, 5) or beside.shape[:2] != (1, 5):
        raise ModelError(f"backbone {backbone.name!r} does not give a state for each token, which poolings read")
    return not bool((alone - beside).norm() <= CLOSE * alone.norm())


def is_causal(backbone: Backbone) -> bool:
    """Return True if a token attends only to those before it, so that the first one depends on no other.

    Most decoders have a flag in their attention modules. Without one, the last of eight tokens is changed to see.
    """
    with torch.device("meta"):
        shape = _create_random_encoder(backbone)
    if has_causal_attention(shape):
        return True
    encoder = load_encoder(backbone).eval()
    ids = torch.arange(8).repeat(2, 1) % backbone.config.vocab_size
    ids[1, -1] = 1
    with silence_transformers(), torch.inference_mode():
        first = encoder(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state[:, 0]
    return bool(torch.allclose(first[0], first[1], rtol=1e-5, atol=1e-6))


def find_longest_text(backbone: Backbone) -> int | None:
    """Return the most tokens that the backbone can read, or None where positions are relative: any number."""
    with torch.device("meta"):
        shape = _create_random_encoder(backbone)
    tables = [m for n, m in shape.named_modules() if n.endswith(POSITIONS) and isinstance(m, nn.Embedding)]
    return min((table.num_embeddings - _count_skipped_positions(table) for table in tables), default=None)


def _count_skipped_positions(table: Any) -> int:
    """Return how many positions of a table no text uses: roberta starts after padding, bart and opt at an offset."""
    return int(getattr(table, "offset", 0 if table.padding_idx is None else table.padding_idx + 1))


def _create_random_encoder(backbone: Backbone) -> nn.Module:
    config = copy.deepcopy(backbone.config)  # adding tokens changes it
    with silence_transformers():
        return _drop_unused_parts(
            transformers.AutoModel.from_config(config, dtype=torch.float32, trust_remote_code=False)
        )


def _drop_unused_parts(model: Any) -> nn.Module:
    encoder: Any = model.get_encoder() if model.config.is_encoder_decoder else model
    if getattr(encoder, "pooler", None) is not None:
        # Its output is not used: it would be saved, and never trained.
        encoder.pooler = NoPooler() if encoder.config.model_type == "squeezebert" else None
    encoder.config.use_cache = False  # cached keys and values serve generation only
    module: nn.Module = encoder
    return module


def _grow_embeddings(encoder: Any, backbone: Backbone) -> nn.Module:
    """Return the encoder with an embedding for each token, those added to the tokenizer included."""
    if len(backbone.tokenizer) > count_embeddings(encoder):
        with silence_transformers():
            encoder.resize_token_embeddings(len(backbone.tokenizer))
    module: nn.Module = encoder
    return module
