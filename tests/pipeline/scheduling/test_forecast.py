"""What is said before the first fit starts: what cannot train, and what would be slow."""

from collections.abc import Callable
from typing import Any

import pytest

from models.device import measure_slowdown

MakeSite = Callable[..., Any]


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_a_precision_without_units_on_this_cpu_says_how_slow_it_is(
    precision: str, make_site: MakeSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = make_site("binary", variants={"mean": {"pooling": "mean"}})
    monkeypatch.setattr("models.device.measure_slowdown", lambda asked: 9.6 if asked == precision else 0.4)
    warning = (
        f"precision {precision} is slow on this CPU, which has no units for it: a product of matrices takes 10 times"
    )
    assert warning in site.run("train", "--dry-run", f"training.precision={precision}").err
    assert "is slow on this CPU" not in site.run("train", "--dry-run").err
    monkeypatch.setattr("models.device.measure_slowdown", lambda asked: 0.4)
    assert "is slow on this CPU" not in site.run("train", "--dry-run", f"training.precision={precision}").err


def test_the_slowdown_of_a_precision_is_a_ratio_of_seconds() -> None:
    assert 0.05 < measure_slowdown("bf16") < 500
