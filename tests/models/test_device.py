"""Between fits: nothing is left of a network, and freed memory goes back."""

import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch

from models.device import release_memory
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
