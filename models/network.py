"""The network of a variant: one encoder, and for each pooling a dropout and a head.

`NetworkDesign` says how it is built. `create_network` builds it for a fit; `models.saved` builds it for saved weights.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from models import ModelError
from models.device import choose_precision
from models.encoder.attention_masks import choose_mask_form, place_mask
from models.encoder.backbone import Backbone
from models.encoder.frozen_layers import FrozenLayers, freeze_lower_layers
from models.encoder.pretrained import (
    count_embeddings,
    find_longest_text,
    is_causal,
    load_encoder,
    reads_padding,
    set_dropouts,
)
from models.losses import LOSSES
from models.pooling.masked_pooling import Pooling
from models.pooling.token_pools import compute_idf
from models.settings import PoolingSettings, TrainingSettings
from models.tokens import Tokens

# Families whose first token attends to all others if it is told to (Beltagy et al. 2020, Longformer: classification).
GLOBAL_ATTENTION = ("longformer", "led")


@dataclass(frozen=True)
class NetworkDesign:
    """How a network is built and trained: a backbone, poolings by name, settings, a task and its number of columns."""

    backbone: Backbone
    poolings: Mapping[str, PoolingSettings]
    settings: TrainingSettings
    task: str
    columns: int


class Head(nn.Module):
    """Dropout and a linear layer, with small initial weights so that the first predictions are neutral.

    With several `samples` the same vector passes several dropout masks (multi-sample dropout, Inoue 2019).
    """

    def __init__(self, width: int, outputs: int, dropout: float, samples: int) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.samples = samples
        self.linear = nn.Linear(width, outputs)
        nn.init.normal_(self.linear.weight, std=0.02)
        nn.init.zeros_(self.linear.bias)

    def forward(self, pooled: Tensor) -> Tensor:
        """(batch, width) -> (samples, batch, outputs) in training, (1, batch, outputs) otherwise."""
        repeats = self.samples if self.training else 1
        return torch.stack([self.linear(self.dropout(pooled)) for _ in range(repeats)])


class Network(nn.Module):
    """Encoder, poolings and heads. `idf` (vocabulary,) weighs the tokens of pools that use it.

    `location` and `scale` (columns,) undo the standardisation of regression targets; they come from the training rows
    of the fold and are saved with the weights. In float64, since targets may be large and differ by little. With
    `frozen_layers` the inputs hold the `states` that enter the upper layers, and only these layers run.
    """

    location: Tensor
    scale: Tensor

    def __init__(self, encoder: nn.Module, design: NetworkDesign, idf: Tensor) -> None:
        super().__init__()
        self.encoder = encoder
        self.design = design
        self.poolings = nn.ModuleDict()
        self.heads = nn.ModuleDict()
        self.frozen_layers: FrozenLayers | None = None
        width = int(encoder.config.hidden_size)  # type: ignore[union-attr, arg-type]
        outputs = LOSSES[design.task].width(design.columns)
        settings = design.settings
        for name, pooling in design.poolings.items():
            pooling = place_cls(pooling, design.backbone.cls_is_last)
            module = Pooling(pooling, depth=design.backbone.layers, width=width, idf=idf)
            self.poolings[_make_key(name)] = module
            self.heads[_make_key(name)] = Head(module.width, outputs, settings.dropout, settings.dropout_samples)
        _align_starts(self.heads)
        self.all_layers = any(pooling.needs_all_layers for pooling in self.poolings.values())
        self.mask_form = choose_mask_form(encoder)
        self.register_buffer("location", torch.zeros(design.columns, dtype=torch.float64))
        self.register_buffer("scale", torch.ones(design.columns, dtype=torch.float64))

    @property
    def names(self) -> list[str]:
        """The names of the poolings."""
        return list(self.design.poolings)

    @property
    def device(self) -> torch.device:
        """The device of its parameters."""
        return next(self.parameters()).device

    @property
    def training_precision(self) -> torch.dtype | None:
        """The autocast type of training steps; None is float32."""
        return choose_precision(self.design.settings.precision, self.device, self.design.backbone.overflows_float16)

    @property
    def prediction_precision(self) -> torch.dtype | None:
        """The autocast type of predictions; None is float32. On a CPU always: exact, and independent of the batch."""
        return None if self.device.type == "cpu" else self.training_precision

    @property
    def weighs_tokens(self) -> bool:
        """True if some pooling weighs tokens."""
        return any(pooling.weighs_tokens for pooling in self.poolings.values())

    def forward(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Encoder inputs -> (samples, batch, outputs) in float32 for each pooling; without a mask, none is padding."""
        hidden = self._encode(inputs)
        ids = inputs["input_ids"]
        mask = inputs.get("attention_mask", torch.ones_like(ids))
        with torch.autocast(mask.device.type, enabled=False):
            return {n: self.heads[_make_key(n)](self.poolings[_make_key(n)](hidden, mask, ids)) for n in self.names}

    def predict(self, outputs: Tensor) -> Tensor:
        """(batch, outputs) -> (batch, columns) probabilities or values, in float64, where sums to one matter."""
        task = self.design.task
        values = LOSSES[task].predict(outputs.double())
        return values * self.scale + self.location if task == "regression" else values

    def weigh_tokens(self, inputs: dict[str, Tensor]) -> dict[str, dict[str, Tensor]]:
        """Encoder inputs -> (batch, tokens) weights by pooling and by kind of the token pools that weigh tokens."""
        hidden = self._encode(inputs)
        ids = inputs["input_ids"]
        mask = inputs.get("attention_mask", torch.ones_like(ids))
        return {
            name: self.poolings[_make_key(name)].weigh_tokens(hidden, mask, ids)  # type: ignore[operator]
            for name in self.names
        }

    def _encode(self, inputs: dict[str, Tensor]) -> list[Tensor]:
        if self.frozen_layers is not None:
            return self.frozen_layers.run_upper(inputs["states"], inputs.get("attention_mask"), self.all_layers)
        inputs = place_mask(inputs, self.mask_form)
        if str(self.encoder.config.model_type) in GLOBAL_ATTENTION:  # type: ignore[union-attr]
            first = torch.zeros_like(inputs["input_ids"])
            first[:, 0] = 1
            inputs = {**inputs, "global_attention_mask": first}
        encoded = self.encoder(**inputs, output_hidden_states=self.all_layers)
        last: Tensor = encoded.last_hidden_state
        return [*encoded.hidden_states[:-1], last] if self.all_layers else [last]


def create_network(design: NetworkDesign, tokens: Tokens, truth: np.ndarray, train_rows: np.ndarray) -> Network:
    """Return a network with a pretrained encoder and new heads.

    IDF weights and the scale of regression targets come from the training rows of `tokens` and `truth` alone.
    """
    settings = design.settings
    encoder = load_encoder(design.backbone, _select_dropouts(settings))
    vocabulary = count_embeddings(encoder)
    idf_rows = train_rows if has_pool(design.poolings, "idf") else train_rows[:0]
    network = Network(encoder, design, compute_idf((tokens.get_row(row) for row in idf_rows), vocabulary))
    if design.task == "regression":
        location = truth[train_rows].mean(0)
        scale = truth[train_rows].std(0)
        network.location.copy_(torch.from_numpy(location))
        network.scale.copy_(torch.from_numpy(np.maximum(scale, 1e-9 * np.abs(location) + 1e-30)))  # 0 if constant
    if settings.freeze_embeddings:
        embeddings = getattr(encoder, "embeddings", None) or encoder.get_input_embeddings()  # type: ignore[operator]
        embeddings.requires_grad_(False)
    if settings.freeze_layers is not None:
        network.frozen_layers = freeze_lower_layers(encoder, settings.freeze_layers, design.backbone)
    if settings.gradient_checkpointing:
        _enable_checkpointing(encoder, design.backbone.name)
    return network


def check_design(design: NetworkDesign, is_pair: bool = False) -> None:
    """Raise ModelError for poolings and settings that the backbone cannot have; `is_pair`: a row has two texts."""
    backbone = design.backbone
    settings = design.settings
    set_dropouts(backbone, _select_dropouts(settings))
    check_padding(backbone)
    check_poolings(design.poolings, has_pool(design.poolings, "cls") and is_causal(backbone), backbone.name)
    if settings.precision == "fp16" and backbone.overflows_float16:
        raise ModelError(
            f"training.precision is fp16, in which backbone {backbone.name!r} overflows: use auto, which takes bf16 or "
            "fp32 for it"
        )
    if settings.freeze_layers is not None:
        freeze_lower_layers(load_encoder(backbone), settings.freeze_layers, backbone)
    max_length = settings.max_length
    if max_length <= backbone.tokenizer.num_special_tokens_to_add(pair=is_pair):
        raise ModelError(f"training.max_length is {max_length}, which leaves no room between the special tokens")
    longest = find_longest_text(backbone)
    if longest is not None and max_length > longest:
        raise ModelError(f"training.max_length is {max_length}, but {backbone.name!r} reads {longest} tokens at most")
    width = int(backbone.config.hidden_size)
    for pooling in design.poolings.values():
        with torch.device("meta"):
            Pooling(pooling, depth=backbone.layers, width=width, idf=torch.zeros(1))


def check_padding(backbone: Backbone) -> None:
    """Raise ModelError for a backbone whose output for a text depends on the other texts of its batch."""
    if reads_padding(backbone):
        raise ModelError(
            f"backbone {backbone.name!r} gives a text other states beside longer texts than alone, because its layers "
            "read padding: its predictions would depend on the batch; take another backbone"
        )


def check_poolings(poolings: Mapping[str, PoolingSettings], causal: bool, backbone: str) -> None:
    """Raise ModelError for `cls` on a causal backbone, whose first token depends on no other."""
    if causal and has_pool(poolings, "cls"):
        raise ModelError(
            f"pooling cls reads the first token, which on the causal decoder {backbone!r} has seen no other: "
            "use last, mean or attention"
        )


def place_cls(pooling: PoolingSettings, cls_is_last: bool) -> PoolingSettings:
    """Return the pooling with `cls` reading the last token where the backbone's [CLS] is the last one."""
    if not cls_is_last:
        return pooling
    tokens = tuple(replace(part, kind="last") if part.kind == "cls" else part for part in pooling.tokens)
    return replace(pooling, tokens=tokens)


def has_pool(poolings: Mapping[str, PoolingSettings], kind: str) -> bool:
    """Return True if some pooling has a token pool of that kind."""
    return any(pool.kind == kind for pooling in poolings.values() for pool in pooling.tokens)


def _select_dropouts(settings: TrainingSettings) -> dict[str, float | None]:
    return {"hidden_dropout": settings.hidden_dropout, "attention_dropout": settings.attention_dropout}


def _make_key(name: str) -> str:
    return f"pool_{name}"  # a ModuleDict refuses an empty key, and names such as "keys" or "values"


def _align_starts(heads: nn.ModuleDict) -> None:
    """Give heads of one shape the same initial weights.

    Each then asks the encoder for the same features. With different initial weights they pull it apart: on TREC the log
    loss of mean pooling on an encoder shared by six was .30, with the same ones .27, on its own encoder .26 (means of
    seeds).
    """
    first: dict[torch.Size, Tensor] = {}
    for head in heads.values():
        weight = head.linear.weight.data  # type: ignore[union-attr]
        weight.copy_(first.setdefault(weight.shape, weight))  # type: ignore[operator, arg-type]


def _enable_checkpointing(encoder: Any, name: str) -> None:
    if not encoder.supports_gradient_checkpointing:
        raise ModelError(f"training.gradient_checkpointing is not supported by backbone {name!r}: leave it out")
    old, new = "gradient_checkpointing_enable", "activation_checkpointing_enable"  # renamed within transformers 5
    getattr(encoder, new if hasattr(encoder, new) else old)({"use_reentrant": False})
