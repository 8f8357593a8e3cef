"""Encoders: the network of a backbone, with its pretrained weights or as an empty shape, and what it can read."""

import copy
from collections.abc import Mapping
from typing import Any

import torch
import transformers
from safetensors import SafetensorError
from torch import nn

from models import ModelError
from models.encoder.backbone import Backbone, first_sentence, quiet

# What families call their dropouts in config.json.
DROPOUTS = {
    "hidden_dropout": [
        *("hidden_dropout_prob", "hidden_dropout", "dropout", "dropout_rate"),
        *("resid_pdrop", "embd_pdrop", "embedding_dropout", "mlp_dropout"),
    ],
    "attention_dropout": ["attention_probs_dropout_prob", "attention_dropout", "attn_pdrop"],
}
POSITIONS = ("position_embeddings", "embed_positions", "positions_embed", "wpe")  # tables of absolute positions


def load_encoder(backbone: Backbone, dropouts: Mapping[str, float | None] | None = None) -> nn.Module:
    """A fresh encoder with the pretrained weights in float32, without a pooler or a decoder.

    `dropouts` (hidden_dropout, attention_dropout) change the backbone's own where they are not None. Raises ModelError
    if the weights are damaged or not those of the configuration, for what is missing would be random.
    """
    try:
        with quiet():
            encoder, report = transformers.AutoModel.from_pretrained(
                backbone.folder,
                config=with_dropouts(backbone, dropouts or {}),
                dtype=torch.float32,
                use_safetensors=True,
                trust_remote_code=False,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # they are refused below, in words
            )
    except (OSError, ValueError, SafetensorError) as error:
        raise ModelError(f"backbone {backbone.name!r} has unreadable weights: {first_sentence(error)}") from error
    unused = ("pooler.", "decoder.") if encoder.config.is_encoder_decoder else ("pooler.",)
    wrong = sorted({*report["missing_keys"], *(name for name, *_ in report["mismatched_keys"])})
    wrong = [name for name in wrong if not name.startswith(unused)]
    if wrong:
        raise ModelError(
            f"backbone {backbone.name!r} has other weights than its config.json asks for: {len(wrong)} are missing or "
            f"of another shape, {wrong[0]} for one"
        )
    return _grown(_useful(encoder), backbone)


def with_dropouts(backbone: Backbone, dropouts: Mapping[str, float | None]) -> Any:
    """A copy of the backbone's configuration with other dropouts. Raises ModelError for one that it does not have."""
    config = copy.deepcopy(backbone.config)
    for setting, probability in dropouts.items():
        names = [name for name in DROPOUTS[setting] if hasattr(config, name)]
        if probability is not None and not names:
            raise ModelError(f"training.{setting} has no effect on backbone {backbone.name!r}: leave it out")
        if probability is not None:
            config.update(dict.fromkeys(names, probability))
    return config


def empty_encoder(backbone: Backbone) -> nn.Module:
    """The same encoder with random weights: the shape into which a fit's own weights are loaded."""
    return _grown(_random(backbone), backbone)


def is_causal(backbone: Backbone) -> bool:
    """Whether a token sees only those before it, so that the first token of a text knows nothing of the rest.

    Most decoders say so in their attention modules. Where none does, the last of eight tokens is changed.
    """
    with torch.device("meta"):
        shape = _random(backbone)
    if any(getattr(module, "is_causal", False) is True for module in shape.modules()):
        return True
    encoder = load_encoder(backbone).eval()
    ids = torch.arange(8).repeat(2, 1) % backbone.config.vocab_size
    ids[1, -1] = 1
    with quiet(), torch.inference_mode():
        first = encoder(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state[:, 0]
    return bool(torch.allclose(first[0], first[1], rtol=1e-5, atol=1e-6))


def longest_text(backbone: Backbone) -> int | None:
    """Most tokens that the backbone can read, or None where positions are relative and any number will do."""
    with torch.device("meta"):
        shape = _random(backbone)
    tables = [m for n, m in shape.named_modules() if n.endswith(POSITIONS) and isinstance(m, nn.Embedding)]
    return min((table.num_embeddings - _skipped(table) for table in tables), default=None)


def _skipped(table: Any) -> int:
    """Positions of a table that no text uses: roberta counts from after the padding's, bart and opt from an offset."""
    return int(getattr(table, "offset", 0 if table.padding_idx is None else table.padding_idx + 1))


def _random(backbone: Backbone) -> nn.Module:
    config = copy.deepcopy(backbone.config)  # growing the vocabulary will change it
    with quiet():
        return _useful(transformers.AutoModel.from_config(config, dtype=torch.float32, trust_remote_code=False))


def _useful(model: Any) -> nn.Module:
    encoder: Any = model.get_encoder() if model.config.is_encoder_decoder else model
    if getattr(encoder, "pooler", None) is not None:
        encoder.pooler = None  # its output is not used; left in, it would be trained by nothing and saved
    encoder.config.use_cache = False  # keys and values are kept for writing on, which nobody does here
    module: nn.Module = encoder
    return module


def _grown(encoder: Any, backbone: Backbone) -> nn.Module:
    """The encoder with an embedding for each token, those added to the tokenizer included."""
    if len(backbone.tokenizer) > encoder.get_input_embeddings().num_embeddings:
        with quiet():
            encoder.resize_token_embeddings(len(backbone.tokenizer))
    module: nn.Module = encoder
    return module
