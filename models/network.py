"""The network of a variant: one encoder, and for each pooling a dropout and a head.

From a recipe to a network: fresh for a fit, or as the shape into which saved weights go.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from models import ModelError
from models.encoder.backbone import Backbone
from models.encoder.frozen_layers import Trunk, cut
from models.encoder.pretrained import DROPOUTS, is_causal, load_encoder, longest_text, with_dropouts
from models.losses import LOSSES
from models.pooling.masked_pooling import Pooling
from models.pooling.token_pools import inverse_document_frequency
from models.tokens import Tokens


class Head(nn.Module):
    """Dropout and a linear layer, started small so that the first predictions are neutral.

    With several `samples` the same vector passes several dropout masks (multi-sample dropout, Inoue 2019).
    """

    def __init__(self, width: int, outputs: int, dropout: float, samples: int) -> None:
        super().__init__()
        self.dropout, self.samples = nn.Dropout(dropout), samples
        self.linear = nn.Linear(width, outputs)
        nn.init.normal_(self.linear.weight, std=0.02)
        nn.init.zeros_(self.linear.bias)

    def forward(self, pooled: Tensor) -> Tensor:
        """(batch, width) -> (samples, batch, outputs) in training, (1, batch, outputs) otherwise."""
        repeats = self.samples if self.training else 1
        return torch.stack([self.linear(self.dropout(pooled)) for _ in range(repeats)])


class Network(nn.Module):
    """Encoder, poolings and heads. `poolings` are plain {layers, tokens} by name; `columns` the outputs of the task.

    `location` and `scale` (columns,) undo the standardisation of regression targets; they are learned from the
    fold's training rows and saved with the weights. In float64, since targets may be large and differ by little.
    With a `trunk` of this encoder the inputs bring the `states` that enter its upper layers, and these alone run.
    """

    location: Tensor
    scale: Tensor

    def __init__(
        self,
        encoder: nn.Module,
        *,
        poolings: dict[str, dict[str, Any]],
        task: str,
        columns: int,
        depth: int,
        dropout: float,
        dropout_samples: int,
        idf: Tensor,
    ) -> None:
        super().__init__()
        self.encoder, self.task = encoder, task
        width = int(encoder.config.hidden_size)  # type: ignore[union-attr, arg-type]
        self.poolings, self.heads = nn.ModuleDict(), nn.ModuleDict()
        for name, pooling in poolings.items():
            module = Pooling(**pooling, depth=depth, width=width, idf=idf)
            self.poolings[_key(name)] = module
            self.heads[_key(name)] = Head(module.width, LOSSES[task].width(columns), dropout, dropout_samples)
        self.names = list(poolings)
        _start_alike(self.heads)
        self.all_layers = any(pooling.needs_all_layers for pooling in self.poolings.values())
        self.trunk: Trunk | None = None
        self.register_buffer("location", torch.zeros(columns, dtype=torch.float64))
        self.register_buffer("scale", torch.ones(columns, dtype=torch.float64))

    def forward(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Encoder inputs -> (samples, batch, outputs) in float32 for each pooling; without a mask, none is padding."""
        hidden, ids = self._hidden(inputs), inputs["input_ids"]
        mask = inputs.get("attention_mask", torch.ones_like(ids))
        with torch.autocast(mask.device.type, enabled=False):
            return {n: self.heads[_key(n)](self.poolings[_key(n)](hidden, mask, ids)) for n in self.names}

    @property
    def weighs_tokens(self) -> bool:
        """Whether `look` has anything to say."""
        return any(pooling.weighs_tokens for pooling in self.poolings.values())

    def look(self, inputs: dict[str, Tensor]) -> dict[str, dict[str, Tensor]]:
        """Encoder inputs -> for each pooling, by the kind of its token pools that weigh, (batch, tokens) weights."""
        hidden, ids = self._hidden(inputs), inputs["input_ids"]
        mask = inputs.get("attention_mask", torch.ones_like(ids))
        return {name: self.poolings[_key(name)].look(hidden, mask, ids) for name in self.names}  # type: ignore[operator]

    def _hidden(self, inputs: dict[str, Tensor]) -> list[Tensor]:
        if self.trunk is not None:
            return self.trunk.upper(inputs["states"], inputs.get("attention_mask"), self.all_layers)
        encoded = self.encoder(**inputs, output_hidden_states=self.all_layers)
        last: Tensor = encoded.last_hidden_state
        return [*encoded.hidden_states[:-1], last] if self.all_layers else [last]

    def predict(self, outputs: Tensor) -> Tensor:
        """(batch, outputs) -> (batch, columns) probabilities or values, in float64 where sums to one matter."""
        values = LOSSES[self.task].predict(outputs.double())
        return values * self.scale + self.location if self.task == "regression" else values


def _start_alike(heads: nn.ModuleDict) -> None:
    """Give heads of one shape the same start.

    Each then asks the encoder for the same features. From starts of their own they pull it apart: on TREC the log loss
    of mean pooling on an encoder shared by six was .30, from one start .27, on its own .26 (means of seeds).
    """
    first: dict[torch.Size, Tensor] = {}
    for head in heads.values():
        weight = head.linear.weight.data  # type: ignore[union-attr]
        weight.copy_(first.setdefault(weight.shape, weight))  # type: ignore[operator, arg-type]


def check_poolings(poolings: dict[str, dict[str, Any]], causal: bool, backbone: str) -> None:
    """Refuse a pooling that reads nothing: `cls` on a causal backbone, whose first token has seen itself alone."""
    if causal and any(pool["kind"] == "cls" for pooling in poolings.values() for pool in pooling["tokens"]):
        raise ModelError(
            f"pooling cls reads the first token, which on the causal decoder {backbone!r} has seen no other: "
            "use last, mean or attention"
        )


def _key(name: str) -> str:
    return f"pool_{name}"  # a ModuleDict refuses an empty key, and names such as "keys" or "values"


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
