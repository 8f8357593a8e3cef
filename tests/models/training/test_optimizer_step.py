"""The step in parts: the same update however memory cuts it, and a clear end when nothing fits."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from models import ModelError
from models.network import Network
from models.training import loop, optimizer
from models.training.fit import NetworkFit

Run = Callable[..., NetworkFit]


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], list[int]]:
    """memory(tokens) -> sizes: from now on larger batches run out of memory; `sizes` records all that were tried."""

    def limit(tokens: int) -> list[int]:
        sizes: list[int] = []
        forward = Network.forward

        def limited(self: Network, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
            sizes.append(inputs["input_ids"].numel())
            if sizes[-1] > tokens:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return forward(self, inputs)

        monkeypatch.setattr(Network, "forward", limited)
        return sizes

    return limit


def test_running_out_of_memory_halves_the_batch_and_changes_nothing_else(
    run: Run, memory: Callable[[int], list[int]]
) -> None:
    options = {"epochs": 2, "poolings": {"mean": "mean", "max": "max"}}
    whole = run(**options)
    sizes = memory(40)
    parts = run(**options)
    assert whole.provenance.micro_batch_tokens is None
    assert (parts.provenance.micro_batch_tokens or 99) <= 40 < max(sizes)
    for name, predictions in whole.valid.items():
        np.testing.assert_allclose(parts.valid[name], predictions, rtol=1e-4)
    assert parts.epochs[0].loss == pytest.approx(whole.epochs[0].loss, rel=1e-4)


def test_the_longest_batch_is_tried_first(run: Run, memory: Callable[[int], list[int]]) -> None:
    sizes = memory(10**6)
    run(batch_size=4)
    assert sizes[0] == max(sizes[: len(sizes) // 2])


def test_a_text_that_does_not_fit_alone_is_refused(run: Run, memory: Callable[[int], list[int]]) -> None:
    memory(3)
    with pytest.raises(ModelError, match=r"memory ran out on a single text of .* tokens: lower max_length"):
        run()


def test_the_cpus_out_of_memory_is_known_by_its_words(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    forward, failures = Network.forward, [0]

    def once(self: Network, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        failures[0] += 1
        if failures[0] == 1:
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate")
        return forward(self, inputs)

    monkeypatch.setattr(Network, "forward", once)
    assert run().provenance.micro_batch_tokens is not None


def test_other_errors_are_not_taken_for_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Network, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        raise RuntimeError("shapes cannot be multiplied")

    monkeypatch.setattr(Network, "forward", broken)
    with pytest.raises(RuntimeError, match="shapes"):
        run()


@pytest.mark.parametrize("largest", [0.05, 1e6])
def test_clipping_while_stepping_is_clipping(largest: float, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    folded = run(epochs=3, clip_norm=largest)
    monkeypatch.setattr(loop, "clip_while_stepping", loop.clip_gradients)
    plain = run(epochs=3, clip_norm=largest)
    np.testing.assert_allclose(folded.valid[""], plain.valid[""], rtol=1e-6)
    loose = run(epochs=3, clip_norm=None)
    assert (np.abs(loose.valid[""] - plain.valid[""]).max() > 3e-5) == (largest < 1)


def test_memory_that_does_not_suffice_for_the_moments_is_said_before_the_first_step(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = torch.zeros_like, list[int]()

    def zeros_like(tensor: torch.Tensor, **given: object) -> torch.Tensor:
        calls.append(tensor.numel())
        if len(calls) > 3:
            raise RuntimeError("CUDA error: out of memory")
        return real(tensor, **given)  # type: ignore[call-overload, no-any-return]

    monkeypatch.setattr(optimizer.torch, "zeros_like", zeros_like)
    with pytest.raises(
        ModelError, match=r"memory ran out for the optimizer: AdamW keeps two numbers for each of \d+ par"
    ):
        run()
    assert len(calls) == 4


def test_moments_that_were_allocated_before_change_no_step() -> None:
    torch.manual_seed(0)
    weights = [torch.randn(3, 4, requires_grad=True), torch.randn(5, requires_grad=True)]
    copies = [weight.detach().clone().requires_grad_() for weight in weights]
    for parameters, allocates in ((weights, True), (copies, False)):
        adamw = torch.optim.AdamW(parameters, lr=0.1, fused=True)
        if allocates:
            optimizer.allocate_moments(adamw)
        for _ in range(3):
            for parameter in parameters:
                parameter.grad = parameter.detach().cos()
            adamw.step()
    assert all(torch.equal(one, other) for one, other in zip(weights, copies, strict=True))
