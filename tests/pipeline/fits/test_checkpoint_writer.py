"""Checkpoints cost a fit little time, however slow the disk is, and each is what the training was when it was asked."""

import threading
from typing import Any

import numpy as np
import pytest

from models.checkpoint import Checkpoint
from pipeline.fits.checkpoint_writer import CheckpointWriter


class Clock:
    """Seconds that pass where a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def checkpoint(value: float = 0.0, is_shared: bool = False) -> Checkpoint:
    return Checkpoint({"weights": np.full(3, value)}, {}, is_shared)


def test_the_interval_counts_from_the_end_of_a_save_and_grows_with_its_cost() -> None:
    """A save that took 59 of 60 seconds was followed by one after the next step."""
    clock = Clock()

    def save(given: Checkpoint) -> bool:
        clock.now += 59
        return True

    writer = CheckpointWriter(save, 60.0, clock, in_background=False)
    clock.now = 59.0
    assert not writer.is_due()
    clock.now = 60.0
    assert writer.is_due()
    writer.write(checkpoint())
    assert writer.collect()
    for seconds, due in ((1, False), (60, False), (20 * 59 - 1, False), (20 * 59, True)):
        clock.now = 119.0 + seconds
        assert writer.is_due() is due


def test_a_save_in_the_background_holds_nothing_up_and_saves_what_was_given() -> None:
    go, saved = threading.Event(), list[float]()

    def save(given: Checkpoint) -> bool:
        assert go.wait(60)
        saved.append(float(given.arrays["weights"][0]))
        return True

    clock = Clock()
    writer = CheckpointWriter(save, 1.0, clock, in_background=True)
    given = checkpoint(1.0, is_shared=True)
    writer.write(given)
    given.arrays["weights"][:] = 2.0  # the training goes on
    clock.now = 100.0
    assert not writer.is_due(), "one is still being saved"
    assert not writer.collect()
    go.set()
    assert writer.collect(wait=True)
    assert saved == [1.0]
    assert not writer.collect(), "once"
    writer.close()


def test_arrays_of_their_own_are_not_copied() -> None:
    given = checkpoint()
    assert given.copy_shared() is given


@pytest.mark.parametrize("in_background", [False, True])
def test_a_checkpoint_that_was_not_saved_is_none_and_an_error_is_raised(in_background: bool) -> None:
    results: list[Any] = [False, ValueError("broken")]

    def save(given: Checkpoint) -> bool:
        result = results.pop(0)
        if isinstance(result, Exception):
            raise result
        return bool(result)

    writer = CheckpointWriter(save, 0.0, Clock(), in_background)
    writer.write(checkpoint())
    assert not writer.collect(wait=True)
    with pytest.raises(ValueError, match="broken"):  # noqa: PT012 - either call may raise it
        writer.write(checkpoint())
        writer.collect(wait=True)
    writer.close()
