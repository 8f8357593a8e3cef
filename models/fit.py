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
from models.batches import collate, prediction_batches, training_batches
from models.device import autocast, pick_device, pick_precision
from models.encoder import is_causal, load_encoder, longest_text
from models.losses import LOSSES, class_weighting
from models.network import Network, check_poolings
from models.optimizer import build_optimizer, rate_factor, set_rates
from models.pooling import Pooling
from models.pools import inverse_document_frequency
from models.tokens import Tokens

Score = Callable[[np.ndarray, np.ndarray], float | None]
PREDICT_BATCHES = 4  # a prediction keeps no activations: batches may be this many times larger


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
    network = _fresh_network(backbone, poolings, training, task, columns, tokens, truth, train_rows).to(device)
    rows, positive = class_weighting(training["class_weights"], task, truth[train_rows], columns, classes)
    weights = row_weights.astype(np.float64)
    weights[train_rows] = rows * weights[train_rows] / weights[train_rows].mean()
    data = _Data(tokens, truth, weights, torch.tensor(positive, dtype=torch.float32, device=device), device, backbone)
    log: list[dict[str, Any]] = []
    valid: dict[str, np.ndarray] = {}
    steps = training["epochs"] * updates_per_epoch(len(train_rows), training)
    optimizer = _optimizer(network, training)
    scaler = torch.amp.GradScaler(device.type, enabled=precision is torch.float16)
    for epoch in range(training["epochs"]):
        batches = training_batches(tokens.lengths, train_rows, training["batch_size"], rng)
        loss = _train_epoch(network, optimizer, scaler, batches, data, training, precision, len(log), steps, on_step)
        if not math.isfinite(loss):
            raise ModelError(
                f"the training loss became {loss} in epoch {epoch + 1}: lower learning_rate or use precision fp32"
            )
        valid = predict(network, tokens, valid_rows, training, backbone)
        entry = {"epoch": epoch + 1, "loss": loss, "scores": _scores(score, truth[valid_rows], valid)}
        log.append(entry)
        on_epoch(entry)
    predicted = predict(network, test, np.arange(len(test)), training, backbone)
    seconds = time.perf_counter() - started
    seen = int(tokens.lengths[train_rows].sum()) * training["epochs"]
    provenance = {
        "seconds": round(seconds, 2),
        "train_tokens_per_second": round(seen / seconds),
        "device": torch.cuda.get_device_name() if device.type == "cuda" else device.type,
        "precision": str(precision or torch.float32).removeprefix("torch."),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "parameters": sum(p.numel() for p in network.parameters()),
    }
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    return Fit(valid, predicted, state, log, provenance)


def predict(
    network: Network, tokens: Tokens, rows: np.ndarray, training: dict[str, Any], backbone: Backbone
) -> dict[str, np.ndarray]:
    """Predictions of some rows, in their order: (rows, columns) float64 by pooling name."""
    device = next(network.parameters()).device
    precision, batch_size = pick_precision(training["precision"], device), training["batch_size"]
    network.eval()
    parts: dict[str, list[Tensor]] = {name: [] for name in network.names}
    order: list[np.ndarray] = []
    with torch.inference_mode(), autocast(device, precision):
        for places in prediction_batches(tokens.lengths[rows], batch_size * PREDICT_BATCHES):
            order.append(places)
            outputs = network(collate(tokens, rows[places], device, pad_id(backbone)))
            for name, numbers in outputs.items():
                parts[name].append(network.predict(numbers[0]))
    if not order:
        return {name: np.zeros((0, len(network.location))) for name in network.names}
    back = np.argsort(np.concatenate(order))
    return {name: torch.cat(p).cpu().numpy()[back] for name, p in parts.items()}


def check_variant(backbone: Backbone, poolings: dict[str, dict[str, Any]], max_length: int) -> None:
    """Refuse, before any training, poolings and a length that the backbone cannot carry. Raises ModelError."""
    asked = {pool["kind"] for pooling in poolings.values() for pool in pooling["tokens"]}
    check_poolings(poolings, "cls" in asked and is_causal(backbone), backbone.name)
    longest = longest_text(backbone)
    if longest is not None and max_length > longest:
        raise ModelError(f"training.max_length is {max_length}, but {backbone.name!r} reads {longest} tokens at most")
    width = int(backbone.config.hidden_size)
    for pooling in poolings.values():
        with torch.device("meta"):
            Pooling(**pooling, depth=backbone.layers, width=width, idf=torch.zeros(1))


def updates_per_epoch(rows: int, training: dict[str, Any]) -> int:
    """Optimizer steps in one pass over `rows` training rows."""
    batches: int = math.ceil(rows / training["batch_size"])
    steps: int = math.ceil(batches / training["accumulation"])
    return steps


def pad_id(backbone: Backbone) -> int:
    """The token id that stands in padded places; masked, so any id will do where the tokenizer names none."""
    return int(backbone.tokenizer.pad_token_id or 0)


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


def _fresh_network(
    backbone: Backbone,
    poolings: dict[str, dict[str, Any]],
    training: dict[str, Any],
    task: str,
    columns: list[str],
    tokens: Tokens,
    truth: np.ndarray,
    train_rows: np.ndarray,
) -> Network:
    """Pretrained encoder, new heads, and what the fold's training rows teach: IDF weights, scale of the targets."""
    encoder = load_encoder(backbone)
    vocabulary = int(encoder.get_input_embeddings().num_embeddings)  # type: ignore[operator]
    asks_idf = any(pool["kind"] == "idf" for p in poolings.values() for pool in p["tokens"])
    idf = inverse_document_frequency((tokens.row(r) for r in train_rows if asks_idf), vocabulary)
    network = build_network(encoder, backbone, poolings, training, task, len(columns), idf)
    if task == "regression":
        location, scale = truth[train_rows].mean(0), truth[train_rows].std(0)
        network.location.copy_(torch.from_numpy(location))
        network.scale.copy_(torch.from_numpy(np.maximum(scale, 1e-9 * np.abs(location) + 1e-30)))  # none if constant
    if training["freeze_embeddings"]:
        embeddings = getattr(encoder, "embeddings", None) or encoder.get_input_embeddings()  # type: ignore[operator]
        embeddings.requires_grad_(False)
    if training["gradient_checkpointing"]:
        _checkpoint(encoder, backbone.name)
    return network


def _checkpoint(encoder: Any, name: str) -> None:
    if not encoder.supports_gradient_checkpointing:
        raise ModelError(f"training.gradient_checkpointing is not supported by backbone {name!r}: leave it out")
    old, new = "gradient_checkpointing_enable", "activation_checkpointing_enable"  # renamed within transformers 5
    getattr(encoder, new if hasattr(encoder, new) else old)({"use_reentrant": False})


def build_network(
    encoder: nn.Module,
    backbone: Backbone,
    poolings: dict[str, dict[str, Any]],
    training: dict[str, Any],
    task: str,
    columns: int,
    idf: Tensor,
) -> Network:
    """The network of a variant around an encoder."""
    return Network(
        encoder,
        poolings=poolings,
        task=task,
        columns=columns,
        depth=backbone.layers,
        dropout=training["dropout"],
        dropout_samples=training["dropout_samples"],
        idf=idf,
    )


def _optimizer(network: Network, training: dict[str, Any]) -> torch.optim.AdamW:
    names = ("learning_rate", "head_learning_rate", "layer_decay", "weight_decay")
    return build_optimizer(network, **{name: training[name] for name in names})


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


def _scores(score: Score, truth: np.ndarray, valid: dict[str, np.ndarray]) -> dict[str, float | None]:
    return {name: score(truth, predictions) for name, predictions in valid.items()} if len(truth) else {}
