"""A training that is interrupted anywhere and resumed ends byte for byte as one that never was."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models import ModelError
from models.checkpoint import Checkpoint, read_checkpoint, read_share_done, write_checkpoint
from models.training import loop
from models.training.fit import NetworkFit
from models.training.hooks import TrainingInterruptedError

Run = Callable[..., NetworkFit]
STEPS = 3 * 2  # epochs, and steps of two batches of five rows in each
DECISIONS = STEPS + 3 + 1  # each step, each epoch's validation rows, the test rows: a batch each
SETTINGS: dict[str, Any] = {
    "epochs": 3,
    "batch_size": 5,
    "accumulation": 2,
    "dropout": 0.3,
    "hidden_dropout": 0.2,
    "attention_dropout": 0.2,
    "poolings": {"attention": "attention", "max": "max"},
    "weight_decay": 0.1,
}


class Interruption:
    """Stops at the decision of that number, and keeps the checkpoint in a file, as a run does."""

    def __init__(self, path: Path, at: int) -> None:
        self.path, self.at, self.decisions = path, at, 0

    def decide(self) -> str:
        self.decisions += 1
        return "stop" if self.decisions == self.at else "continue"

    def save_checkpoint(self, checkpoint: Checkpoint) -> None:
        write_checkpoint(self.path, checkpoint, "f")


def interrupt_and_resume(run: Run, task: str, path: Path, *places: int, **given: Any) -> NetworkFit:
    """A fit that is interrupted at each of these decisions in turn, each time in another call."""
    start = None
    for at in places:
        interruption = Interruption(path, at)
        with pytest.raises(TrainingInterruptedError):
            run(task, decide=interruption.decide, save_checkpoint=interruption.save_checkpoint, start=start, **given)
        start = read_checkpoint(path, "f")
    return run(task, start=start, **given)


def assert_same(found: NetworkFit, wanted: NetworkFit) -> None:
    assert found.epochs == wanted.epochs
    for one, other in ((found.valid, wanted.valid), (found.test, wanted.test)):
        assert {name: values.tobytes() for name, values in one.items()} == {
            name: values.tobytes() for name, values in other.items()
        }
    assert {name: tensor.numpy().tobytes() for name, tensor in found.weights.items()} == {
        name: tensor.numpy().tobytes() for name, tensor in wanted.weights.items()
    }


@pytest.mark.parametrize("at", range(1, DECISIONS + 1))
def test_wherever_it_is_left_it_ends_the_same(run: Run, tmp_path: Path, at: int) -> None:
    assert_same(interrupt_and_resume(run, "binary", tmp_path / "c", at, **SETTINGS), run("binary", **SETTINGS))


@pytest.mark.parametrize("task", ["regression", "multiclass"])
@pytest.mark.parametrize(
    "given",
    [
        {"gradient_checkpointing": True},  # torch's own dropout
        {"freeze_layers": 1},
        {"precision": "bf16"},
        {},
    ],
    ids=["torch's random numbers", "frozen layers", "half precision", "left twice"],
)
def test_every_kind_of_training_can_be_left(run: Run, tmp_path: Path, task: str, given: dict[str, Any]) -> None:
    given = {**SETTINGS, **given}
    assert_same(interrupt_and_resume(run, task, tmp_path / "c", 2, 4, **given), run(task, **given))


def test_saving_on_the_way_changes_nothing(run: Run, tmp_path: Path) -> None:
    saved: list[Checkpoint] = []
    found = run("binary", decide=lambda: "save", save_checkpoint=saved.append, **SETTINGS)
    assert len(saved) == DECISIONS
    assert_same(found, run("binary", **SETTINGS))


def kept(run: Run, path: Path, at: int = 3, **given: Any) -> Path:
    interruption = Interruption(path, at)
    with pytest.raises(TrainingInterruptedError):
        run("binary", decide=interruption.decide, save_checkpoint=interruption.save_checkpoint, **{**SETTINGS, **given})
    return path


def test_a_checkpoint_says_how_far_it_came(run: Run, tmp_path: Path) -> None:
    path = kept(run, tmp_path / "c", at=4)  # the third decision is in the validation rows
    assert read_share_done(path, "f") == pytest.approx(3 / STEPS)
    assert read_share_done(path, "g") == 0.0
    assert read_share_done(tmp_path / "none", "f") == 0.0
    assert read_checkpoint(path, "g") is None
    assert read_checkpoint(tmp_path / "none", "f") is None


def test_a_flipped_bit_anywhere_in_a_checkpoint_is_noticed(run: Run, tmp_path: Path) -> None:
    path = kept(run, tmp_path / "c")
    whole = path.read_bytes()
    places = {0, 5, 9, len(whole) - 1, *np.random.default_rng(0).integers(0, len(whole), 40).tolist()}
    for place in places | set(range(8, 400, 7)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(ModelError, match="c is damaged"):
            read_checkpoint(path, "f")
        read_share_done(path, "f")
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match="c is damaged"):
        read_checkpoint(path, "f")


def test_a_checkpoint_of_another_network_is_refused(run: Run, tmp_path: Path) -> None:
    start = read_checkpoint(kept(run, tmp_path / "c"), "f")
    with pytest.raises(ModelError, match="it holds another network"):
        run("binary", start=start, **{**SETTINGS, "poolings": {"mean": "mean"}})
    with pytest.raises(ModelError, match="it holds another training"):
        run("binary", start=start, **{**SETTINGS, "epochs": 4})


def test_a_diverging_loss_is_never_saved_and_says_where(run: Run) -> None:
    saved: list[Checkpoint] = []
    with pytest.raises(ModelError, match=r"became \S+ at step (\d) of 6 \(epoch \d\), at learning rate \S+, after"):
        run(
            "regression",
            decide=lambda: "save",
            save_checkpoint=saved.append,
            **{**SETTINGS, "clip_norm": None},
            unchecked={"learning_rate": 1e30},
        )
    assert all(np.isfinite(checkpoint.place["last_loss"]) for checkpoint in saved)


@pytest.mark.parametrize("unread", [1, 2, 3, 50])
def test_every_loss_is_reported_once_however_many_a_device_keeps(
    run: Run, tmp_path: Path, unread: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen on a GPU's cadence: losses read for a checkpoint, or at the end of an epoch, never reached a report."""
    alone: list[tuple[int, float]] = []
    run("binary", on_step=lambda step: alone.extend(step.losses), **SETTINGS)
    assert [step for step, _ in alone] == list(range(1, STEPS + 1))
    monkeypatch.setitem(loop.UNREAD_LOSSES, "cpu", unread)
    for decide in (lambda: "continue", lambda: "save"):
        reported: list[tuple[int, float]] = []
        run("binary", on_step=lambda step, to=reported: to.extend(step.losses), decide=decide, **SETTINGS)
        assert reported == alone
    reported = []
    interrupted = {**SETTINGS, "on_step": lambda step: reported.extend(step.losses)}
    interrupt_and_resume(run, "binary", tmp_path / "c", 1, 2, 2, **interrupted)
    assert reported == alone


def test_in_float16_each_loss_is_read_in_its_step(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(loop.UNREAD_LOSSES, "cpu", 50)
    for precision, expected in (("fp16", [1, 1]), ("fp32", [0, 2])):
        reported: list[int] = []
        given = {**SETTINGS, "epochs": 1, "precision": precision}
        run("binary", on_step=lambda step, to=reported: to.append(len(step.losses)), **given)
        assert reported == expected


def test_a_loss_scale_that_never_fits_ends_the_fit_with_a_sentence(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    real = torch.amp.GradScaler.get_scale
    monkeypatch.setattr(torch.amp.GradScaler, "get_scale", lambda scaler: real(scaler) * 2.0**-27)
    with pytest.raises(ModelError, match=r"gradients overflow float16 at every loss scale \(step 1 of 6\), so nothing"):
        run("binary", **{**SETTINGS, "precision": "fp16"})
