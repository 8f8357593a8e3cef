"""The training loop: epochs of optimizer steps, which can be interrupted anywhere and resumed.

A step is forward, backward, clip and update, in as many parts as memory needs.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from models import ModelError
from models.batches import collate, make_training_batches, move_to_device, split_batch
from models.checkpoint import Checkpoint
from models.device import halve_batch, make_autocast
from models.device_errors import is_out_of_memory
from models.losses import LOSSES
from models.settings import TrainingSettings
from models.store import EpochLog
from models.tokens import Tokens
from models.training.hooks import FitHooks, StepReport, TrainingInterruptedError
from models.training.optimizer import clip_gradients, clip_while_stepping, compute_rate_factor, set_rates
from models.training.resume import TrainingState, export_generator, restore_generator

DIVERGED = 1e6  # mean loss of a step: targets are standardised and probabilities bounded, so no real loss is as large
SMALLEST_SCALE = 2.0**-10  # of float16 losses: from 2 ** 16 it is halved at every overflow
UNREAD_LOSSES = {"cpu": 1, "cuda": 50}  # losses to read at once; a GPU waits for each reading


@dataclass(frozen=True)
class Examples:
    """The table that a fit trains on, by row: tokens, `truth` and the `weights` of the loss.

    `positive` (columns,) weighs the positive answers of each column; `pad_id` is the token id of padded places.
    """

    tokens: Tokens
    truth: np.ndarray
    weights: np.ndarray  # (rows,)
    positive: Tensor
    pad_id: int

    def make_batch(self, rows: np.ndarray, device: torch.device) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        """Return encoder inputs, targets and weights of some rows on a device."""
        targets = move_to_device(self.truth[rows], device)
        weights = move_to_device(self.weights[rows].astype(np.float32), device)
        return collate(self.tokens, rows, device, self.pad_id), targets, weights


class OptimizerStep:
    """Takes one optimizer step a call; the loss is the mean over the rows of the step.

    When memory runs out, batches are split into ever smaller parts; the gradients of the parts add up to those of the
    whole.
    """

    def __init__(self, state: TrainingState, examples: Examples) -> None:
        self.state = state
        self.examples = examples
        self.settings: TrainingSettings = state.network.design.settings
        self.device = state.network.device
        self.precision = self.state.network.training_precision

    def __call__(self, batches: Sequence[np.ndarray]) -> Tensor:
        """Take one step on some batches of rows; returns the sum of their losses, on the device."""
        rows = sum(map(len, batches))
        lengths = self.examples.tokens.lengths
        while True:
            parts = [part for batch in batches for part in split_batch(batch, lengths, self.state.largest_batch)]
            total = torch.zeros((), device=self.device)
            try:
                for part in parts:
                    total += self._add_gradients(part, rows)
                break
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
            # Not inside the handler: there the error still holds the tensors of the failed try.
            self.state.optimizer.zero_grad(set_to_none=True)
            self.state.largest_batch = halve_batch(len(part), int(lengths[part].max()))
        self._update_weights()
        return total

    def _add_gradients(self, part: np.ndarray, rows: int) -> Tensor:
        """Add the gradients of a part of a step with `rows` rows; returns the sum of its losses."""
        inputs, targets, weights = self.examples.make_batch(part, self.device)
        with make_autocast(self.device, self.precision):
            outputs = self.state.network(inputs)
        loss = (self._compute_losses(outputs, targets) * weights).sum() / rows
        self.state.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        return loss.detach() * rows

    def _compute_losses(self, outputs: dict[str, Tensor], targets: Tensor) -> Tensor:
        """Return (batch,) losses: the mean over the poolings, each the mean over its dropout samples."""
        network = self.state.network
        task = network.design.task
        if task == "regression":
            targets = ((targets - network.location) / network.scale).float()
        compute = LOSSES[task].compute
        smoothing = self.settings.label_smoothing
        losses = [
            compute(sample, targets, smoothing, self.examples.positive)
            for samples in outputs.values()
            for sample in samples
        ]
        return torch.stack(losses).mean(0)

    def _update_weights(self) -> None:
        state = self.state
        settings = self.settings
        set_rates(state.optimizer, compute_rate_factor(state.step, state.steps, settings.warmup, settings.schedule))
        state.scaler.unscale_(state.optimizer)
        if settings.clip_norm is not None:
            clips_in_step = self.device.type == "cpu" and not state.scaler.is_enabled()
            clip = clip_while_stepping if clips_in_step else clip_gradients
            clip(state.optimizer, settings.clip_norm)
        state.scaler.step(state.optimizer)
        state.scaler.update()
        state.optimizer.zero_grad(set_to_none=True)
        state.step += 1


@dataclass
class TrainingLoop:
    """Epochs of steps over the training rows `rows`, in batches that `generator` draws.

    `epoch` and `done`, the batches taken in it, say how far the training is; `log` holds the finished epochs.
    """

    take_step: OptimizerStep
    rows: np.ndarray
    generator: np.random.Generator
    hooks: FitHooks
    started: float  # on the performance counter
    epoch: int = 0
    done: int = 0
    log: list[EpochLog] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._device = self.take_step.device
        self._total = torch.zeros((), device=self._device)  # of the losses of this epoch
        self._generator_before = export_generator(self.generator)  # before it drew the batches of this epoch
        self._unread: list[Tensor] = []  # losses that are still on the device
        self._unreported: list[tuple[int, float]] = []  # those that were read for a checkpoint, between two reports
        self._last_loss: float | None = None

    @property
    def state(self) -> TrainingState:
        """What the steps change."""
        return self.take_step.state

    @property
    def _most_unread(self) -> int:
        """The losses to read at once: each in its step where float16 may overflow, so that it is seen there."""
        return 1 if self.state.scaler.is_enabled() else UNREAD_LOSSES[self._device.type]

    @property
    def seconds(self) -> float:
        """Seconds of training, with those before an interruption."""
        return time.perf_counter() - self.started

    def run_epoch(self, epoch: int) -> float:
        """Take the steps of an epoch that are not taken yet; returns the mean loss of all its steps.

        Raises ModelError if the loss diverges, TrainingInterruptedError if the training stops on request.
        """
        if epoch != self.epoch:
            self.epoch, self.done = epoch, 0
            self._generator_before = export_generator(self.generator)
            self._total = torch.zeros((), device=self._device)
        self.state.network.train()
        settings = self.take_step.settings
        lengths = self.take_step.examples.tokens.lengths
        batches = make_training_batches(lengths, self.rows, settings.batch_size, self.generator)
        while self.done < len(batches):
            step = batches[self.done : self.done + settings.accumulation]
            loss = self.take_step(step)
            self._total += loss
            self._unread.append(loss / sum(map(len, step)))
            self.done += len(step)
            if len(self._unread) >= self._most_unread or self.done >= len(batches):
                self._read_losses()
            tokens = sum(int(lengths[rows].sum()) for rows in step)
            self.hooks.on_step(StepReport(tokens, self._unreported))
            self._unreported = []
            self.checkpoint_if_due()
        return float(self._total) / len(self.rows)

    def end_epoch(self, log: EpochLog) -> None:
        """Add a finished epoch to the log and report it."""
        self.log.append(log)
        self.hooks.on_epoch(log)

    def checkpoint_if_due(self) -> None:
        """Save a checkpoint where the hooks decide so. Raises TrainingInterruptedError if they stop the training."""
        decision = self.hooks.decide()
        if decision == "continue":
            return
        self._read_losses()
        self.hooks.save_checkpoint(self.make_checkpoint())
        if decision == "stop":
            raise TrainingInterruptedError

    def make_checkpoint(self) -> Checkpoint:
        """Return the training as it is now; on a CPU its arrays are not copied."""
        place = {
            **self.state.to_json(),
            "epoch": self.epoch,
            "done": self.done,
            "log": [epoch.to_json() for epoch in self.log[: self.epoch]],
            "batches": self._generator_before,
            "last_loss": self._last_loss,
            "unreported": self._unreported,
            "seconds": self.seconds,
        }
        arrays = {**self.state.get_arrays(), "total": self._total.cpu().numpy()}
        return Checkpoint(arrays, place, is_shared=self._device.type == "cpu")

    def resume(self, checkpoint: Checkpoint) -> None:
        """Continue from a checkpoint instead of the beginning. Raises ModelError if it is another training's."""
        place = checkpoint.place
        self.state.restore(checkpoint.arrays, place)
        self._total = torch.from_numpy(checkpoint.arrays["total"]).to(self._device)
        self.epoch = place["epoch"]
        self.done = place["done"]
        self.log = [EpochLog.from_json(epoch) for epoch in place["log"]]
        self._generator_before = place["batches"]
        restore_generator(self.generator, self._generator_before)
        self._last_loss = place["last_loss"]
        self._unreported = [(step, loss) for step, loss in place.get("unreported", [])]
        self.started -= place["seconds"]

    def _read_losses(self) -> None:
        """Read the losses since the last reading, for the next report. Raises ModelError for a diverging one.

        Raises it too if float16 gradients overflow at every loss scale: then no step has an effect.
        """
        values = torch.stack(self._unread).tolist() if self._unread else []
        losses = list(enumerate(values, self.state.step - len(values) + 1))
        self._unread.clear()
        for step, value in losses:
            if not (math.isfinite(value) and value < DIVERGED):
                raise ModelError(self._describe_divergence(step, value))
            self._last_loss = value
        self._unreported = self._unreported + losses
        scaler = self.state.scaler
        if scaler.is_enabled() and scaler.get_scale() < SMALLEST_SCALE:
            raise ModelError(
                f"the gradients overflow float16 at every loss scale (step {self.state.step} of {self.state.steps}), "
                "so nothing is learned: use precision bf16 or fp32"
            )

    def _describe_divergence(self, step: int, value: float) -> str:
        steps = self.state.steps
        settings = self.take_step.settings
        rate = settings.learning_rate * compute_rate_factor(step - 1, steps, settings.warmup, settings.schedule)
        before = "" if self._last_loss is None else f", after {self._last_loss:.4g} the step before"
        return (
            f"the training loss became {value:.4g} at step {step} of {steps} (epoch {self.epoch + 1}), "
            f"at learning rate {rate:.2g}{before}: lower learning_rate or use precision fp32"
        )
