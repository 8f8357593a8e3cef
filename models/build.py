"""From a recipe to a network: fresh for a fit, or as the shape into which saved weights go."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from models import ModelError
from models.encoder.backbone import Backbone
from models.encoder.frozen_layers import cut
from models.encoder.pretrained import DROPOUTS, is_causal, load_encoder, longest_text, with_dropouts
from models.network import Network, check_poolings
from models.pooling.masked_pooling import Pooling
from models.pooling.token_pools import inverse_document_frequency
from models.tokens import Tokens


def check_variant(
    backbone: Backbone, poolings: dict[str, dict[str, Any]], training: dict[str, Any], pair: bool = False
) -> None:
    """Refuse, before any training, poolings and settings that the backbone cannot carry; `pair`: texts come in twos.

    Raises ModelError.
    """
    max_length = training["max_length"]
    with_dropouts(backbone, {name: training[name] for name in DROPOUTS})
    asked = {pool["kind"] for pooling in poolings.values() for pool in pooling["tokens"]}
    check_poolings(poolings, "cls" in asked and is_causal(backbone), backbone.name)
    if training["freeze_layers"] is not None:
        cut(load_encoder(backbone), training["freeze_layers"], backbone)
    if max_length <= backbone.tokenizer.num_special_tokens_to_add(pair=pair):
        raise ModelError(f"training.max_length is {max_length}, which leaves no room between the special tokens")
    longest = longest_text(backbone)
    if longest is not None and max_length > longest:
        raise ModelError(f"training.max_length is {max_length}, but {backbone.name!r} reads {longest} tokens at most")
    width = int(backbone.config.hidden_size)
    for pooling in poolings.values():
        with torch.device("meta"):
            Pooling(**pooling, depth=backbone.layers, width=width, idf=torch.zeros(1))


def fresh_network(
    backbone: Backbone,
    poolings: dict[str, dict[str, Any]],
    training: dict[str, Any],
    task: str,
    columns: int,
    tokens: Tokens,
    truth: np.ndarray,
    train_rows: np.ndarray,
) -> Network:
    """Pretrained encoder, new heads, and what the fold's training rows teach: IDF weights, scale of the targets."""
    encoder = load_encoder(backbone, {name: training[name] for name in DROPOUTS})
    vocabulary = int(encoder.get_input_embeddings().num_embeddings)  # type: ignore[operator]
    asks_idf = any(pool["kind"] == "idf" for p in poolings.values() for pool in p["tokens"])
    idf = inverse_document_frequency((tokens.row(r) for r in train_rows if asks_idf), vocabulary)
    network = build_network(encoder, backbone, poolings, training, task, columns, idf)
    if task == "regression":
        location, scale = truth[train_rows].mean(0), truth[train_rows].std(0)
        network.location.copy_(torch.from_numpy(location))
        network.scale.copy_(torch.from_numpy(np.maximum(scale, 1e-9 * np.abs(location) + 1e-30)))  # none if constant
    if training["freeze_embeddings"]:
        embeddings = getattr(encoder, "embeddings", None) or encoder.get_input_embeddings()  # type: ignore[operator]
        embeddings.requires_grad_(False)
    if training["freeze_layers"] is not None:
        network.trunk = cut(encoder, training["freeze_layers"], backbone)
    if training["gradient_checkpointing"]:
        _checkpoint(encoder, backbone.name)
    return network


def build_network(
    encoder: nn.Module,
    backbone: Backbone,
    poolings: dict[str, dict[str, Any]],
    training: dict[str, Any],
    task: str,
    columns: int,
    idf: Tensor,
) -> Network:
    """The network of a variant around an encoder."""
    return Network(
        encoder,
        poolings=poolings,
        task=task,
        columns=columns,
        depth=backbone.layers,
        dropout=training["dropout"],
        dropout_samples=training["dropout_samples"],
        idf=idf,
    )


def _checkpoint(encoder: Any, name: str) -> None:
    if not encoder.supports_gradient_checkpointing:
        raise ModelError(f"training.gradient_checkpointing is not supported by backbone {name!r}: leave it out")
    old, new = "gradient_checkpointing_enable", "activation_checkpointing_enable"  # renamed within transformers 5
    getattr(encoder, new if hasattr(encoder, new) else old)({"use_reentrant": False})
