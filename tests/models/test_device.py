"""Between fits: nothing is left of a network, and freed memory goes back."""

import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch

from models import ModelError
from models.device import can_run_on, choose_device, release_memory
from models.network import Network
from models.training.fit import NetworkFit

Run = Callable[..., NetworkFit]

OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "regression": {"task": "regression"},
    "frozen layers": {"freeze_layers": 1},
    "checkpointing": {"gradient_checkpointing": True},
    "several poolings": {"poolings": {"mean": "mean", "attention": "attention", "layers": "weighted_layer"}},
    "recurrent": {"pooling": {"layers": "lstm", "tokens": "mean"}},
}


@pytest.mark.parametrize("option", OPTIONS)
def test_a_fit_leaves_nothing_of_its_network_to_the_garbage_collector(
    option: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[weakref.ref[Network]] = []
    start = Network.__init__

    def watched(network: Network, *given: Any, **settings: Any) -> None:
        made.append(weakref.ref(network))
        start(network, *given, **settings)

    monkeypatch.setattr(Network, "__init__", watched)
    gc.disable()
    try:
        result = run(**OPTIONS[option])
        assert [network() for network in made] == [None]
    finally:
        gc.enable()
    assert result.weights


def test_freed_memory_goes_back_when_the_work_is_done_and_its_variables_are_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[weakref.ref[torch.Tensor]] = []
    alive: list[bool] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: alive.append(seen[-1]() is not None))

    @release_memory()
    def work(fails: bool) -> int:
        tensor = torch.zeros(3)
        seen.append(weakref.ref(tensor))
        return 1 // (not fails) + len(tensor)

    assert work(fails=False) == 4
    assert alive == [False]
    with pytest.raises(ZeroDivisionError):
        work(fails=True)
    assert len(alive) == 2


@pytest.mark.parametrize(
    ("capability", "architectures", "runs"),
    [
        ((6, 0), ["sm_70", "sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120"], False),  # P100 under cu128
        ((7, 5), ["sm_70", "sm_75", "sm_80"], True),  # T4
        ((8, 9), ["sm_80", "sm_86", "sm_90"], True),  # L4
        ((8, 0), ["sm_86", "sm_90"], False),
        ((9, 0), ["sm_80", "sm_90a"], True),
        ((10, 0), ["sm_90a"], False),
        ((10, 0), ["sm_80", "compute_90"], True),  # compiled for the card when first used
        ((12, 0), ["sm_90", "compute_90a"], False),
        ((9, 4), ["gfx90a", "gfx942"], True),
        ((7, 5), [], True),
    ],
)
def test_a_card_runs_code_of_its_major_version_or_intermediate_code(
    capability: tuple[int, int], architectures: list[str], runs: bool
) -> None:
    assert can_run_on(capability, architectures) is runs


def test_a_card_that_torch_holds_no_code_for_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (6, 0))
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["sm_75", "sm_80"])
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Tesla P100-PCIE-16GB")
    with pytest.raises(ModelError, match=r"no code for this GPU, Tesla P100-PCIE-16GB \(compute capability 6\.0; it"):
        choose_device()
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (7, 5))
    assert choose_device().type == "cuda"
