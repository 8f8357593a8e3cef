"""The keys of a config that describe models: poolings, training, neural and linear variants. Imports no torch."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from models.settings import PoolingSettings, TfidfSettings, TrainingSettings, Variant

STRICT = ConfigDict(extra="forbid", frozen=True, strict=True)
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]

PlainTokens = Literal["cls", "mean", "max", "min", "attention", "idf", "token_weight", "mean_sqrt", "last"]


class LastLayerSpec(BaseModel):
    model_config = STRICT
    kind: Literal["last"] = Field(description="the output of the last layer")


class WeightedLayersSpec(BaseModel):
    model_config = STRICT
    kind: Literal["weighted"] = Field(description="softmax-weighted mean of the layers")
    start: int = Field(default=1, ge=0, description="first layer in the mix; 0 is the embedding output")


class ConcatLayersSpec(BaseModel):
    model_config = STRICT
    kind: Literal["concat"] = Field(description="the last layers side by side")
    count: int = Field(default=4, ge=1, description="how many of the last layers")


class MaxLayersSpec(BaseModel):
    model_config = STRICT
    kind: Literal["max"] = Field(description="element-wise maximum over the layers")
    start: int = Field(default=1, ge=0, description="first layer in the mix; 0 is the embedding output")


class LstmLayersSpec(BaseModel):
    model_config = STRICT
    kind: Literal["lstm"] = Field(description="an LSTM that reads the layers of each token in order")
    start: int = Field(default=1, ge=0, description="first layer read; 0 is the embedding output")
    state: int = Field(default=256, ge=1, description="width of the LSTM's state, which is its output")


class PlainPoolSpec(BaseModel):
    model_config = STRICT
    kind: PlainTokens = Field(description="a token pool without settings")


class HeadsPoolSpec(BaseModel):
    model_config = STRICT
    kind: Literal["multi_head_attention"] = Field(description="learned queries over the real tokens")
    heads: int = Field(default=4, ge=1, description="number of queries; must divide the width")


class GemPoolSpec(BaseModel):
    model_config = STRICT
    kind: Literal["gem"] = Field(description="generalised mean with a learned exponent, safe for signed features")
    exponent: float = Field(default=3.0, gt=0, le=20, description="where the learned exponent starts; 1 is the mean")


def _expand_kind(value: Any) -> Any:
    return {"kind": value} if isinstance(value, str) else value


def _convert_to_list(value: Any) -> Any:
    return [_expand_kind(item) for item in value] if isinstance(value, list) else [_expand_kind(value)]


def _expand_pooling(value: Any) -> Any:
    if value == "weighted_layer":
        return {"layers": "weighted", "tokens": "mean"}
    return {"tokens": value} if isinstance(value, (str, list)) else value


LayerMixSpec = Annotated[
    LastLayerSpec | WeightedLayersSpec | ConcatLayersSpec | MaxLayersSpec | LstmLayersSpec,
    Field(discriminator="kind"),
    BeforeValidator(_expand_kind),
]
TokenPoolSpec = Annotated[PlainPoolSpec | HeadsPoolSpec | GemPoolSpec, Field(discriminator="kind")]


class PoolingLongSpec(BaseModel):
    model_config = STRICT
    layers: LayerMixSpec = Field(default=LastLayerSpec(kind="last"), description="last, weighted, concat, max, lstm")
    tokens: Annotated[list[TokenPoolSpec], BeforeValidator(_convert_to_list)] = Field(
        min_length=1, description="token pool, or a list of pools whose outputs are concatenated"
    )


PoolingSpec = Annotated[PoolingLongSpec, BeforeValidator(_expand_pooling)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
Rate = Annotated[float, Field(gt=0, le=1)]


class TrainingSpec(BaseModel):
    """Defaults of every neural variant; a variant may override each key."""

    model_config = STRICT
    backbone: str = Field(default="minilm", min_length=1, description="minilm (packaged), a folder, or a hub name")
    max_length: int = Field(default=256, ge=4, description="tokens kept of a text, special tokens included")
    keep: Literal["head", "tail", "both"] = Field(default="head", description="the part of a long text that is kept")
    extra_tokens: list[str] = Field(default=[], description="tokens added to the tokenizer, each with a new embedding")
    epochs: int = Field(default=3, ge=1, description="passes over the training rows; the last weights make the OOF")
    batch_size: int = Field(default=16, ge=1, description="rows in a forward pass")
    accumulation: int = Field(default=1, ge=1, description="forward passes per optimizer step")
    learning_rate: Rate = Field(default=5e-5, description="peak learning rate of the top layer of the backbone")
    head_learning_rate: Rate | None = Field(default=None, description="peak learning rate of poolings and heads")
    layer_decay: Rate = Field(default=1.0, description="factor on the learning rate from each layer to the one below")
    weight_decay: float = Field(default=0.01, ge=0, description="AdamW weight decay; never on biases and norms")
    warmup: Fraction = Field(default=0.1, description="share of the steps in which the learning rate rises")
    schedule: Literal["linear", "cosine", "constant"] = Field(default="linear", description="course after the warm-up")
    clip_norm: Annotated[float, Field(gt=0)] | None = Field(
        default=1.0, description="largest gradient norm; null: none"
    )
    dropout: Fraction = Field(default=0.1, description="dropout between pooling and head")
    hidden_dropout: Fraction | None = Field(default=None, description="dropout inside the backbone; null: its own")
    attention_dropout: Fraction | None = Field(default=None, description="of attention weights; null: the backbone's")
    dropout_samples: int = Field(default=1, ge=1, description="dropout masks per head whose losses are averaged")
    label_smoothing: Fraction = Field(default=0.0, description="weight of the uniform distribution in the targets")
    class_weights: Literal["balanced"] | dict[str, Annotated[float, Field(gt=0)]] | None = Field(
        default=None, description="in the loss: balanced, or by class"
    )
    freeze_embeddings: bool = Field(default=False, description="keep the embeddings as they were pretrained")
    freeze_layers: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description="keep the embeddings and this number of layers, run once per text; null: none"
    )
    gradient_checkpointing: bool = Field(default=False, description="recompute activations: less memory, more time")
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        default="auto", description="auto: on a GPU bf16 or scaled fp16, on a CPU fp32"
    )
    threads: Annotated[int, Field(ge=1)] | None = Field(default=None, description="CPU threads of a fit; null: all")
    seeds: list[int] = Field(default=[42], min_length=1, description="a fit per fold for each; predictions averaged")
    folds: Literal["cv", "all"] = Field(default="cv", description="cv: a fit per fold; all: a fit on every row, no OOF")
    save_weights: Literal["fp32", "fp16", "none"] = Field(default="fp32", description="weights on disk")

    @model_validator(mode="after")
    def _check_seeds(self) -> Self:
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError("seeds must differ from one another")
        return self

    @model_validator(mode="after")
    def _check_effects(self) -> Self:
        if self.dropout_samples > 1 and self.dropout == 0:
            raise ValueError("dropout_samples above 1 has no effect where dropout is 0")
        if self.freeze_embeddings and self.freeze_layers is not None:
            raise ValueError("freeze_embeddings has no effect beside freeze_layers, which keeps them too: leave it out")
        if self.freeze_embeddings and self.extra_tokens:
            raise ValueError("freeze_embeddings would keep the random embeddings of extra_tokens as they are")
        return self


class NeuralVariantSpec(TrainingSpec):
    """A pooling variant: one pooling, or several on one encoder, beside any training key."""

    pooling: PoolingSpec | None = Field(default=None, description="a token pool's name, or {layers, tokens}")
    poolings: dict[Name, PoolingSpec] | None = Field(
        default=None, min_length=1, description="several poolings on one encoder; each gives a member"
    )

    @model_validator(mode="after")
    def _check_one_pooling_key(self) -> Self:
        if (self.pooling is None) == (self.poolings is None):
            raise ValueError("give either pooling or poolings")
        return self


class LinearVariantSpec(BaseModel):
    """TF-IDF of words and characters with a linear model: a floor, and a diverse member."""

    model_config = STRICT
    model: Literal["tfidf"] = Field(description="the linear model")
    word_ngrams: int = Field(default=2, ge=1, le=5, description="longest word n-gram")
    char_ngrams: int = Field(default=4, ge=0, le=8, description="longest character n-gram; 0 leaves characters out")
    min_rows: int = Field(default=2, ge=1, description="training texts a term must occur in")
    max_terms: int = Field(default=200_000, ge=100, description="terms kept, for words and characters each")
    strength: float = Field(default=10.0, ge=1e-6, le=1e6, description="inverse regularisation of the linear model")
    class_weights: Literal["balanced"] | None = Field(default=None, description="balanced: rare classes weigh more")
    folds: Literal["cv", "all"] = Field(default="cv", description="cv: a fit per fold; all: a fit on every row, no OOF")


def build_variant(name: str, spec: NeuralVariantSpec | LinearVariantSpec, defaults: TrainingSpec) -> Variant:
    """Return a variant with its effective settings: the defaults of `training` under the variant's own keys."""
    if isinstance(spec, LinearVariantSpec):
        return Variant(name, TfidfSettings(**spec.model_dump()), {})
    values = list_effective_values(spec, defaults)
    settings: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in values.items()
    }
    return Variant(name, TrainingSettings(**settings), build_poolings(spec))


def list_effective_values(spec: NeuralVariantSpec, defaults: TrainingSpec) -> dict[str, object]:
    """Return the training keys of a variant: its own, and the defaults for the others."""
    own = spec.model_dump(exclude={"pooling", "poolings"}, include=spec.model_fields_set)
    return {**defaults.model_dump(), **own}


def build_poolings(spec: NeuralVariantSpec) -> dict[str, PoolingSettings]:
    """Return the poolings of a variant by name; a single pooling has the empty name."""
    poolings: Mapping[str, PoolingLongSpec | None] = spec.poolings or {"": spec.pooling}
    return {name: PoolingSettings.from_json(pooling.model_dump()) for name, pooling in poolings.items() if pooling}
