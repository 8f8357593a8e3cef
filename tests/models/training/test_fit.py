"""The training loop on a tiny random BERT: every option has a visible effect, nothing leaks, order is kept."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from safetensors.numpy import save_file
from safetensors.torch import load_file

from models import ModelError
from models.device import choose_precision
from models.encoder.backbone import Backbone
from models.network import Network, NetworkDesign, check_design
from models.predict import predict
from models.saved import convert_weights, load_network
from models.settings import count_steps_per_epoch
from models.spec import TrainingSpec
from models.store import EpochLog
from models.tokens import Tokens, encode_texts
from models.training import fit as fit_module
from models.training.fit import NetworkFit

Run = Callable[..., NetworkFit]
MakeDesign = Callable[..., NetworkDesign]
TASKS = ("binary", "multiclass", "multilabel", "regression", "ordinal")


def same(left: NetworkFit, right: NetworkFit) -> bool:
    """Whether two fits are the same to the last bit, weights and predictions."""
    weights = left.weights.keys() == right.weights.keys() and all(
        torch.equal(tensor, right.weights[name]) for name, tensor in left.weights.items()
    )
    parts = [(left.valid, right.valid), (left.test, right.test)]
    return weights and all(np.array_equal(a[name], b[name]) for a, b in parts for name in a)


def get_loss(result: NetworkFit, epoch: int) -> float:
    """The mean training loss of an epoch."""
    loss = result.epochs[epoch].loss
    assert loss is not None
    return loss


def moved(left: NetworkFit, right: NetworkFit, part: str) -> float:
    """The largest difference between two fits' weights whose names hold `part`."""
    found = [n for n in left.weights if part in n]
    assert found
    return max(float((left.weights[n] - right.weights[n]).abs().max()) for n in found)


# The same again, and otherwise.


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(run: Run) -> None:
    options = {"epochs": 2, "dropout": 0.3, "dropout_samples": 2}
    first = run(**options)
    torch.rand(7)  # whatever the process drew before does not matter
    assert same(first, run(**options))
    assert not same(first, run(**options, seed=2))


OPTIONS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "learning_rate": ({}, {"learning_rate": 5e-4}),
    "head_learning_rate": ({}, {"head_learning_rate": 1e-2}),
    "layer_decay": ({}, {"layer_decay": 0.5}),
    "weight_decay": ({}, {"weight_decay": 1.0}),
    "warmup": ({"epochs": 3}, {"warmup": 0.5}),
    "schedule": ({"epochs": 3}, {"schedule": "constant"}),
    "schedule cosine": ({"epochs": 3}, {"schedule": "cosine"}),
    "clip_norm": ({"epochs": 3}, {"clip_norm": 0.01}),
    "clip_norm off": ({"epochs": 3, "clip_norm": 0.01}, {"clip_norm": None}),
    "dropout": ({}, {"dropout": 0.5}),
    "hidden_dropout": ({}, {"hidden_dropout": 0.3}),
    "attention_dropout": ({}, {"attention_dropout": 0.3}),
    "dropout_samples": ({"dropout": 0.5}, {"dropout_samples": 4}),
    "label_smoothing": ({}, {"label_smoothing": 0.2}),
    "class_weights": ({}, {"class_weights": {"yes": 5.0}}),
    "freeze_layers": ({}, {"freeze_layers": 0}),
    "freeze_layers one more": ({"freeze_layers": 0}, {"freeze_layers": 1}),
    "freeze_embeddings": ({}, {"freeze_embeddings": True}),
    "epochs": ({}, {"epochs": 2}),
    "batch_size": ({}, {"batch_size": 4}),
    "accumulation": ({"batch_size": 4}, {"accumulation": 2}),
    "precision": ({}, {"precision": "bf16"}),
    "pooling": ({}, {"pooling": "max"}),
}
ELSEWHERE = {  # keys with a test of their own, here or where they act
    "backbone",  # test_backbones
    "max_length",
    "keep",
    "extra_tokens",
    "gradient_checkpointing",
    "threads",  # the engine sets them
    "seeds",
    "folds",
    "save_weights",
}


@pytest.mark.parametrize("option", OPTIONS)
def test_an_option_has_a_visible_effect(option: str, run: Run) -> None:
    base, other = OPTIONS[option]
    before, after = run(**base), run(**base | other)
    if option != "freeze_embeddings":
        assert moved(before, after, "heads.") > 1e-6
    assert moved(before, after, "encoder.") > 1e-6


def test_every_training_key_is_tested_for_its_effect() -> None:
    assert set(TrainingSpec.model_fields) == {name.split()[0] for name in OPTIONS} - {"pooling"} | ELSEWHERE


def test_frozen_embeddings_stay_and_the_rest_learns(run: Run, tiny: Backbone) -> None:
    pretrained = load_file(tiny.folder / "model.safetensors")
    weights = run(freeze_embeddings=True).weights
    for name, tensor in pretrained.items():
        if "pooler" not in name:
            assert torch.equal(weights[f"encoder.{name}"], tensor) == name.startswith("embeddings."), name


@pytest.mark.parametrize("pooling", ["mean", {"layers": "weighted", "tokens": "mean"}])
def test_frozen_layers_stay_and_the_rest_learns(pooling: Any, run: Run, tiny: Backbone) -> None:
    pretrained = load_file(tiny.folder / "model.safetensors")
    weights = run(freeze_layers=1, pooling=pooling).weights
    for name, tensor in pretrained.items():
        if "pooler" not in name:
            frozen = name.startswith("embeddings.") or "layer.0" in name
            assert torch.equal(weights[f"encoder.{name}"], tensor) == frozen, name


def test_frozen_layers_train_as_the_whole_encoder_would(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"freeze_layers": 1, "epochs": 2, "pooling": {"layers": {"kind": "concat", "count": 3}, "tokens": "max"}}
    states = run(**options)
    create_network = fit_module.create_network

    def whole(*given: Any) -> Network:
        network = create_network(*given)
        network.frozen_layers = None
        return network

    monkeypatch.setattr(fit_module, "create_network", whole)
    np.testing.assert_allclose(run(**options).valid[""], states.valid[""], rtol=1e-5)


def test_layer_decay_moves_lower_layers_less(run: Run, tiny: Backbone) -> None:
    pretrained = load_file(tiny.folder / "model.safetensors")
    weights = run(layer_decay=0.1, weight_decay=0.0).weights

    def travelled(part: str) -> float:
        name = next(n for n in pretrained if part in n)
        return float((weights[f"encoder.{name}"] - pretrained[name]).abs().max())

    parts = "word_embeddings", "layer.0.output.dense.weight", "layer.1.output.dense.weight"
    embeddings, lower, upper = map(travelled, parts)
    assert 0 < 5 * embeddings < lower < upper / 5


def test_two_half_batches_accumulated_are_one_batch(run: Run) -> None:
    rows = {"train_rows": np.arange(8), "epochs": 3}  # one step an epoch, so that both see the same rows in it
    whole = run(batch_size=8, **rows)
    halves = run(batch_size=4, accumulation=2, **rows)
    assert moved(whole, halves, "heads.") < 1e-5  # elsewhere Adam blows up the rounding noise of biases that cancel
    np.testing.assert_allclose(whole.valid[""], halves.valid[""], atol=1e-5)
    assert whole.epochs[0].loss == pytest.approx(halves.epochs[0].loss, rel=1e-5)
    assert moved(whole, run(batch_size=4, **rows), "heads.") > 1e-4


def test_unequal_batches_accumulate_by_rows(run: Run) -> None:
    rows = {"train_rows": np.arange(7), "epochs": 2}
    assert moved(run(batch_size=7, **rows), run(batch_size=6, accumulation=2, **rows), "heads.") < 1e-5


def test_gradient_checkpointing_is_used_and_changes_nothing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def counted(*arguments: Any, **settings: Any) -> Any:
        calls.append(1)
        return torch.utils.checkpoint.checkpoint(*arguments, **settings)

    monkeypatch.setattr(transformers.modeling_utils, "checkpoint", counted)
    plain = run()
    assert calls == []
    checkpointed = run(gradient_checkpointing=True)
    assert len(calls) == 2 * 2  # layers x batches
    assert moved(plain, checkpointed, "") < 1e-6


def test_gradient_checkpointing_repeats_its_dropout(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"gradient_checkpointing": True, "hidden_dropout": 0.4, "attention_dropout": 0.4, "dropout": 0.3}
    again = run(**options)

    def once(function: Any, *arguments: Any, use_reentrant: bool) -> Any:
        return function(*arguments)

    monkeypatch.setattr(transformers.modeling_utils, "checkpoint", once)
    assert moved(run(**options), again, "") < 1e-6


def test_gradient_checkpointing_of_an_encoder_without_it_is_refused(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transformers.BertModel, "supports_gradient_checkpointing", False)
    with pytest.raises(ModelError, match="gradient_checkpointing is not supported by backbone"):
        run(gradient_checkpointing=True)


def test_bf16_stays_near_fp32(run: Run) -> None:
    exact, rough = run(), run(precision="bf16")
    assert (exact.provenance.precision, rough.provenance.precision) == ("float32", "bfloat16")
    assert 0 < np.abs(exact.valid[""] - rough.valid[""]).max() < 0.1


def test_fp16_trains_with_a_loss_scale(run: Run) -> None:
    rough = run(precision="fp16", epochs=2)
    assert rough.provenance.precision == "float16"
    assert np.isfinite(rough.valid[""]).all()


def test_precision_is_fp32_on_a_cpu_unless_asked() -> None:
    cpu = torch.device("cpu")
    expected = {"auto": None, "fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}
    assert {name: choose_precision(name, cpu) for name in expected} == expected


def test_one_step_counter_tick_per_optimizer_step(run: Run, make_design: MakeDesign) -> None:
    ticks: list[int] = []
    settings: dict[str, Any] = {"batch_size": 3, "accumulation": 2, "epochs": 2}
    run(**settings, on_step=lambda step: ticks.append(1))
    assert len(ticks) == 2 * count_steps_per_epoch(16, make_design(None, **settings).settings) == 2 * 3


def test_weights_of_rows_weigh(run: Run) -> None:
    weights = np.ones(24)
    weights[:8] = 0.0
    without = run(row_weights=weights, batch_size=16)
    assert moved(run(batch_size=16), without, "heads.") > 1e-6
    truth = np.arange(24) % 2
    truth[:8] = 1 - truth[:8]  # what a row without weight says does not matter
    assert same(without, run(row_weights=weights, batch_size=16, truth=truth))
    assert same(run(), run(row_weights=np.full(24, 7.0)))  # only ratios count


# Nothing but the training rows teaches.


def poisoned(tokens: Tokens, rows: np.ndarray) -> Tokens:
    """The same tokens, but for these rows' ids, reversed and shifted."""
    ids = tokens.ids.copy()
    for row in rows:
        ids[tokens.offsets[row] : tokens.offsets[row + 1]] = (tokens.get_row(row)[::-1] + 3) % 20 + 5
    return replace(tokens, ids=ids)


@pytest.mark.parametrize("task", ["regression", "multiclass"])
def test_other_rows_texts_targets_and_weights_teach_nothing(
    task: str, run: Run, tokens_of: Callable[..., Tokens], truth_of: Callable[[str], np.ndarray]
) -> None:
    tokens, truth, weights = tokens_of(24), truth_of(task), np.ones(24)
    common = {"poolings": {"idf": "idf", "mean": "mean"}, "class_weights": None if task == "regression" else "balanced"}
    clean = run(task, **common)
    truth[16:] = truth[16:] * 0 + 1
    weights[16:] = 99.0
    dirty = run(task, tokens=poisoned(tokens, np.arange(16, 24)), truth=truth, row_weights=weights, **common)
    assert all(torch.equal(clean.weights[name], dirty.weights[name]) for name in clean.weights)
    assert not np.array_equal(clean.valid["idf"], dirty.valid["idf"])
    taught = run(task, tokens=poisoned(tokens, np.arange(8)), **common)
    idf = "poolings.pool_idf.pools.0.weights"
    assert not torch.equal(clean.weights[idf], taught.weights[idf])


def test_regression_targets_are_standardised_on_the_training_rows(run: Run) -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(24, 2)) * [1e-3, 1e4] + [5, -1e5]
    truth[16:] += 1e6
    result = run("regression", truth=truth, learning_rate=1e-5)
    np.testing.assert_allclose(result.weights["location"], truth[:16].mean(0), rtol=1e-5)
    np.testing.assert_allclose(result.weights["scale"], truth[:16].std(0), rtol=1e-4)
    assert result.epochs[0].loss == pytest.approx(1, abs=0.7)
    assert (np.abs(result.valid[""] - truth[:16].mean(0)) < 2 * truth[:16].std(0)).all()


def test_a_change_of_unit_changes_only_the_unit(run: Run) -> None:
    truth = np.random.default_rng(0).normal(size=(24, 2))
    grams, tonnes = run("regression", truth=truth * 1e3), run("regression", truth=truth / 1e3)
    np.testing.assert_allclose(grams.valid[""], tonnes.valid[""] * 1e6, rtol=1e-3, atol=1e-1)


def test_a_constant_target_is_learned_as_it_is(run: Run) -> None:
    np.testing.assert_allclose(run("regression", truth=np.full((24, 2), 7.0)).valid[""], 7.0, atol=1e-4)


# Predictions.


@pytest.mark.parametrize("task", TASKS)
def test_every_task_gives_valid_predictions(task: str, run: Run) -> None:
    result = run(task, epochs=2)
    columns = {"binary": 1, "multiclass": 3, "multilabel": 2, "regression": 2, "ordinal": 4}[task]
    for part, rows in ((result.valid[""], 8), (result.test[""], 5)):
        assert part.shape == (rows, columns)
        assert part.dtype == np.float64
        assert np.isfinite(part).all()
        if task != "regression":
            assert ((part > 0) & (part < 1)).all()
        if task in ("multiclass", "ordinal"):
            np.testing.assert_allclose(part.sum(1), 1, atol=1e-12)


@pytest.mark.parametrize("task", TASKS)
def test_every_task_learns_what_a_word_says(task: str, run: Run, tiny: Backbone) -> None:
    word = np.arange(24) % 4
    texts = [("the " * (row % 3) + ["cat", "dog", "tree", "river"][w],) for row, w in enumerate(word)]
    tokens = encode_texts(tiny.tokenizer, texts, max_length=40, keep="head")
    truth = {
        "binary": word % 2,
        "multiclass": np.minimum(word, 2),
        "multilabel": np.stack([word % 2, word // 2], 1),
        "regression": np.stack([word, -100 * word], 1).astype(float),
        "ordinal": word,
    }[task]
    result = run(task, tokens=tokens, truth=truth, epochs=15, learning_rate=3e-3, schedule="constant")
    assert get_loss(result, -1) < 0.3 * get_loss(result, 0)
    told = result.valid[""]
    if task in ("multiclass", "ordinal"):
        assert (told.argmax(1) == truth[16:]).all()
    elif task == "regression":
        np.testing.assert_allclose(told, truth[16:], atol=50)
        np.testing.assert_allclose(told[:, 0], truth[16:, 0], atol=0.5)
    else:
        assert ((told > 0.5) == truth[16:].reshape(told.shape)).all()


def test_predictions_keep_the_order_of_the_rows(run: Run) -> None:
    rows = np.arange(16, 24)
    order = np.array([5, 2, 7, 0, 1, 6, 3, 4])
    forth, back = run(valid_rows=rows, batch_size=1), run(valid_rows=rows[order], batch_size=1)
    np.testing.assert_allclose(forth.valid[""][order], back.valid[""], atol=1e-6)
    assert len(np.unique(forth.valid[""].round(9))) == 8


def test_a_test_row_is_predicted_as_if_it_were_a_validation_row(run: Run, tokens_of: Callable[..., Tokens]) -> None:
    result = run(test=tokens_of(24))
    np.testing.assert_allclose(result.valid[""], result.test[""][16:], atol=1e-6)


def test_no_validation_rows_give_no_rows_and_no_scores(run: Run) -> None:
    result = run("multiclass", valid_rows=np.arange(0), score=lambda truth, predictions: 1 / 0)
    assert result.valid[""].shape == (0, 3)
    assert result.epochs[0].scores == {}


def test_one_training_row_is_enough(run: Run) -> None:
    assert np.isfinite(run(train_rows=np.array([3])).valid[""]).all()


def test_scores_are_told_for_each_epoch_and_pooling_and_choose_nothing(run: Run) -> None:
    reported: list[EpochLog] = []
    poolings = {"cls": "cls", "mean": "mean"}
    result = run(
        epochs=3,
        poolings=poolings,
        score=lambda truth, predictions: float(np.abs(truth - predictions[:, 0]).mean()),
        on_epoch=reported.append,
    )
    assert reported == result.epochs
    assert [log.epoch for log in reported] == [1, 2, 3]
    assert all(set(log.scores) == {"cls", "mean"} for log in reported)
    last = float(np.abs(np.arange(16, 24) % 2 - result.valid["cls"][:, 0]).mean())
    assert reported[-1].scores["cls"] == pytest.approx(last)
    assert same(result, run(epochs=3, poolings=poolings))


# Several poolings on one encoder.


def test_several_poolings_train_at_once_and_differ(run: Run) -> None:
    poolings = {"cls": "cls", "keys": ["mean", "max"], "values": {"layers": "weighted", "tokens": "gem"}}
    result = run("multiclass", poolings=poolings)
    assert list(result.valid) == list(result.test) == ["cls", "keys", "values"]
    assert result.weights["heads.pool_keys.linear.weight"].shape == (3, 64)
    assert not np.allclose(result.valid["cls"], result.valid["keys"])
    assert not np.allclose(result.valid["cls"], result.valid["values"])


def test_each_head_weighs_the_same_in_the_loss_of_several(run: Run) -> None:
    alone = run(poolings={"mean": "mean"}).epochs[0].loss
    assert run(poolings={"mean": "mean", "max": "max"}).epochs[0].loss == pytest.approx(alone, rel=0.5)


def test_poolings_that_do_not_fit_are_refused_before_training(tiny: Backbone, make_design: MakeDesign) -> None:
    pooling = {"layers": {"kind": "concat", "count": 4}, "tokens": "mean"}
    with pytest.raises(ModelError, match=r"layers\.count is 4 but the backbone has only 3 hidden states"):
        check_design(make_design(tiny, max_length=16, pooling=pooling))
    check_design(make_design(tiny, max_length=16, pooling=["idf", "cls"]))


# What goes wrong.


def test_a_diverging_loss_is_one_sentence(run: Run) -> None:
    with pytest.raises(
        ModelError, match=r"^the training loss became \S+ at step \d of 8 .* after [\d.]+ the step before: lower"
    ) as caught:
        run("regression", epochs=4, clip_norm=None, unchecked={"learning_rate": 1e30})
    assert "\n" not in str(caught.value)


def test_class_weights_of_a_regression_are_refused(run: Run) -> None:
    with pytest.raises(ModelError, match="class_weights has no meaning for a regression"):
        run("regression", class_weights="balanced")


def test_a_fit_leaves_the_settings_of_torch_alone(run: Run) -> None:
    before = torch.get_num_threads(), torch.get_default_dtype(), torch.is_grad_enabled()
    run()
    assert before == (torch.get_num_threads(), torch.get_default_dtype(), torch.is_grad_enabled())


def test_a_fit_tells_where_and_how_it_ran(run: Run) -> None:
    provenance = run().provenance
    assert provenance.device == ("cuda" if torch.cuda.is_available() else "cpu")
    assert provenance.threads == 1
    assert provenance.seconds > 0
    assert (provenance.train_tokens_per_second or 0) > 0
    assert provenance.torch == torch.__version__


# Weights on disk and back.


@pytest.mark.parametrize("frozen", [None, 1])
@pytest.mark.parametrize("task", ["regression", "multiclass"])
def test_saved_weights_predict_the_same(
    task: str,
    frozen: int | None,
    run: Run,
    tiny: Backbone,
    make_design: MakeDesign,
    tokens_of: Callable[..., Tokens],
    tmp_path: Path,
) -> None:
    poolings = {"idf": "idf", "deep": {"layers": "lstm", "tokens": ["attention", "multi_head_attention"]}}
    result = run(task, poolings=poolings, freeze_layers=frozen)
    for precision in ("fp32", "fp16"):
        path = tmp_path / f"{precision}.safetensors"
        save_file(convert_weights(result.weights, precision), path)
        columns = result.test["idf"].shape[1]
        network = load_network(path, make_design(tiny, task, columns, poolings=poolings, precision="fp32"))
        told = predict(network, tokens_of(5, seed=9), np.arange(5))
        for name, expected in result.test.items():
            if precision == "fp32":
                np.testing.assert_allclose(told[name], expected, rtol=1e-6 if frozen else 0)
            np.testing.assert_allclose(told[name], expected, rtol=1e-2, atol=1e-2)
    sizes = [(tmp_path / f"{precision}.safetensors").stat().st_size for precision in ("fp32", "fp16")]
    assert sizes[1] < 0.6 * sizes[0]


def test_half_precision_keeps_the_scale_of_a_regression(
    run: Run, tiny: Backbone, make_design: MakeDesign, tokens_of: Callable[..., Tokens], tmp_path: Path
) -> None:
    truth = np.random.default_rng(0).normal(size=(24, 2)) * [1e-6, 1e3] + [0, 1e6]  # beyond float16 on both ends
    result = run("regression", truth=truth)
    save_file(convert_weights(result.weights, "fp16"), tmp_path / "w.safetensors")
    design = make_design(tiny, "regression", 2, precision="fp32")
    network = load_network(tmp_path / "w.safetensors", design)
    told = predict(network, tokens_of(5, seed=9), np.arange(5))[""]
    assert (np.abs(told - result.test[""]) < 0.05 * truth.std(0)).all()


def test_weights_that_are_missing_damaged_or_foreign_are_refused(
    run: Run, tiny: Backbone, make_design: MakeDesign, tmp_path: Path
) -> None:
    path = tmp_path / "w.safetensors"
    design = make_design(tiny)
    with pytest.raises(ModelError, match="does not exist: this fit was trained with save_weights none"):
        load_network(path, design)
    save_file(convert_weights(run().weights, "fp32"), path)
    with pytest.raises(ModelError, match="holds the weights of another network") as caught:
        load_network(path, make_design(tiny, pooling="attention"))
    assert "\n" not in str(caught.value)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ModelError, match="is damaged"):
        load_network(path, design)


def test_steps_per_epoch_count_the_last_partial_step(make_design: MakeDesign) -> None:
    for rows, batch_size, accumulation in ((1, 8, 1), (16, 8, 1), (17, 8, 1), (17, 8, 2), (1000, 3, 4)):
        batches = math.ceil(rows / batch_size)
        expected = len(range(0, batches, accumulation))
        settings = make_design(None, batch_size=batch_size, accumulation=accumulation).settings
        assert count_steps_per_epoch(rows, settings) == expected


@pytest.mark.parametrize("setting", ["hidden_dropout", "attention_dropout"])
def test_a_dropout_that_the_backbone_does_not_have_is_refused(
    setting: str, tiny: Backbone, make_design: MakeDesign
) -> None:
    class Bare(transformers.PreTrainedConfig):
        hidden_size = num_hidden_layers = 2

    bare = replace(tiny, config=Bare())
    with pytest.raises(ModelError, match=f"training.{setting} has no effect on backbone"):
        check_design(make_design(bare, max_length=16, **{setting: 0.2}))
