from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from models import ModelError
from models.network import Head, Network, NetworkDesign, check_poolings
from models.spec import NeuralVariantSpec, build_poolings

WIDTH, DEPTH = 8, 3


class Encoder(nn.Module):
    """An embedding and two layers that look like an encoder of transformers; tells what it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.config = SimpleNamespace(hidden_size=WIDTH, model_type="made up")
        self.embeddings = nn.Embedding(20, WIDTH)
        self.layer = nn.ModuleList([nn.Linear(WIDTH, WIDTH) for _ in range(DEPTH - 1)])
        self.asked: list[bool] = []

    def forward(self, input_ids: Tensor, attention_mask: Tensor, output_hidden_states: bool) -> Any:
        self.asked.append(output_hidden_states)
        hidden = [self.embeddings(input_ids)]
        for layer in self.layer:
            hidden.append(layer(hidden[-1]).tanh())
        return SimpleNamespace(last_hidden_state=hidden[-1], hidden_states=hidden if output_hidden_states else None)


def build(poolings: Any, task: str = "multiclass", columns: int = 3, dropout: float = 0.0, samples: int = 1) -> Network:
    torch.manual_seed(0)
    backbone: Any = SimpleNamespace(layers=DEPTH, cls_is_last=False)
    settings: Any = SimpleNamespace(dropout=dropout, dropout_samples=samples)
    design = NetworkDesign(backbone, build_poolings(NeuralVariantSpec(poolings=poolings)), settings, task, columns)
    return Network(Encoder(), design, torch.ones(20))


INPUTS = {
    "input_ids": torch.tensor([[3, 4, 5, 0], [6, 7, 8, 9]]),
    "attention_mask": torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1]]),
}


def test_heads_of_one_shape_start_alike_and_learn_apart() -> None:
    network = build({"cls": "cls", "mean": "mean", "wide": ["mean", "max"], "wider": ["min", "max"]})
    cls, mean, wide, wider = (head.linear.weight for head in network.heads.values())
    assert torch.equal(cls, mean)
    assert torch.equal(wide, wider)
    assert not torch.equal(wide[:, :WIDTH], cls)
    sum(output.square().sum() for output in network(INPUTS).values()).backward()  # type: ignore[union-attr]
    assert not torch.equal(cls.grad, mean.grad)  # type: ignore[arg-type]


def test_each_pooling_has_a_head_of_its_own() -> None:
    deep = {"layers": {"kind": "concat", "count": 2}, "tokens": "mean"}
    network = build({"cls": "cls", "keys": ["mean", "max"], "type": deep})  # names that a ModuleDict would refuse
    outputs = network.eval()(INPUTS)
    assert list(outputs) == network.names == ["cls", "keys", "type"]
    assert {output.shape for output in outputs.values()} == {(1, 2, 3)}
    assert [head.linear.in_features for head in network.heads.values()] == [WIDTH, 2 * WIDTH, 2 * WIDTH]
    assert not torch.equal(outputs["cls"], outputs["keys"])


def test_one_encoding_serves_all_poolings_and_keeps_all_layers_only_if_asked() -> None:
    for poolings, all_layers in (
        ({"a": "mean", "b": "cls"}, False),
        ({"a": "mean", "b": {"layers": "weighted", "tokens": "cls"}}, True),
    ):
        network = build(poolings)
        network(INPUTS)
        assert network.encoder.asked == [all_layers]


def test_a_pooling_gives_the_same_alone_and_beside_one_that_needs_all_layers() -> None:
    alone, beside = build({"a": "mean"}), build({"a": "mean", "b": "weighted_layer"})
    beside.heads["pool_a"].load_state_dict(alone.heads["pool_a"].state_dict())
    torch.testing.assert_close(alone.eval()(INPUTS)["a"], beside.eval()(INPUTS)["a"])


def test_the_head_starts_small() -> None:
    head = Head(1000, 3, 0.0, 1)
    assert float(head.linear.weight.detach().std()) == pytest.approx(0.02, rel=0.1)
    assert (head.linear.bias == 0).all()


def test_dropout_samples_are_several_masks_of_one_vector_in_training_only() -> None:
    network = build({"a": "mean"}, dropout=0.5, samples=4)
    outputs = network.train()(INPUTS)["a"]
    assert outputs.shape == (4, 2, 3)
    assert not torch.equal(outputs[0], outputs[1])
    calm = network.eval()(INPUTS)["a"]
    assert calm.shape == (1, 2, 3)
    torch.testing.assert_close(calm, network(INPUTS)["a"], rtol=0, atol=0)


def test_many_dropout_masks_average_to_none() -> None:
    head = Head(16, 2, 0.5, 4000)
    vector = torch.randn(3, 16)
    torch.testing.assert_close(head.train()(vector).mean(0), head.eval()(vector)[0], rtol=0, atol=0.02)


def test_poolings_and_heads_compute_in_float32_under_autocast() -> None:
    network = build({"a": "attention", "b": {"layers": "lstm", "tokens": "gem"}}).eval()
    plain = network(INPUTS)
    seen: list[torch.dtype] = []
    network.poolings["pool_a"].register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert network.encoder(**INPUTS, output_hidden_states=False).last_hidden_state.dtype == torch.bfloat16
        rough = network(INPUTS)
    assert seen == [torch.float32]
    assert {output.dtype for output in rough.values()} == {torch.float32}
    for name, output in plain.items():
        torch.testing.assert_close(rough[name], output, rtol=0, atol=1e-2)


def test_only_a_regression_is_scaled_back() -> None:
    outputs = torch.tensor([[0.0, 1.0], [2.0, -1.0]])
    network = build({"a": "mean"}, "regression", 2)
    network.location.copy_(torch.tensor([10.0, 1e9]))
    network.scale.copy_(torch.tensor([2.0, 1e-3]))
    told = network.predict(outputs)
    assert told.dtype == torch.float64
    torch.testing.assert_close(told, torch.tensor([[10.0, 1e9 + 1e-3], [14.0, 1e9 - 1e-3]], dtype=torch.float64))
    torch.testing.assert_close(build({"a": "mean"}, "multilabel", 2).predict(outputs), outputs.double().sigmoid())


def test_the_scale_is_saved_with_the_weights() -> None:
    assert {"location", "scale"} <= set(build({"a": "mean"}, "regression", 2).state_dict())


def test_an_ordinal_head_has_a_cut_between_each_two_grades() -> None:
    network = build({"a": "mean"}, "ordinal", 5).eval()
    outputs = network(INPUTS)["a"][0]
    assert outputs.shape == (2, 4)
    assert network.predict(outputs).shape == (2, 5)


def test_cls_on_a_causal_backbone_is_refused_and_everything_else_is_not() -> None:
    fine = build_poolings(NeuralVariantSpec(poolings={"a": "last", "b": ["mean", "attention"]}))
    check_poolings(fine, True, "qwen")
    check_poolings(build_poolings(NeuralVariantSpec(pooling="cls")), False, "bert")
    with pytest.raises(ModelError, match=r"pooling cls reads the first token.*'qwen'.*use last, mean or attention"):
        check_poolings(build_poolings(NeuralVariantSpec(poolings={"a": "mean", "b": ["max", "cls"]})), True, "qwen")
