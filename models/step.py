"""The optimizer step: forward, backward, clip, update, in as many parts as memory asks for."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.batches import collate, split, to_device
from models.device import autocast
from models.losses import LOSSES
from models.memory import halved, out_of_memory
from models.network import Network
from models.tokens import Tokens
from models.training.optimizer import clip_gradients, clip_while_stepping, rate_factor, set_rates


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
