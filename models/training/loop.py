"""The optimizer step: forward, backward, clip, update, in as many parts as memory asks for.

The course of a training: steps and epochs, which can be left anywhere and taken up again.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from models import ModelError
from models.batches import collate, split, to_device, training_batches
from models.checkpoint import Checkpoint
from models.device import autocast, halved, out_of_memory
from models.losses import LOSSES
from models.network import Network
from models.tokens import Tokens
from models.training.optimizer import clip_gradients, clip_while_stepping, rate_factor, set_rates
from models.training.resume import plain_state, restore_training, set_state, training_arrays

DIVERGED = 1e6  # mean loss of a step: targets are standardised and probabilities bounded, so one is much
UNREAD = {"cpu": 1, "cuda": 50}  # losses to read at once; a GPU waits for each reading
Pause = Callable[[], Literal["go on", "save", "leave"]]


@dataclass(frozen=True)
class Examples:
    """The table that a fit trains on, by row: tokens, `truth` and the `weights` of the loss.

    `positive` (columns,) weighs the positive answers of each column; `pad` is the token id of padded places.
    """

    tokens: Tokens
    truth: np.ndarray
    weights: np.ndarray
    positive: Tensor
    pad: int

    def batch(self, rows: np.ndarray, device: torch.device) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        """Encoder inputs, targets and weights of some rows on a device."""
        targets = to_device(self.truth[rows], device)
        weights = to_device(self.weights[rows].astype(np.float32), device)
        return collate(self.tokens, rows, device, self.pad), targets, weights


class Stepper:
    """Takes a network through its training, one optimizer step a call; the loss is the mean over a step's rows.

    `at_once` is the most tokens, padding included, that go through the network together: None at first, and halved
    whenever memory runs out; the gradients of the parts add up to those of the whole.
    """

    def __init__(
        self,
        network: Network,
        optimizer: torch.optim.AdamW,
        examples: Examples,
        training: dict[str, Any],
        precision: torch.dtype | None,
        steps: int,
    ) -> None:
        self.network, self.optimizer, self.examples = network, optimizer, examples
        self.training, self.precision, self.steps = training, precision, steps
        self.device = next(network.parameters()).device
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=precision is torch.float16)
        self.step, self._trying = 0, (0, 0)
        self.at_once: int | None = None

    def __call__(self, batches: Sequence[np.ndarray]) -> Tensor:
        """One step on some batches of rows; returns the sum of their losses, on the device."""
        while True:
            try:
                total = self._backward(batches)
                break
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error):
                    raise
            # Not in the handler: there the error still holds the tensors of the failed try.
            self.optimizer.zero_grad(set_to_none=True)
            self.at_once = halved(*self._trying)
        self._update()
        return total

    def _backward(self, batches: Sequence[np.ndarray]) -> Tensor:
        total, rows = torch.zeros((), device=self.device), sum(map(len, batches))
        lengths = self.examples.tokens.lengths
        for part in (part for batch in batches for part in split(batch, lengths, self.at_once)):
            self._trying = (len(part), int(lengths[part].max()))
            inputs, targets, weights = self.examples.batch(part, self.device)
            with autocast(self.device, self.precision):
                outputs = self.network(inputs)
            loss = (self._losses(outputs, targets) * weights).sum() / rows
            self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
            total += loss.detach() * rows
        return total

    def _losses(self, outputs: dict[str, Tensor], targets: Tensor) -> Tensor:
        """(batch,) losses: the mean over the poolings, each the mean over its dropout samples."""
        network, smoothing = self.network, self.training["label_smoothing"]
        if network.task == "regression":
            targets = ((targets - network.location) / network.scale).float()
        rows, positive = LOSSES[network.task].rows, self.examples.positive
        losses = [rows(sample, targets, smoothing, positive) for output in outputs.values() for sample in output]
        return torch.stack(losses).mean(0)

    def _update(self) -> None:
        set_rates(
            self.optimizer, rate_factor(self.step, self.steps, self.training["warmup"], self.training["schedule"])
        )
        self.scaler.unscale_(self.optimizer)
        if self.training["clip_norm"] is not None:
            folded = self.device.type == "cpu" and not self.scaler.is_enabled()
            (clip_while_stepping if folded else clip_gradients)(self.optimizer, self.training["clip_norm"])
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1


@dataclass(frozen=True)
class Step:
    """A step that was taken: its tokens, and the mean losses that were read on it, by the number of their steps."""

    tokens: int
    losses: list[tuple[int, float]]


class LeftError(Exception):
    """The training was left on request, and its checkpoint handed to whoever keeps it."""


@dataclass
class Course:
    """Epochs of steps over `rows`. `epoch` and `done`, its batches, say how far it came; `log` holds whole epochs.

    `pause` is asked after every step and batch of a prediction: whether to go on, to `save` a checkpoint, or to save
    one and leave. `sources` are the generators that the network draws from, beside torch's.
    """

    stepper: Stepper
    rows: np.ndarray
    rng: np.random.Generator
    sources: list[np.random.Generator]
    pause: Pause
    save: Callable[[Checkpoint], None]
    started: float  # on the performance counter
    epoch: int = 0
    done: int = 0
    log: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._total = torch.zeros((), device=self.stepper.device)  # of the losses of this epoch
        self._before = plain_state(self.rng)  # as it was before it made this epoch's batches
        self._unread: list[Tensor] = []
        self._last: float | None = None

    @property
    def seconds(self) -> float:
        """What the training took, those parts before it was left too."""
        return time.perf_counter() - self.started

    def run_epoch(self, epoch: int, on_step: Callable[[Step], None]) -> float:
        """Take the steps of an epoch that are not taken yet; returns the mean loss of all.

        Raises ModelError if the loss diverges, LeftError if the training is left.
        """
        stepper, training = self.stepper, self.stepper.training
        if epoch != self.epoch:
            self.epoch, self.done, self._before = epoch, 0, plain_state(self.rng)
            self._total = torch.zeros((), device=stepper.device)
        stepper.network.train()
        lengths = stepper.examples.tokens.lengths
        batches = training_batches(lengths, self.rows, training["batch_size"], self.rng)
        while self.done < len(batches):
            step = batches[self.done : self.done + training["accumulation"]]
            loss = stepper(step)
            self._total += loss
            self._unread.append(loss / sum(map(len, step)))
            self.done += len(step)
            due = len(self._unread) >= UNREAD[stepper.device.type]
            on_step(Step(sum(int(lengths[rows].sum()) for rows in step), self._read_losses() if due else []))
            self.look()
        self._read_losses()
        return float(self._total) / len(self.rows)

    def look(self) -> None:
        """Save a checkpoint, or leave with one, if that is asked for. Raises LeftError."""
        wish = self.pause()
        if wish == "go on":
            return
        self._read_losses()
        self.save(self.checkpoint())
        if wish == "leave":
            raise LeftError

    def checkpoint(self) -> Checkpoint:
        """The training as it stands; its arrays are not copied."""
        stepper = self.stepper
        place = {
            "epoch": self.epoch,
            "done": self.done,
            "step": stepper.step,
            "steps": stepper.steps,
            "at_once": stepper.at_once,
            "scaler": stepper.scaler.state_dict(),
            "log": self.log[: self.epoch],
            "batches": self._before,
            "sources": [plain_state(source) for source in self.sources],
            "last_loss": self._last,
            "seconds": self.seconds,
        }
        arrays = training_arrays(stepper.network, stepper.optimizer)
        return Checkpoint({**arrays, "total": self._total.cpu().numpy()}, place)

    def take_up(self, checkpoint: Checkpoint) -> None:
        """Go on from a checkpoint instead of the beginning. Raises ModelError if it is another training's."""
        stepper, place = self.stepper, checkpoint.place
        if len(place["sources"]) != len(self.sources) or place["steps"] != stepper.steps:
            raise ModelError("it holds another training")
        restore_training(stepper.network, stepper.optimizer, checkpoint.arrays)
        self._total = torch.from_numpy(checkpoint.arrays["total"]).to(stepper.device)
        self.epoch, self.done, self.log, self._before = place["epoch"], place["done"], place["log"], place["batches"]
        self._last, self.started = place["last_loss"], self.started - place["seconds"]
        stepper.step, stepper.at_once = place["step"], place["at_once"]
        stepper.scaler.load_state_dict(place["scaler"])
        set_state(self.rng, self._before)
        for source, state in zip(self.sources, place["sources"], strict=True):
            set_state(source, state)

    def _read_losses(self) -> list[tuple[int, float]]:
        """Losses that nobody has looked at yet, by the number of their steps. Raises ModelError for a diverging one."""
        values = torch.stack(self._unread).tolist() if self._unread else []
        read = list(enumerate(values, self.stepper.step - len(values) + 1))
        self._unread.clear()
        for step, value in read:
            if not (math.isfinite(value) and value < DIVERGED):
                raise self._diverged(step, value)
            self._last = value
        return read

    def _diverged(self, step: int, value: float) -> ModelError:
        steps, training = self.stepper.steps, self.stepper.training
        rate = training["learning_rate"] * rate_factor(step - 1, steps, training["warmup"], training["schedule"])
        before = "" if self._last is None else f", after {self._last:.4g} the step before"
        return ModelError(
            f"the training loss became {value:.4g} at step {step} of {steps} (epoch {self.epoch + 1}), "
            f"at learning rate {rate:.2g}{before}: lower learning_rate or use precision fp32"
        )
