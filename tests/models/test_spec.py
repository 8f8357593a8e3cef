import inspect
from typing import Any, get_args

import pytest
from pydantic import BaseModel, ValidationError

from models import spec
from models.pooling.layer_mixes import LAYER_MIXES
from models.pooling.token_pools import TOKEN_POOLS
from models.spec import (
    ConcatLayersSpec,
    GemPoolSpec,
    HeadsPoolSpec,
    LastLayerSpec,
    LinearVariantSpec,
    LstmLayersSpec,
    MaxLayersSpec,
    NeuralVariantSpec,
    PlainTokens,
    TrainingSpec,
    WeightedLayersSpec,
    build_poolings,
)


def list_poolings(spec: NeuralVariantSpec) -> dict[str, Any]:
    return {name: pooling.to_json() for name, pooling in build_poolings(spec).items()}


MIXES = (LastLayerSpec, WeightedLayersSpec, ConcatLayersSpec, MaxLayersSpec, LstmLayersSpec)


def kinds(*models: type[BaseModel]) -> list[str]:
    return [kind for model in models for kind in get_args(model.model_fields["kind"].annotation)]


def test_the_kinds_of_the_spec_are_those_of_the_registries() -> None:
    assert sorted(kinds(*MIXES)) == sorted(LAYER_MIXES)
    assert sorted([*get_args(PlainTokens), *kinds(HeadsPoolSpec, GemPoolSpec)]) == sorted(TOKEN_POOLS)


@pytest.mark.parametrize(
    "model", [TrainingSpec, NeuralVariantSpec, LinearVariantSpec, *MIXES, HeadsPoolSpec, GemPoolSpec]
)
def test_every_key_is_described(model: type[BaseModel]) -> None:
    assert all(field.description for field in model.model_fields.values())


def test_every_kind_can_be_asked_for_by_its_name_and_by_its_long_form() -> None:
    for mix in LAYER_MIXES:
        short = NeuralVariantSpec(pooling={"layers": mix, "tokens": "mean"})
        assert short == NeuralVariantSpec(pooling={"layers": {"kind": mix}, "tokens": [{"kind": "mean"}]})
    for pool in TOKEN_POOLS:
        short = NeuralVariantSpec(pooling=pool)
        assert short == NeuralVariantSpec(pooling={"layers": "last", "tokens": [{"kind": pool}]})


def test_the_settings_of_a_kind_and_their_defaults_are_those_of_its_class() -> None:
    for model in (*MIXES, HeadsPoolSpec, GemPoolSpec):
        registry = LAYER_MIXES if model in MIXES else TOKEN_POOLS
        known = inspect.signature(registry[kinds(model)[0]]).parameters.values()
        expected = {setting.name: setting.default for setting in known if setting.default is not setting.empty}
        assert {name: field.default for name, field in model.model_fields.items() if name != "kind"} == expected
    for kind in get_args(PlainTokens):
        assert all(p.default is p.empty for p in inspect.signature(TOKEN_POOLS[kind]).parameters.values())


SHORT = [
    ("attention", {"layers": {"kind": "last"}, "tokens": [{"kind": "attention"}]}),
    ("weighted_layer", {"layers": {"kind": "weighted", "start": 1}, "tokens": [{"kind": "mean"}]}),
    (["mean", "max"], {"layers": {"kind": "last"}, "tokens": [{"kind": "mean"}, {"kind": "max"}]}),
    (
        {"layers": {"kind": "concat", "count": 2}, "tokens": {"kind": "gem", "exponent": 2.0}},
        {"layers": {"kind": "concat", "count": 2}, "tokens": [{"kind": "gem", "exponent": 2.0}]},
    ),
    ({"tokens": ["cls"]}, {"layers": {"kind": "last"}, "tokens": [{"kind": "cls"}]}),
]


@pytest.mark.parametrize(("short", "plain"), SHORT, ids=range(len(SHORT)))
def test_a_short_form_stands_for_a_long_one(short: Any, plain: dict[str, Any]) -> None:
    assert list_poolings(NeuralVariantSpec(pooling=short)) == {"": plain}
    assert list_poolings(NeuralVariantSpec(poolings={"a": short, "b": "cls"}))["a"] == plain
    assert list_poolings(NeuralVariantSpec(pooling=plain)) == {"": plain}


def test_several_poolings_keep_their_order_and_names() -> None:
    assert list(list_poolings(NeuralVariantSpec(poolings={"z": "cls", "a": "mean"}))) == ["z", "a"]


def test_effective_settings_round_trip() -> None:
    for variant in (NeuralVariantSpec(poolings={"a": ["mean", "gem"]}, epochs=5), LinearVariantSpec(model="tfidf")):
        assert type(variant).model_validate(variant.model_dump()) == variant


REFUSED: list[tuple[type[BaseModel], dict[str, Any], str]] = [
    (NeuralVariantSpec, {}, "give either pooling or poolings"),
    (NeuralVariantSpec, {"pooling": "mean", "poolings": {"a": "mean"}}, "give either pooling or poolings"),
    (NeuralVariantSpec, {"poolings": {}}, "at least 1"),
    (NeuralVariantSpec, {"poolings": {"": "mean"}}, "should match pattern"),
    (NeuralVariantSpec, {"poolings": {"../x": "mean"}}, "should match pattern"),
    (NeuralVariantSpec, {"pooling": []}, "at least 1"),
    (NeuralVariantSpec, {"pooling": "median"}, "'median'.*multi_head_attention"),
    (NeuralVariantSpec, {"pooling": {"layers": "first", "tokens": "mean"}}, "'first'.*lstm"),
    (NeuralVariantSpec, {"pooling": {"layers": "last"}}, "Field required"),
    (NeuralVariantSpec, {"pooling": {"kind": "gem", "exponent": 2.0}}, "Extra inputs"),
    (NeuralVariantSpec, {"pooling": {"tokens": {"kind": "mean", "exponent": 2.0}}}, "Extra inputs"),
    (NeuralVariantSpec, {"pooling": {"tokens": {"kind": "gem", "exponent": 0.0}}}, "greater than 0"),
    (
        NeuralVariantSpec,
        {"pooling": {"layers": {"kind": "concat", "count": 0}, "tokens": "mean"}},
        "equal to 1",
    ),
    (
        NeuralVariantSpec,
        {"pooling": {"layers": {"kind": "weighted", "start": -1}, "tokens": "mean"}},
        "equal to 0",
    ),
    (TrainingSpec, {"seeds": [1, 1]}, "seeds must differ"),
    (TrainingSpec, {"seeds": []}, "at least 1"),
    (TrainingSpec, {"dropout": 0.0, "dropout_samples": 4}, "dropout_samples above 1 has no effect where dropout is 0"),
    (TrainingSpec, {"freeze_embeddings": True, "extra_tokens": ["[X]"]}, "freeze_embeddings would keep the random"),
    (TrainingSpec, {"learning_rate": "2e-5"}, "valid number"),
    (TrainingSpec, {"learning_rate": 0.0}, "greater than 0"),
    (TrainingSpec, {"learning_rate": 20.0}, "less than or equal to 1"),
    (TrainingSpec, {"layer_decay": 0.0}, "greater than 0"),
    (TrainingSpec, {"clip_norm": -1.0}, "greater than 0"),
    (TrainingSpec, {"dropout": 1.0}, "less than 1"),
    (TrainingSpec, {"epochs": 0}, "greater than or equal to 1"),
    (TrainingSpec, {"epochs": 2.5}, "valid integer"),
    (TrainingSpec, {"epochs": True}, "valid integer"),
    (TrainingSpec, {"max_length": 3}, "greater than or equal to 4"),
    (TrainingSpec, {"keep": "middle"}, "'head', 'tail' or 'both'"),
    (TrainingSpec, {"class_weights": "even"}, "'balanced'"),
    (TrainingSpec, {"class_weights": {"a": 0.0}}, "greater than 0"),
    (TrainingSpec, {"precision": "fp8"}, "'auto', 'fp32', 'bf16' or 'fp16'"),
    (TrainingSpec, {"threads": 0}, "greater than or equal to 1"),
    (TrainingSpec, {"learning_rat": 1e-3}, "Extra inputs"),
    (LinearVariantSpec, {"model": "tfidf", "epochs": 3}, "Extra inputs"),
    (LinearVariantSpec, {"model": "svm"}, "'tfidf'"),
    (LinearVariantSpec, {"model": "tfidf", "word_ngrams": 0}, "greater than or equal to 1"),
]


@pytest.mark.parametrize(("model", "config", "message"), REFUSED, ids=range(len(REFUSED)))
def test_what_cannot_be_is_refused(model: type[BaseModel], config: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        model.model_validate(config)


def test_none_switches_off_and_whole_numbers_are_rates_too() -> None:
    training = TrainingSpec.model_validate({"clip_norm": None, "threads": None, "learning_rate": 1, "warmup": 0})
    assert (training.clip_norm, training.threads, training.learning_rate, training.warmup) == (None, None, 1, 0)


def test_a_schema_can_be_printed() -> None:
    schema = NeuralVariantSpec.model_json_schema()
    assert schema["properties"]["epochs"]["description"]
    assert schema["additionalProperties"] is False
    assert spec.__doc__
