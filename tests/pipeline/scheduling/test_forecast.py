"""What is said before the first fit starts: what cannot train, and what would be slow."""

from collections.abc import Callable
from typing import Any

import pytest

from models.device import measure_bf16_slowdown

MakeSite = Callable[..., Any]


def test_bf16_on_a_cpu_without_units_for_it_says_how_slow_it_is(
    make_site: MakeSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = make_site("binary", variants={"mean": {"pooling": "mean"}})
    monkeypatch.setattr("models.device.measure_bf16_slowdown", lambda: 9.6)
    warning = (
        "precision bf16 takes 10 times as long as fp32 on this CPU, which has no units for it: precision auto takes"
    )
    assert warning in site.run("train", "--dry-run", "training.precision=bf16").err
    assert warning not in site.run("train", "--dry-run").err
    monkeypatch.setattr("models.device.measure_bf16_slowdown", lambda: 0.4)
    assert warning not in site.run("train", "--dry-run", "training.precision=bf16").err


def test_the_slowdown_of_bf16_is_a_ratio_of_seconds() -> None:
    assert 0.05 < measure_bf16_slowdown() < 500
