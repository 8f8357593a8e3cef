import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import nn

from models.encoder.backbone import Backbone
from models.encoder.pretrained import load_encoder
from models.network import Network, NetworkDesign
from models.training.optimizer import build_optimizer, compute_rate_factor, set_rates


@pytest.fixture
def network(tiny: Backbone, make_design: Callable[..., NetworkDesign]) -> Network:
    poolings = {"a": "attention", "w": {"layers": "weighted", "tokens": "gem"}}
    return Network(load_encoder(tiny), make_design(tiny, "multiclass", 3, poolings=poolings), torch.ones(30))


def groups_of(network: Network, **given: Any) -> dict[str, dict[str, Any]]:
    """The optimizer's group of each parameter, by name."""
    settings = {"learning_rate": 1e-4, "head_learning_rate": None, "layer_decay": 1.0, "weight_decay": 0.1}
    optimizer = build_optimizer(network, **(settings | given))
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    return {names[id(p)]: group for group in optimizer.param_groups for p in group["params"]}


def test_every_parameter_that_learns_is_optimised_once(network: Network) -> None:
    network.encoder.embeddings.requires_grad_(False)
    optimizer = build_optimizer(network, learning_rate=1, head_learning_rate=None, layer_decay=1.0, weight_decay=0.1)
    found = [id(p) for group in optimizer.param_groups for p in group["params"]]
    assert sorted(found) == sorted(id(p) for p in network.parameters() if p.requires_grad)
    assert len(found) < len(list(network.parameters()))


def test_biases_norms_and_single_numbers_do_not_decay(network: Network) -> None:
    for name, group in groups_of(network).items():
        alone = name.endswith(("bias", "log_exponent", ".scores")) or "norm" in name.lower()
        alone = alone or name == "poolings.pool_a.pools.0.score.1.weight"  # a LayerNorm in a Sequential
        assert group["weight_decay"] == (0.0 if alone else 0.1), name
    decays = {name: group["weight_decay"] for name, group in groups_of(network).items()}
    assert decays["encoder.encoder.layer.0.attention.self.query.weight"] == 0.1
    assert decays["encoder.embeddings.LayerNorm.weight"] == 0.0


def test_a_norm_of_two_dimensions_does_not_decay_either(network: Network) -> None:
    network.heads["extra"] = nn.LayerNorm((3, 4))
    assert groups_of(network)["heads.extra.weight"]["weight_decay"] == 0.0


def test_a_bias_of_two_dimensions_does_not_decay(network: Network) -> None:
    """XLNet's have a number for each head and feature."""
    network.encoder.r_w_bias = nn.Parameter(torch.zeros(2, 3))
    network.encoder.seg_embed = nn.Parameter(torch.zeros(2, 3))
    groups = groups_of(network)
    assert groups["encoder.r_w_bias"]["weight_decay"] == 0.0
    assert groups["encoder.seg_embed"]["weight_decay"] == 0.1


def test_each_layer_learns_slower_than_the_one_above(network: Network) -> None:
    for name, group in groups_of(network, layer_decay=0.5).items():
        below = 0 if "layer.1" in name or not name.startswith("encoder.") else 1 if "layer.0" in name else 2
        assert group["peak"] == pytest.approx(1e-4 * 0.5**below), name
        assert group["lr"] == group["peak"]


def test_without_decay_all_learn_alike_and_heads_have_their_own_rate(network: Network) -> None:
    assert {group["peak"] for group in groups_of(network).values()} == {1e-4}
    for name, group in groups_of(network, head_learning_rate=1e-2, layer_decay=0.5).items():
        assert (group["peak"] == 1e-2) != name.startswith("encoder."), name


def test_the_rate_rises_over_the_warm_up_and_then_falls_to_nearly_zero() -> None:
    for schedule in ("linear", "cosine"):
        course = [compute_rate_factor(step, 100, 0.1, schedule) for step in range(100)]
        assert all(a < b for a, b in pairwise(course[:11]))
        assert all(a > b for a, b in pairwise(course[10:]))
        assert course[10] == max(course) == 1.0
        assert 0 < course[0] < 0.1
        assert 0 < course[99] < 0.02
    assert compute_rate_factor(55, 100, 0.1, "linear") == pytest.approx(0.5)
    assert compute_rate_factor(55, 100, 0.1, "cosine") == pytest.approx(0.5)
    assert compute_rate_factor(32, 100, 0.1, "cosine") == pytest.approx(0.5 * (1 + math.cos(math.pi * 22 / 90)))


def test_a_constant_rate_stays_after_the_warm_up() -> None:
    course = [compute_rate_factor(step, 20, 0.25, "constant") for step in range(20)]
    assert course[:5] == pytest.approx([1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6])
    assert course[5:] == [1.0] * 15


def test_without_warm_up_the_first_step_is_at_full_rate() -> None:
    for schedule in ("linear", "cosine", "constant"):
        assert compute_rate_factor(0, 10, 0.0, schedule) == 1.0


def test_a_warm_up_of_few_steps_still_moves() -> None:
    for steps in (1, 2, 3):
        for warmup in (0.0, 0.1, 0.9):
            assert all(0 < compute_rate_factor(step, steps, warmup, "linear") <= 1 for step in range(steps))


def test_rates_are_set_as_shares_of_each_peak(network: Network) -> None:
    optimizer = build_optimizer(network, learning_rate=1e-3, head_learning_rate=1e-2, layer_decay=0.5, weight_decay=0.0)
    set_rates(optimizer, 0.25)
    set_rates(optimizer, 0.5)
    assert all(group["lr"] == 0.5 * group["peak"] for group in optimizer.param_groups)
