"""The contract of pooling: nine points, over every layer mix x token pool and some lists of pools.

A new mix or pool is tested by being registered: its cells appear by themselves, and fail until a slow reference for
it stands in `MIX_REFERENCES` or `POOL_REFERENCES`. The checks are plain functions, so that the broken poolings at the
end can show that each of them is able to fail.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models import ModelError
from models.pooling import masked_pooling as door
from models.pooling.layer_mixes import LAYER_MIXES, build_layer_mix
from models.pooling.masked_pooling import Pooling
from models.pooling.token_pools import TOKEN_POOLS, build_token_pool, compute_idf
from models.settings import PoolingPart, PoolingSettings

DEPTH, WIDTH, VOCABULARY = 4, 8, 30
SETTINGS: dict[str, dict[str, Any]] = {"concat": {"count": 3}, "lstm": {"state": 12}}  # other than the defaults
LISTS = {"mean+max": ["mean", "max"], "all": list(TOKEN_POOLS)}
CELLS = [(mix, pool) for mix in LAYER_MIXES for pool in [*TOKEN_POOLS, *LISTS]]
Array = np.ndarray
Numbers = dict[str, Array]  # a module's state by name


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def part_of(kind: str) -> PoolingPart:
    return PoolingPart(kind, SETTINGS.get(kind, {}))


def build(mix: str, pool: str, seed: int = 0) -> Pooling:
    """A pooling in float64 whose parameters have moved from where they start, so that none is hidden by a zero."""
    torch.manual_seed(seed)
    kinds = LISTS.get(pool, [pool])
    pooling = Pooling(
        PoolingSettings(part_of(mix), tuple(part_of(kind) for kind in kinds)),
        depth=DEPTH,
        width=WIDTH,
        idf=torch.rand(VOCABULARY) + 0.5,
    ).double()
    with torch.no_grad():
        for parameter in pooling.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    return pooling


Batch = tuple[list[Tensor], Tensor, Tensor]


def draw(lengths: tuple[int, ...] = (5, 1, 3, 7), width: int = WIDTH, seed: int = 1) -> Batch:
    """Hidden states, mask and ids of texts of these lengths, padded on the right with junk."""
    generator = torch.Generator().manual_seed(seed)
    shape = (len(lengths), max(lengths))
    hidden = [torch.randn(*shape, width, generator=generator, dtype=torch.float64) for _ in range(DEPTH)]
    mask = (torch.arange(shape[1]) < torch.tensor(lengths)[:, None]).long()
    return hidden, mask, torch.randint(VOCABULARY, shape, generator=generator)


def run(pooling: nn.Module, batch: Batch) -> tuple[Tensor, list[Tensor], dict[str, Tensor]]:
    """The output, the gradients of the hidden states and those of the parameters."""
    hidden, mask, ids = batch
    leaves = [states.detach().clone().requires_grad_() for states in hidden]
    out = pooling(leaves, mask, ids)
    weights = torch.randn(out.shape[1], generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    pooling.zero_grad(set_to_none=True)
    (out.tanh() * weights).sum().backward()
    none = [torch.zeros_like(leaf) if leaf.grad is None else leaf.grad for leaf in leaves]
    return out.detach(), none, {n: p.grad for n, p in pooling.named_parameters() if p.grad is not None}


def agree(left: Any, right: Any, atol: float = 1e-10) -> None:
    torch.testing.assert_close(left, right, rtol=1e-10, atol=atol)


# 1. width


def check_width(pooling: Any, mix: str, pool: str) -> None:
    hidden, mask, ids = draw()
    assert pooling(hidden, mask, ids).shape == (len(mask), pooling.width)


# 2. masked places


def check_masked_places(pooling: Any, mix: str, pool: str) -> None:
    hidden, _, ids = draw()
    mask = torch.tensor([[1, 1, 1, 1, 1, 0, 0], [0, 0, 0, 1, 0, 0, 0], [1, 0, 1, 1, 0, 0, 0], [0, 1, 1, 1, 0, 1, 1]])
    real = mask.bool()[..., None]
    clean = run(pooling, ([torch.where(real, states, 0.0) for states in hidden], mask, ids.where(real[..., 0], 0)))
    assert clean[0].isfinite().all()
    for junk, token in ((1e4, VOCABULARY - 1), (-1e4, -100), (torch.inf, 10**6), (-torch.inf, 3), (torch.nan, 3)):
        spoilt = [torch.where(real, states, junk) for states in hidden]
        dirty = run(pooling, (spoilt, mask, ids.where(real[..., 0], token)))
        torch.testing.assert_close(dirty, clean, rtol=0, atol=0)
        assert all((gradient.where(~real, 0.0) == 0).all() for gradient in dirty[1])


# 3. padding side, order of rows, company


def check_padding_side(pooling: Any, mix: str, pool: str) -> None:
    hidden, mask, ids = draw()
    places = (torch.arange(mask.shape[1]) + mask.sum(1, keepdim=True)) % mask.shape[1]  # real tokens to the right
    rows = torch.arange(len(mask))[:, None]
    out, of_states, of_parameters = run(pooling, (hidden, mask, ids))
    left = run(pooling, ([states[rows, places] for states in hidden], mask[rows, places], ids[rows, places]))
    agree(left[0], out)
    agree(left[1], [gradient[rows, places] for gradient in of_states])
    agree(left[2], of_parameters)


def check_company(pooling: Any, mix: str, pool: str) -> None:
    hidden, mask, ids = draw()
    out, of_states, _ = run(pooling, (hidden, mask, ids))
    order = torch.tensor([2, 0, 3, 1])
    shuffled = run(pooling, ([states[order] for states in hidden], mask[order], ids[order]))
    agree(shuffled[0], out[order])
    agree(shuffled[1], [gradient[order] for gradient in of_states])
    for row, length in enumerate(mask.sum(1).tolist()):
        one = (slice(row, row + 1), slice(length))
        alone = run(pooling, ([states[one] for states in hidden], mask[one], ids[one]))
        agree(alone[0], out[row : row + 1])
        agree(alone[1], [gradient[one] for gradient in of_states])


# 4. one token, no token


def check_one_token(pooling: Any, mix: str, pool: str) -> None:
    batch = draw((1, 1, 1))
    out, of_states, _ = run(pooling, batch)
    agree(out, torch.from_numpy(reference(pooling, mix, pool, batch)), TOLERANCE.get(pool, 1e-10))
    assert all(gradient.isfinite().all() for gradient in of_states)


def check_no_token(pooling: Any, mix: str, pool: str) -> None:
    hidden, mask, ids = draw()
    whole = run(pooling, (hidden, mask, ids))[0]
    mask[1] = 0
    hidden[-1][1] = torch.nan
    out, of_states, of_parameters = run(pooling, (hidden, mask, ids))
    agree(out[1], torch.zeros_like(out[1]))
    agree(out[[0, 2, 3]], whole[[0, 2, 3]])
    assert all(gradient.isfinite().all() for gradient in [*of_states, *of_parameters.values()])
    assert pooling([states[1:2] for states in hidden], mask[1:2], ids[1:2]).isfinite().all()


# 5. parameters


def check_every_parameter_learns(pooling: Any, mix: str, pool: str) -> None:
    """In float64, where rounding noise stands near 1e-17: a term that cancels is told from one that is small."""
    gradients = run(pooling, draw())[2]
    for name, _ in pooling.named_parameters():
        assert name in gradients, f"no gradient reaches {name}"
        assert gradients[name].abs().max() > 1e-7, f"only rounding noise reaches {name}"


def check_state_round_trip(pooling: Any, mix: str, pool: str) -> None:
    for module in pooling.modules():
        plain = [name for name, value in vars(module).items() if isinstance(value, Tensor)]
        assert plain == [], f"{plain} are plain tensors: never trained, moved or saved"
    other = build(mix, pool, seed=5)
    other.load_state_dict(pooling.state_dict())
    agree(other(*draw()), pooling(*draw()), 0)


# 6. half precision


def check_half_precision(pooling: Any, mix: str, pool: str) -> None:
    pooling = pooling.float()
    hidden, mask, ids = draw()
    for dtype in (torch.float16, torch.bfloat16):
        large = [(states * 3e4).clamp(-6e4, 6e4).to(dtype).requires_grad_() for states in hidden]
        wide = [states.detach().float() for states in large]
        expected = pooling(wide, mask, ids)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            out = pooling(large, mask, ids)
        assert out.dtype == torch.float32
        assert out.isfinite().all()
        torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-1)
        exact = pooling.double()([states.double() for states in wide], mask, ids)
        torch.testing.assert_close(out.double(), exact, rtol=1e-4, atol=1.0)  # of 6e4
        (pooling.float()(large, mask, ids) * 1e-3).sum().backward()
        assert all(states.grad is None or states.grad.isfinite().all() for states in large)
        assert all(p.grad is None or p.grad.isfinite().all() for p in pooling.parameters())


# 7. values


def check_reference(pooling: Any, mix: str, pool: str) -> None:
    hidden, mask, ids = draw((6, 2, 9, 4), seed=3)
    mask[2, :3] = 0
    mask[2, 5] = 0
    expected = torch.from_numpy(reference(pooling, mix, pool, (hidden, mask, ids)))
    agree(pooling(hidden, mask, ids), expected, TOLERANCE.get(pool, 1e-10))


# 8. inputs


def check_inputs_unchanged(pooling: Any, mix: str, pool: str) -> None:
    for kind in (torch.int64, torch.bool, torch.float32):
        hidden, mask, ids = draw()
        mask = mask.to(kind)
        before = [states.clone() for states in hidden], mask.clone(), ids.clone()
        pooling(hidden, mask, ids)
        torch.testing.assert_close((hidden, mask, ids), before, rtol=0, atol=0)


# 9. graphs


def check_graph(pooling: Any, mix: str, pool: str) -> None:
    hidden, mask, ids = draw()
    expected = pooling(hidden, mask, ids)
    torch._dynamo.reset()
    agree(torch.compile(pooling, fullgraph=True, backend="eager")(hidden, mask, ids), expected)
    if mix != "last" and pool != "mean":  # every mix and every pool once with free sizes, which is slow
        return agree(torch.export.export(pooling, (hidden, mask, ids)).module()(hidden, mask, ids), expected)
    free = {0: torch.export.Dim.AUTO, 1: torch.export.Dim.AUTO}
    exported = torch.export.export(pooling, (hidden, mask, ids), dynamic_shapes=([free] * DEPTH, free, free)).module()
    agree(exported(hidden, mask, ids), expected)
    longer = draw((2, 9), seed=4)
    return agree(exported(*longer), pooling(*longer))


CHECKS: dict[str, Callable[[Any, str, str], None]] = {
    "width": check_width,
    "masked places": check_masked_places,
    "padding side": check_padding_side,
    "company": check_company,
    "one token": check_one_token,
    "no token": check_no_token,
    "every parameter learns": check_every_parameter_learns,
    "state round trip": check_state_round_trip,
    "half precision": check_half_precision,
    "reference": check_reference,
    "inputs unchanged": check_inputs_unchanged,
    "graph": check_graph,
}


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize(("mix", "pool"), CELLS, ids=[f"{mix}-{pool}" for mix, pool in CELLS])
def test_every_cell_keeps_the_contract(mix: str, pool: str, check: str) -> None:
    CHECKS[check](build(mix, pool), mix, pool)


# Slow references: one text at a time, plain loops in float64, written from the definitions and not from the code.


def _last(n: Numbers, layers: list[Array]) -> Array:
    return layers[-1]


def _weighted(n: Numbers, layers: list[Array]) -> Array:
    chosen = layers[len(layers) - len(n["scores"]) :]
    total = sum(math.exp(score) for score in n["scores"])
    return np.asarray(sum(math.exp(s) / total * states for s, states in zip(n["scores"], chosen, strict=True)))


def _concat(n: Numbers, layers: list[Array]) -> Array:
    return np.concatenate(layers[-SETTINGS["concat"]["count"] :], axis=1)


def _max_layers(n: Numbers, layers: list[Array]) -> Array:
    top = layers[1].copy()
    for states in layers[2:]:
        top = np.where(states > top, states, top)
    return top


def _sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)))


def _lstm(n: Numbers, layers: list[Array]) -> Array:
    out = []
    for token in range(len(layers[0])):
        state = memory = np.zeros(n["cell.weight_hh"].shape[1])
        for states in layers[1:]:
            gates = n["cell.weight_ih"] @ states[token] + n["cell.weight_hh"] @ state
            i, f, g, o = np.split(gates + n["cell.bias_ih"] + n["cell.bias_hh"], 4)
            memory = _sigmoid(f) * memory + _sigmoid(i) * np.tanh(g)
            state = _sigmoid(o) * np.tanh(memory)
        out.append(state)
    return np.stack(out)


MIX_REFERENCES: dict[str, Callable[[Numbers, list[Array]], Array]] = {
    "last": _last,
    "weighted": _weighted,
    "concat": _concat,
    "max": _max_layers,
    "lstm": _lstm,
}


def _mean_with(weights: list[float], states: Array) -> Array:
    return np.asarray(sum(w * state for w, state in zip(weights, states, strict=True)) / sum(weights))


def _gelu(x: Array) -> Array:
    return np.array([value * 0.5 * (1 + math.erf(value / math.sqrt(2))) for value in x])


def _attention(n: Numbers, states: Array, ids: Array) -> Array:
    weights = []
    for state in states:
        x = n["score.0.weight"] @ state + n["score.0.bias"]
        x = (x - x.mean()) / np.sqrt(((x - x.mean()) ** 2).mean() + 1e-5) * n["score.1.weight"] + n["score.1.bias"]
        weights.append(math.exp(n["score.3.weight"][0] @ _gelu(x)))
    return _mean_with(weights, states)


def _multi_head_attention(n: Numbers, states: Array, ids: Array) -> Array:
    heads, width = n["query"].shape
    out = []
    for head in range(heads):
        part = slice(head * width, (head + 1) * width)
        scores = [n["query"][head] @ (n["key.weight"] @ state)[part] / math.sqrt(width) for state in states]
        values = np.stack([(n["value.weight"] @ state + n["value.bias"])[part] for state in states])
        out.append(_mean_with([math.exp(score) for score in scores], values))
    return np.concatenate(out)


def _token_weight(n: Numbers, states: Array, ids: Array) -> Array:
    weights = []
    for state in states:
        hidden = _gelu(n["score.0.weight"] @ state + n["score.0.bias"])
        weights.append(math.log1p(math.exp((n["score.2.weight"] @ hidden + n["score.2.bias"])[0])) + 1e-4)
    return _mean_with(weights, states)


def _gem(n: Numbers, states: Array, ids: Array) -> Array:
    p, low, high = math.exp(n["log_exponent"]), states.min(0), states.max(0)
    span = np.where(high > low, high - low, 1.0)
    return np.asarray(low + span * np.mean(((states - low) / span) ** p, axis=0) ** (1 / p))


POOL_REFERENCES: dict[str, Callable[[Numbers, Array, Array], Array]] = {
    "cls": lambda n, states, ids: states[0],
    "last": lambda n, states, ids: states[-1],
    "mean": lambda n, states, ids: sum(states) / len(states),
    "mean_sqrt": lambda n, states, ids: sum(states) / math.sqrt(len(states)),
    "max": lambda n, states, ids: np.array([max(column) for column in states.T]),
    "min": lambda n, states, ids: np.array([min(column) for column in states.T]),
    "idf": lambda n, states, ids: _mean_with([n["weights"][token] for token in ids], states),
    "attention": _attention,
    "multi_head_attention": _multi_head_attention,
    "token_weight": _token_weight,
    "gem": _gem,
}
TOLERANCE = {"gem": 1e-4, "all": 1e-4}  # gem keeps its powers away from zero by a millionth of the range


def reference(pooling: Any, mix: str, pool: str, batch: Batch) -> Array:
    """What a pooling should give, from its numbers alone."""
    state: Numbers = {name: tensor.double().numpy() for name, tensor in pooling.state_dict().items()}

    def part(prefix: str) -> Numbers:
        return {name.removeprefix(prefix): array for name, array in state.items() if name.startswith(prefix)}

    out = []
    for row, real in enumerate(batch[1].bool()):
        layers = [states[row][real].numpy() for states in batch[0]]
        mixed, ids = MIX_REFERENCES[mix](part("mix."), layers), batch[2][row][real].numpy()
        kinds = enumerate(LISTS.get(pool, [pool]))
        out.append(np.concatenate([POOL_REFERENCES[kind](part(f"pools.{k}."), mixed, ids) for k, kind in kinds]))
    return np.stack(out)


def test_every_kind_has_a_reference_and_no_reference_is_idle() -> None:
    assert set(MIX_REFERENCES) == set(LAYER_MIXES)
    assert set(POOL_REFERENCES) == set(TOKEN_POOLS)


# What settings mean.


def pooled(mix: dict[str, Any], pool: dict[str, Any], batch: Batch) -> Tensor:
    torch.manual_seed(0)
    settings = PoolingSettings.from_json({"layers": mix, "tokens": [pool]})
    pooling = Pooling(settings, depth=DEPTH, width=WIDTH, idf=torch.ones(VOCABULARY)).double()
    out: Tensor = pooling(*batch)
    return out.detach()


def test_gem_with_exponent_one_is_the_mean_and_with_a_large_one_nearly_the_maximum() -> None:
    batch = draw()
    last = {"kind": "last"}
    agree(pooled(last, {"kind": "gem", "exponent": 1.0}, batch), pooled(last, {"kind": "mean"}, batch), 1e-5)
    nearly = pooled(last, {"kind": "gem", "exponent": 500.0}, batch)
    agree(nearly, pooled(last, {"kind": "max"}, batch), 2e-2)
    assert (pooled(last, {"kind": "gem", "exponent": 2.0}, batch) <= nearly + 1e-9).all()


def test_gem_moves_and_stretches_with_its_features() -> None:
    hidden, mask, ids = draw()
    plain = pooled({"kind": "last"}, {"kind": "gem"}, (hidden, mask, ids))
    moved = pooled({"kind": "last"}, {"kind": "gem"}, ([7 * states - 50 for states in hidden], mask, ids))
    agree(moved, 7 * plain - 50, 1e-3)


def test_fresh_layer_weights_are_the_mean_of_the_layers_from_the_start_on() -> None:
    hidden, mask, ids = draw()
    for start in (0, 1, 2):
        mean = torch.stack(hidden[start:]).mean(0)
        weighted = pooled({"kind": "weighted", "start": start}, {"kind": "mean"}, (hidden, mask, ids))
        agree(weighted, pooled({"kind": "last"}, {"kind": "mean"}, ([mean], mask, ids)))


def test_max_and_lstm_do_not_read_the_layers_below_their_start() -> None:
    hidden, mask, ids = draw()
    other = [hidden[0] + 100, *hidden[1:]]
    for kind in ("max", "lstm", "weighted"):
        batches = (hidden, mask, ids), (other, mask, ids)
        above, below = (tuple(pooled({"kind": kind, "start": s}, {"kind": "mean"}, b) for b in batches) for s in (1, 0))
        agree(above[0], above[1])
        assert not torch.allclose(below[0], below[1])


def test_concat_takes_as_many_layers_as_asked() -> None:
    batch = draw()
    assert pooled({"kind": "concat", "count": 1}, {"kind": "mean"}, batch).shape == (4, WIDTH)
    assert pooled({"kind": "concat", "count": 4}, {"kind": "mean"}, batch).shape == (4, 4 * WIDTH)


def test_each_attention_head_reads_its_own_features() -> None:
    batch = draw()
    one, four = (pooled({"kind": "last"}, {"kind": "multi_head_attention", "heads": heads}, batch) for heads in (1, 4))
    assert one.shape == four.shape
    assert not torch.allclose(one, four)


def test_a_mix_of_the_last_layer_needs_no_other_one() -> None:
    hidden, mask, ids = draw()
    pooling = build("last", "mean")
    agree(pooling(hidden[-1:], mask, ids), pooling(hidden, mask, ids))
    assert not pooling.needs_all_layers
    assert all(build(mix, "mean").needs_all_layers for mix in LAYER_MIXES if mix != "last")


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (
            lambda: build_layer_mix(PoolingPart("first"), layers=4, width=8),
            "unknown layer mix 'first'; known ones: last, weighted",
        ),
        (
            lambda: build_token_pool(PoolingPart("median"), width=8, idf=torch.ones(3)),
            "unknown token pool 'median'; known ones: cls, ",
        ),
        (
            lambda: build_layer_mix(PoolingPart("weighted", {"start": 3}), layers=4, width=8),
            "start is 3 .* and weighted needs 2 or more",
        ),
        (
            lambda: build_layer_mix(PoolingPart("lstm", {"start": 3}), layers=4, width=8),
            "start is 3 .* 0 to 3, and lstm needs 2 or more",
        ),
        (
            lambda: build_layer_mix(PoolingPart("max", {"start": 4}), layers=4, width=8),
            "start is 4 .* 0 to 3, and max needs 1 or more",
        ),
        (
            lambda: build_layer_mix(PoolingPart("concat", {"count": 5}), layers=4, width=8),
            "layers.count is 5 but the backbone has only 4",
        ),
        (
            lambda: build_token_pool(PoolingPart("multi_head_attention", {"heads": 3}), width=8, idf=torch.ones(3)),
            "heads is 3 but must divide the width of the states, 8",
        ),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(act: Callable[[], object], message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        act()
    assert "\n" not in str(caught.value)


def test_inverse_document_frequency_counts_texts_and_leaves_no_token_without_weight() -> None:
    texts = [np.array([1, 2, 2, 2]), np.array([1, 3]), np.array([1])]
    weights = compute_idf(iter(texts), 5).double().numpy()
    expected = [math.log((1 + 3) / (1 + seen)) + 1 for seen in (0, 3, 1, 1, 0)]
    np.testing.assert_allclose(weights, expected, rtol=1e-6)
    assert weights[1] == weights.min() == 1
    assert weights[0] == weights[4] == weights.max()


def test_idf_weights_are_fixed_and_saved() -> None:
    pooling = build("last", "idf")
    assert list(pooling.parameters()) == []
    assert "pools.0.weights" in pooling.state_dict()


# Broken pools, most of them seen in public code, registered as "broken": the checks named beside them must fail.


class Broken(nn.Module):
    """A pool from a plain function of states and mask."""

    def __init__(self, width: int, rule: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.width, self.rule = width, rule

    def forward(self, states: Tensor, mask: Tensor, ids: Tensor) -> Tensor:
        return self.rule(states, mask)


def rule(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[[int], nn.Module]:
    return lambda width: Broken(width, function)


class PlainTensor(nn.Module):
    """Weights kept as a plain tensor: never trained, never saved."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width, self.importance = width, torch.rand(width, dtype=torch.float64)

    def forward(self, states: Tensor, mask: Tensor, ids: Tensor) -> Tensor:
        return states.sum(1) * self.importance


class CancellingBias(nn.Module):
    """A bias on the score of a softmax."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width, self.score = width, nn.Linear(width, 1)

    def forward(self, states: Tensor, mask: Tensor, ids: Tensor) -> Tensor:
        return (self.score(states).masked_fill(~mask[..., None], -1e9).softmax(1) * states).sum(1)


class IdleParameter(nn.Module):
    """A parameter that nothing uses."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width, self.idle = width, nn.Parameter(torch.ones(3))

    def forward(self, states: Tensor, mask: Tensor, ids: Tensor) -> Tensor:
        return states.sum(1)


def _many(mask: Tensor) -> Tensor:
    return mask.sum(1, keepdim=True)


def _break_graph(states: Tensor, mask: Tensor) -> Tensor:
    return states.sum(1) if float(states.sum()) > 0 else states.sum(1) * 1.0


def _spoil_mask(states: Tensor, mask: Tensor) -> Tensor:
    mask[:, 0] = False
    return states.sum(1)


# name: (how it is built, the pool it takes itself for, the checks that must fail)
BROKEN: dict[str, tuple[Callable[[int], nn.Module], str, list[str]]] = {
    "mean over padding": (rule(lambda h, m: h.mean(1)), "mean", ["company", "reference"]),
    "minimum filled with 1e-4": (
        rule(lambda h, m: h.masked_fill(~m[..., None], 1e-4).amin(1)),
        "min",
        ["company", "reference", "no token"],
    ),
    "maximum over zeroed padding": (rule(lambda h, m: h.amax(1)), "max", ["company", "reference"]),
    "cls at position 0": (rule(lambda h, m: h[:, 0]), "cls", ["padding side", "reference"]),
    "last at position -1": (rule(lambda h, m: h[:, -1]), "last", ["padding side", "company", "reference"]),
    "softmax over padding": (rule(lambda h, m: (h.softmax(1) * h).sum(1)), "attention", ["company"]),
    "gem that clamps": (
        rule(lambda h, m: ((h.clamp(min=1e-6) ** 3).sum(1) / _many(m)) ** (1 / 3)),
        "mean",  # of one token both are that token
        ["one token", "no token"],
    ),
    "mean without a floor": (rule(lambda h, m: h.sum(1) / _many(m)), "mean", ["no token"]),
    "sum in float16": (rule(lambda h, m: h.half().sum(1).to(h.dtype)), "mean", ["half precision", "reference"]),
    "row mixed with row": (rule(lambda h, m: h.sum(1) - h.sum(1).mean(0)), "mean", ["company"]),
    "graph break": (rule(_break_graph), "mean", ["graph"]),
    "mask written to": (rule(_spoil_mask), "mean", ["inputs unchanged"]),
    "wrong width": (lambda width: Broken(width + 1, lambda h, m: h.sum(1)), "mean", ["width"]),
    "plain tensor": (PlainTensor, "mean", ["state round trip"]),
    "bias that cancels": (CancellingBias, "attention", ["every parameter learns"]),
    "idle parameter": (IdleParameter, "mean", ["every parameter learns"]),
}


def register(monkeypatch: pytest.MonkeyPatch, make: Callable[[int], nn.Module], like: str) -> None:
    monkeypatch.setitem(TOKEN_POOLS, "broken", make)
    monkeypatch.setitem(POOL_REFERENCES, "broken", POOL_REFERENCES[like])


@pytest.mark.parametrize(("name", "check"), [(name, check) for name, entry in BROKEN.items() for check in entry[2]])
def test_a_broken_pool_fails(name: str, check: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make, like, _ = BROKEN[name]
    register(monkeypatch, make, like)
    with pytest.raises((AssertionError, torch._dynamo.exc.TorchDynamoException)):
        CHECKS[check](build("last", "broken"), "last", "broken")


@pytest.mark.parametrize("check", CHECKS)
def test_a_sound_pool_of_the_same_make_passes(check: str, monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch, rule(lambda h, m: h.sum(1) / _many(m).clamp(min=1)), "mean")
    CHECKS[check](build("last", "broken"), "last", "broken")


def test_every_check_is_seen_to_fail() -> None:
    assert {check for _, _, checks in BROKEN.values() for check in checks} | {"masked places"} == set(CHECKS)


@pytest.mark.parametrize("pool", ["mean", "attention", "gem", "idf"])
def test_without_its_door_a_pooling_is_poisoned(pool: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "_set_masked_to_zero", lambda states, real: states)
    with pytest.raises(AssertionError):
        check_masked_places(build("last", pool), "last", pool)


def test_a_kind_without_a_reference_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TOKEN_POOLS, "new", TOKEN_POOLS["mean"])
    with pytest.raises(KeyError):
        check_reference(build("last", "new"), "last", "new")
    with pytest.raises(AssertionError):
        test_every_kind_has_a_reference_and_no_reference_is_idle()
