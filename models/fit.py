"""The training loop: one fit, from token ids and targets to predictions and weights.

`fit` is a plain function of plain arguments, so that any engine can run it anywhere. It sets its own seeds. Epochs
are fixed: the last weights make the OOF, the scores per epoch are shown and never chosen on.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from models import ModelError
from models.backbone import Backbone
from models.batches import collate, training_batches
from models.build import fresh_network
from models.device import autocast, pick_device, pick_precision
from models.losses import LOSSES, class_weighting
from models.network import Network
from models.optimizer import build_optimizer, rate_factor, set_rates
from models.predict import pad_id, predict
from models.tokens import Tokens

Score = Callable[[np.ndarray, np.ndarray], float | None]
RATES = ("learning_rate", "head_learning_rate", "layer_decay", "weight_decay")


@dataclass(frozen=True)
class Fit:
    """What a fit gives: predictions (rows, columns) by pooling name, weights on the CPU, and a log of the epochs."""

    valid: dict[str, np.ndarray]
    test: dict[str, np.ndarray]
    weights: dict[str, Tensor]
    epochs: list[dict[str, Any]]
    provenance: dict[str, Any]


def fit(
    *,
    backbone: Backbone,
    poolings: dict[str, dict[str, Any]],
    training: dict[str, Any],
    task: str,
    columns: list[str],
    classes: list[str],
    tokens: Tokens,
    truth: np.ndarray,
    row_weights: np.ndarray,
    train_rows: np.ndarray,
    valid_rows: np.ndarray,
    test: Tokens,
    seed: int,
    score: Score,
    on_step: Callable[[], None] = lambda: None,
    on_epoch: Callable[[dict[str, Any]], None] = lambda epoch: None,
) -> Fit:
    """Train one network on `train_rows` of `tokens` and predict `valid_rows` and all of `test`.

    `training` holds the settings of `TrainingSpec` by name. `truth` and `row_weights` run along `tokens`. `score`
    (truth, predictions) is logged for each pooling after each epoch. Raises ModelError if the loss stops being finite.
    """
    started, device = time.perf_counter(), pick_device()
    precision = pick_precision(training["precision"], device)
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    network = fresh_network(backbone, poolings, training, task, len(columns), tokens, truth, train_rows).to(device)
    weights, positive = _weights(training, task, truth, row_weights, train_rows, columns, classes)
    data = _Data(tokens, truth, weights, torch.tensor(positive, dtype=torch.float32, device=device), device, backbone)
    optimizer = build_optimizer(network, **{name: training[name] for name in RATES})
    scaler = torch.amp.GradScaler(device.type, enabled=precision is torch.float16)
    steps = training["epochs"] * updates_per_epoch(len(train_rows), training)
    log: list[dict[str, Any]] = []
    valid: dict[str, np.ndarray] = {}
    for epoch in range(training["epochs"]):
        batches = training_batches(tokens.lengths, train_rows, training["batch_size"], rng)
        loss = _train_epoch(network, optimizer, scaler, batches, data, training, precision, epoch, steps, on_step)
        if not math.isfinite(loss):
            raise ModelError(
                f"the training loss became {loss} in epoch {epoch + 1}: lower learning_rate or use precision fp32"
            )
        valid = predict(network, tokens, valid_rows, training, backbone)
        log.append({"epoch": epoch + 1, "loss": loss, "scores": _scores(score, truth[valid_rows], valid)})
        on_epoch(log[-1])
    predicted = predict(network, test, np.arange(len(test)), training, backbone)
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    seen = int(tokens.lengths[train_rows].sum()) * training["epochs"]
    return Fit(
        valid, predicted, state, log, _provenance(network, device, precision, time.perf_counter() - started, seen)
    )


def updates_per_epoch(rows: int, training: dict[str, Any]) -> int:
    """Optimizer steps in one pass over `rows` training rows."""
    batches: int = math.ceil(rows / training["batch_size"])
    steps: int = math.ceil(batches / training["accumulation"])
    return steps


@dataclass(frozen=True)
class _Data:
    tokens: Tokens
    truth: np.ndarray
    weights: np.ndarray
    positive: Tensor
    device: torch.device
    backbone: Backbone

    def batch(self, rows: np.ndarray) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        targets = torch.from_numpy(self.truth[rows]).to(self.device)
        weights = torch.from_numpy(self.weights[rows]).float().to(self.device)
        return collate(self.tokens, rows, self.device, pad_id(self.backbone)), targets, weights


def _train_epoch(
    network: Network,
    optimizer: torch.optim.AdamW,
    scaler: torch.amp.GradScaler,
    batches: list[np.ndarray],
    data: _Data,
    training: dict[str, Any],
    precision: torch.dtype | None,
    epoch: int,
    steps: int,
    on_step: Callable[[], None],
) -> float:
    """One pass over the training rows; returns the mean loss."""
    network.train()
    total = torch.zeros((), device=data.device)
    step = epoch * math.ceil(len(batches) / training["accumulation"])
    for start in range(0, len(batches), training["accumulation"]):
        group = batches[start : start + training["accumulation"]]
        rows = sum(map(len, group))
        for batch in group:
            inputs, targets, weights = data.batch(batch)
            with autocast(data.device, precision):
                outputs = network(inputs)
            losses = [_loss(network, o, targets, training["label_smoothing"], data.positive) for o in outputs.values()]
            loss = (torch.stack(losses).mean(0) * weights).sum() / rows
            scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
            total += loss.detach() * rows
        set_rates(optimizer, rate_factor(step, steps, training["warmup"], training["schedule"]))
        scaler.unscale_(optimizer)
        if training["clip_norm"] is not None:
            nn.utils.clip_grad_norm_(network.parameters(), training["clip_norm"])
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad(set_to_none=True)
        step += 1
        on_step()
    return float(total) / sum(map(len, batches))


def _loss(network: Network, outputs: Tensor, targets: Tensor, smoothing: float, positive: Tensor) -> Tensor:
    """(samples, batch, outputs) -> (batch,) losses, averaged over the dropout samples."""
    if network.task == "regression":
        targets = ((targets - network.location) / network.scale).to(outputs.dtype)
    rows = LOSSES[network.task].rows
    return torch.stack([rows(sample, targets, smoothing, positive) for sample in outputs]).mean(0)


def _weights(
    training: dict[str, Any],
    task: str,
    truth: np.ndarray,
    row_weights: np.ndarray,
    train_rows: np.ndarray,
    columns: list[str],
    classes: list[str],
) -> tuple[np.ndarray, np.ndarray]:
    """Weight of every row, mean one over the training rows, and of the positive answer in each column."""
    by_class, positive = class_weighting(training["class_weights"], task, truth[train_rows], columns, classes)
    weights = row_weights.astype(np.float64)
    weights[train_rows] = by_class * weights[train_rows] / weights[train_rows].mean()
    return weights, positive


def _provenance(
    network: Network, device: torch.device, precision: torch.dtype | None, seconds: float, tokens: int
) -> dict[str, Any]:
    return {
        "seconds": round(seconds, 2),
        "train_tokens_per_second": round(tokens / seconds),
        "device": torch.cuda.get_device_name() if device.type == "cuda" else device.type,
        "precision": str(precision or torch.float32).removeprefix("torch."),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "parameters": sum(p.numel() for p in network.parameters()),
    }


def _scores(score: Score, truth: np.ndarray, valid: dict[str, np.ndarray]) -> dict[str, float | None]:
    return {name: score(truth, predictions) for name, predictions in valid.items()} if len(truth) else {}
