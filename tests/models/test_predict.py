"""Token weights of poolings: of whole rows, with a sum of one, and those that make the pooled vector."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import models.predict as predict_module
from models.network import Network
from models.pooling.token_pools import build_token_pool, compute_idf
from models.settings import PoolingPart
from models.training.fit import NetworkFit

Run = Callable[..., NetworkFit]
WEIGHING = ("attention", "multi_head_attention", "idf", "token_weight")


def pool_of(kind: str) -> Any:
    torch.manual_seed(0)
    idf = compute_idf([np.array([1, 2]), np.array([1])], 9)
    return build_token_pool(PoolingPart(kind), width=8, idf=idf)


def masked_states() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    mask = torch.tensor([[True, True, True, False], [True, True, True, True]])
    ids = torch.tensor([[1, 2, 3, 0], [1, 1, 2, 5]])
    return torch.randn(2, 4, 8) * mask[..., None], mask, ids


@pytest.mark.parametrize("kind", WEIGHING)
def test_weights_are_of_real_tokens_and_sum_to_one(kind: str) -> None:
    states, mask, ids = masked_states()
    weights = pool_of(kind).weigh_tokens(states, mask, ids)
    assert torch.allclose(weights.sum(1), torch.ones(2))
    assert weights[0, 3] == 0
    assert (weights >= 0).all()


@pytest.mark.parametrize("kind", ["attention", "idf", "token_weight"])
def test_the_pooled_vector_is_the_mean_by_these_weights(kind: str) -> None:
    states, mask, ids = masked_states()
    pool = pool_of(kind)
    by_hand = (pool.weigh_tokens(states, mask, ids)[..., None] * states).sum(1)
    assert torch.allclose(pool(states, mask, ids), by_hand, atol=1e-6)


def test_a_fit_says_what_its_poolings_look_at_in_some_validation_rows(run: Run) -> None:
    result = run(poolings={"plain": "mean", "look": "attention", "both": ["idf", "mean", "token_weight"]})
    assert [row.row for row in result.token_weights] == list(range(16, 24))  # all of the few there are
    for row in result.token_weights:
        assert set(row.weights) == {"look", "both"}
        assert set(row.weights["both"]) == {"idf", "token_weight"}
        assert row.tokens[0] == "[CLS]"
        for kinds in row.weights.values():
            for weights in kinds.values():
                assert len(weights) == len(row.tokens)
                assert sum(weights) == pytest.approx(1, abs=1e-3)


def test_a_fit_without_such_poolings_says_nothing(run: Run) -> None:
    assert run(poolings={"plain": "mean", "top": "max"}).token_weights == []
    assert run(pooling="attention", valid_rows=np.zeros(0, np.int64)).token_weights == []


def test_of_many_rows_a_few_are_looked_at_from_first_to_last(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.predict.ROWS", 3)
    assert [row.row for row in run(pooling="attention").token_weights] == [16, 19, 23]


def test_token_weights_never_end_a_fit_and_are_read_by_tokens(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run(pooling="attention")
    sizes, real = list[int](), Network.weigh_tokens

    def weigh(network: Network, inputs: dict[str, torch.Tensor]) -> dict[str, dict[str, torch.Tensor]]:
        sizes.append(inputs["input_ids"].numel())
        if sizes[-1] > limit:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(network, inputs)

    monkeypatch.setattr(Network, "weigh_tokens", weigh)
    limit = 20
    halved = run(pooling="attention")
    assert len(sizes) > 2
    assert [row.row for row in halved.token_weights] == [row.row for row in whole.token_weights]
    for one, other in zip(halved.token_weights, whole.token_weights, strict=True):
        np.testing.assert_allclose(one.weights[""]["attention"], other.weights[""]["attention"], atol=2e-5)
    limit = 0
    without = run(pooling="attention")
    assert without.token_weights == []
    np.testing.assert_array_equal(without.valid[""], whole.valid[""])
    monkeypatch.setitem(predict_module.AT_ONCE, "cpu", 24)
    limit = 10**9
    sizes.clear()
    run(pooling="attention")
    assert max(sizes) <= 24
