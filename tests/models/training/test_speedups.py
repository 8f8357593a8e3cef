"""Cheap dropout, its attention and the fit's own vocabulary: the maths of torch's, with less work."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from models.encoder.backbone import Backbone, open_backbone
from models.encoder.pretrained import load_encoder
from models.training.speedups import (
    NAME,
    CompactEmbedding,
    Dropout,
    choose_attention,
    compact_embedding,
    replace_dropout,
    restore_embedding,
)

TinyBackbone = Callable[[str], str]
FAMILIES = [
    *("bert", "roberta", "xlm-roberta", "deberta-v2", "electra", "distilbert", "albert", "mpnet", "modernbert", "t5"),
    *("qwen2", "bloom"),
]
DROPOUTS = {"hidden_dropout": 0.0, "attention_dropout": 0.4}


def source(seed: int = 0) -> np.random.Generator:
    return np.random.Generator(np.random.SFC64(seed))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_dropout_drops_its_share_and_keeps_the_mean(p: float, dtype: torch.dtype) -> None:
    out = Dropout(p, source())(torch.ones(500, 401, dtype=dtype))
    zero = (out == 0).double().mean().item()
    assert zero == pytest.approx(p, abs=5 * (p * (1 - p) / out.numel()) ** 0.5)
    assert out.dtype == dtype
    assert out.double().mean().item() == pytest.approx(1.0, abs=0.03 if p == 0.9 else 0.01)
    torch.testing.assert_close(out.max(), torch.tensor(1 / (1 - p), dtype=dtype), rtol=1e-2, atol=0)


def test_dropped_places_are_independent_of_one_another() -> None:
    dropped = (Dropout(0.5, source())(torch.ones(200_000)) == 0).double().numpy()
    for lag in (1, 2, 3, 4, 5, 8, 64):  # four places share one drawn number
        assert abs(np.corrcoef(dropped[lag:], dropped[:-lag])[0, 1]) < 5 / dropped.size**0.5


def test_dropout_draws_anew_each_time_and_the_same_from_the_same_source() -> None:
    ones = torch.ones(64, 64)
    first = Dropout(0.3, source())
    again = Dropout(0.3, source())(ones)
    one, two = first(ones), first(ones)
    assert torch.equal(one, again)
    assert not torch.equal(one, two)


def test_dropout_passes_gradients_where_it_passes_values() -> None:
    x = torch.ones(40, 40, requires_grad=True)
    out = Dropout(0.3, source())(x)
    out.sum().backward()
    assert torch.equal(x.grad, out.detach())  # type: ignore[arg-type]


def test_dropout_does_nothing_in_evaluation_or_with_p_zero() -> None:
    x = torch.randn(8, 8)
    assert Dropout(0.5, source()).eval()(x) is x
    assert Dropout(0.0, source())(x) is x


def test_every_dropout_of_a_network_is_replaced_and_follows_the_seed() -> None:
    def network(seed: int) -> nn.Module:
        torch.manual_seed(seed)
        made = nn.Sequential(nn.Dropout(0.5), nn.Sequential(nn.ReLU(), nn.Dropout(0.25)))
        replace_dropout(made)
        return made

    first = network(1)
    found = [module.p for module in first.modules() if isinstance(module, Dropout)]
    assert found == [0.5, 0.25]
    assert not any(isinstance(module, nn.Dropout) for module in first.modules())
    x = torch.ones(30, 30)
    one, same, other = first(x), network(1)(x), network(2)(x)
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def batch_of(encoder: Any, padded: bool) -> dict[str, torch.Tensor]:
    ids = torch.randint(5, 20, (3, 9))
    mask = torch.ones_like(ids)
    if padded:
        mask[1, 4:] = 0
    return {"input_ids": ids, "attention_mask": mask}


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_attention_without_dropout_is_the_familys_own(
    family: str, padded: bool, tiny_backbone: TinyBackbone
) -> None:
    """With a vanishing p nothing is dropped, so the plain path must give what torch's attention gives."""
    backbone = open_backbone(tiny_backbone(family))
    own = load_encoder(backbone, {"hidden_dropout": None if family == "qwen2" else 0.0}).eval()
    ours = copy.deepcopy(own)
    for module in ours.modules():
        if isinstance(module, nn.Dropout):
            module.p = 1e-9
    replace_dropout(ours)
    choose_attention(ours)
    inputs = batch_of(ours, padded)
    real = inputs["attention_mask"].bool()
    expected = own(**inputs).last_hidden_state[real]
    for mode in (True, False):
        given = ours.train(mode)(**inputs).last_hidden_state[real]
        torch.testing.assert_close(given, expected, rtol=1e-4, atol=1e-5)


def test_families_with_choosable_attention_use_ours(tiny_backbone: TinyBackbone) -> None:
    used = set()
    for family in FAMILIES:
        encoder: Any = load_encoder(open_backbone(tiny_backbone(family)))
        choose_attention(encoder)
        if encoder.config._attn_implementation == NAME:
            used.add(family)
    assert used >= {"bert", "roberta", "xlm-roberta", "electra", "distilbert"}


def test_attention_dropout_drops_attention_and_nothing_in_evaluation(tiny: Backbone) -> None:
    plain, dropping = (load_encoder(tiny, {**DROPOUTS, "attention_dropout": p}) for p in (0.0, 0.4))
    for encoder in (plain, dropping):
        replace_dropout(encoder)
        choose_attention(encoder)
    inputs = batch_of(plain, padded=True)
    expected = plain.train()(**inputs).last_hidden_state
    assert not torch.allclose(dropping.train()(**inputs).last_hidden_state, expected)
    torch.testing.assert_close(dropping.eval()(**inputs).last_hidden_state, expected, rtol=1e-4, atol=1e-5)


def train(encoder: Any, ids: torch.Tensor, optimizer: torch.optim.Optimizer) -> None:
    encoder.train()
    for row in ids:
        encoder(input_ids=row[None]).last_hidden_state.square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()


@pytest.mark.parametrize("family", [family for family in FAMILIES if family not in {"t5"}])
def test_a_compact_vocabulary_trains_to_the_same_embeddings(family: str, tiny_backbone: TinyBackbone) -> None:
    encoder: Any = load_encoder(open_backbone(tiny_backbone(family)), {"hidden_dropout": None})
    for module in encoder.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    small = copy.deepcopy(encoder)
    ids = torch.randint(5, 15, (4, 6))
    compact_embedding(small, np.unique(ids.numpy()))
    assert isinstance(small.get_input_embeddings(), CompactEmbedding)
    assert sum(p.numel() for p in small.parameters()) < sum(p.numel() for p in encoder.parameters())
    for network in (encoder, small):
        train(network, ids, torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=0.3))
    inputs = {"input_ids": torch.randint(0, 25, (3, 7))}  # other tokens too
    expected = encoder.eval()(**inputs).last_hidden_state
    torch.testing.assert_close(small.eval()(**inputs).last_hidden_state, expected, rtol=1e-3, atol=1e-4)
    restore_embedding(small)
    torch.testing.assert_close(small(**inputs).last_hidden_state, expected, rtol=1e-3, atol=1e-4)
    left, right = encoder.state_dict(), small.state_dict()
    assert left.keys() == right.keys()
    for name, tensor in left.items():
        torch.testing.assert_close(right[name], tensor, rtol=1e-4, atol=1e-5)


def test_in_training_a_token_outside_of_the_vocabulary_is_an_error(tiny: Backbone) -> None:
    encoder: Any = load_encoder(tiny)
    compact_embedding(encoder, np.array([2, 3, 7]))
    encoder.train()
    with pytest.raises(IndexError):
        encoder(input_ids=torch.tensor([[2, 8, 3]]))
    encoder.eval()(input_ids=torch.tensor([[2, 8, 3]]))


def test_frozen_embeddings_stay_whole(tiny: Backbone) -> None:
    encoder: Any = load_encoder(tiny)
    encoder.embeddings.requires_grad_(False)
    compact_embedding(encoder, np.array([2, 3]))
    assert isinstance(encoder.get_input_embeddings(), nn.Embedding)
