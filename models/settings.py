"""Settings of a variant as frozen dataclasses, built from the specs of the config. Imports no torch.

Recipes are hashed from the plain values of `to_json`: its keys are part of the format of a run.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

SEPARATOR = "[SEP]"  # in a text: the separator of whatever tokenizer reads it, whatever it is called there
Option = int | float


@dataclass(frozen=True)
class PoolingPart:
    """One choice of a pooling: a layer mix or a token pool by its kind, with the options of that kind."""

    kind: str
    options: Mapping[str, Option] = field(default_factory=dict)

    def to_json(self) -> dict[str, str | Option]:
        """Return {"kind": ..., option: value, ...}."""
        return {"kind": self.kind, **self.options}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "PoolingPart":
        """Return the part that `to_json` gave."""
        return cls(str(value["kind"]), {key: option for key, option in value.items() if key != "kind"})


@dataclass(frozen=True)
class PoolingSettings:
    """A pooling: a layer mix, then one token pool or several side by side."""

    layers: PoolingPart
    tokens: tuple[PoolingPart, ...]

    def to_json(self) -> dict[str, object]:
        """Return {"layers": {...}, "tokens": [{...}, ...]}."""
        return {"layers": self.layers.to_json(), "tokens": [token_pool.to_json() for token_pool in self.tokens]}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "PoolingSettings":
        """Return the pooling that `to_json` gave."""
        tokens = tuple(PoolingPart.from_json(part) for part in value["tokens"])
        return cls(PoolingPart.from_json(value["layers"]), tokens)


@dataclass(frozen=True)
class TrainingSettings:
    """The effective settings of a neural variant; `TrainingSpec` describes each key and holds the defaults."""

    backbone: str
    max_length: int
    keep: Literal["head", "tail", "both"]
    extra_tokens: tuple[str, ...]
    epochs: int
    batch_size: int
    accumulation: int
    learning_rate: float
    head_learning_rate: float | None
    layer_decay: float
    weight_decay: float
    warmup: float
    schedule: Literal["linear", "cosine", "constant"]
    clip_norm: float | None
    dropout: float
    hidden_dropout: float | None
    attention_dropout: float | None
    dropout_samples: int
    label_smoothing: float
    class_weights: Literal["balanced"] | dict[str, float] | None
    freeze_embeddings: bool
    freeze_layers: int | None
    gradient_checkpointing: bool
    precision: Literal["auto", "fp32", "bf16", "fp16"]
    threads: int | None
    seeds: tuple[int, ...]
    folds: Literal["cv", "all"]
    save_weights: Literal["fp32", "fp16", "none"]

    def to_json(self) -> dict[str, object]:
        """Return the settings as JSON holds them."""
        return _convert_to_plain(self)


@dataclass(frozen=True)
class TfidfSettings:
    """The settings of a linear variant; `LinearVariantSpec` describes each key and holds the defaults."""

    model: Literal["tfidf"]
    word_ngrams: int
    char_ngrams: int
    min_rows: int
    max_terms: int
    strength: float
    class_weights: Literal["balanced"] | None
    folds: Literal["cv", "all"]
    seeds: tuple[int, ...] = (0,)  # not an option: a linear fit draws nothing

    def to_json(self) -> dict[str, object]:
        """Return the settings as JSON holds them, without the seeds, which no user sets."""
        plain = _convert_to_plain(self)
        del plain["seeds"]
        return plain


@dataclass(frozen=True)
class Variant:
    """One named recipe: settings, and the poolings by name that are trained on one encoder (none for a linear one)."""

    name: str
    settings: TrainingSettings | TfidfSettings
    poolings: Mapping[str, PoolingSettings]

    @property
    def is_linear(self) -> bool:
        """True for a linear model, False for an encoder with poolings."""
        return isinstance(self.settings, TfidfSettings)

    @property
    def members(self) -> dict[str, str]:
        """The member of each pooling: the variant itself, or `variant.pooling` where it names several poolings."""
        names = list(self.poolings) or [""]
        return {pooling: f"{self.name}.{pooling}" if pooling else self.name for pooling in names}


def _convert_to_plain(settings: TrainingSettings | TfidfSettings) -> dict[str, object]:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(settings).items()}


def count_steps_per_epoch(rows: int, settings: TrainingSettings) -> int:
    """Return the optimizer steps in one pass over `rows` training rows."""
    batches = math.ceil(rows / settings.batch_size)
    return math.ceil(batches / settings.accumulation)
