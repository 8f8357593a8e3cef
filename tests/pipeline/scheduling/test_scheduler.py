"""The scheduler between an engine that loses fits and a call that has to end."""

from collections.abc import Callable
from typing import Any

import pytest

from pipeline.fits.events import Event, FitLost, FitRequest

MakeSite = Callable[..., Any]


class LosingEngine:
    """Loses every fit before it begins, as a node does that has no library for it."""

    slots = 1

    def __init__(self, inputs: Any, models: Any, on_event: Callable[[int, Event], None], *others: Any) -> None:
        self.on_event = on_event
        self.started: list[int] = STARTED
        self.number: int | None = None

    @property
    def free_slots(self) -> int:
        return int(self.number is None)

    def describe_nodes(self) -> dict[str, str]:
        return {}

    def start(self, number: int, request: FitRequest) -> None:
        self.started.append(number)
        self.number = number

    def wait(self) -> None:
        assert self.number is not None
        number, self.number = self.number, None
        self.on_event(number, FitLost("its node has no code for it"))

    def close(self) -> None:
        """Nothing to close."""


STARTED: list[int] = []


def test_fits_that_are_lost_before_they_begin_are_given_up_after_some_pauses(
    linear_site: MakeSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They were handed out again 876 times in 20 seconds, without a word."""
    site = linear_site("binary")
    STARTED.clear()
    monkeypatch.setattr("pipeline.engines.select.InProcessEngine", LosingEngine)
    monkeypatch.setattr("pipeline.scheduling.scheduler.PAUSES", (0.01, 0.02, 0.03))
    done = site.run("train", "--workers", "1")
    assert done.code == 1
    assert "lost 3 times before it began, the last time because its node has no code for it" in done.err
    assert len(STARTED) == 2 * (3 + 1)
    assert done.err.count("the next try in") == 2 * 2
