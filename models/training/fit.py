"""The training loop: one fit, from token ids and targets to predictions and weights.

`fit` is a plain function of plain arguments, so that any engine can run it anywhere. It sets its own seeds. Epochs
are fixed: the last weights make the OOF, the scores per epoch are shown and never chosen on.
"""

import math
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.checkpoint import Checkpoint
from models.device import pick_device, pick_precision, prediction_precision
from models.encoder.backbone import Backbone
from models.losses import class_weighting
from models.network import Network, fresh_network
from models.predict import looks, pad_id, predict
from models.tokens import Tokens
from models.training.frozen_cache import TrunkCache
from models.training.loop import Course, Examples, Pause, Step, Stepper
from models.training.optimizer import build_optimizer
from models.training.speedups import lean, restore

Score = Callable[[np.ndarray, np.ndarray], float | None]
RATES = ("learning_rate", "head_learning_rate", "layer_decay", "weight_decay")


@dataclass(frozen=True)
class Fit:
    """What a fit gives: predictions (rows, columns) by pooling name, weights on the CPU, and a log of the epochs.

    `looks` says what the poolings that weigh tokens look at in some validation rows.
    """

    looks: list[dict[str, Any]]
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
    trunks: TrunkCache | None = None,
    on_step: Callable[[Step], None] = lambda step: None,
    on_epoch: Callable[[dict[str, Any]], None] = lambda epoch: None,
    pause: Pause = lambda: "go on",
    save: Callable[[Checkpoint], None] = lambda checkpoint: None,
    start: Checkpoint | None = None,
) -> Fit:
    """Train one network on `train_rows` of `tokens` and predict `valid_rows` and all of `test`.

    `training` holds the settings of `TrainingSpec` by name. `truth` and `row_weights` run along `tokens`. `score`
    (truth, predictions) is logged for each pooling after each epoch. `trunks` keeps what frozen layers give; without
    one it lies in the temporary folder. `pause` and `save` are those of `Course`; with a `start` the training goes on
    from there. Raises ModelError if the loss diverges or the checkpoint is another fit's, LeftError if it is left.
    """
    started, device = time.perf_counter(), pick_device()
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    network = fresh_network(backbone, poolings, training, task, len(columns), tokens, truth, train_rows)
    pad = pad_id(backbone)
    if network.trunk is not None:
        network.to(device)
        keep = trunks or TrunkCache(Path(tempfile.gettempdir()))
        tokens, test = (_with_states(table, network, keep, training, backbone) for table in (tokens, test))
    # Checkpointing runs a forward pass twice and turns back torch's random generator in between, which is not ours.
    cheap = device.type == "cpu" and not training["gradient_checkpointing"]
    sources = lean(network, tokens, train_rows, pad, cheap)
    network.to(device)
    weights, positive = _weights(training, task, truth, row_weights, train_rows, columns, classes)
    examples = Examples(tokens, truth, weights, torch.tensor(positive, dtype=torch.float32, device=device), pad)
    optimizer = build_optimizer(network, **{name: training[name] for name in RATES})
    steps = training["epochs"] * updates_per_epoch(len(train_rows), training)
    stepper = Stepper(network, optimizer, examples, training, pick_precision(training["precision"], device), steps)
    course = Course(stepper, train_rows, rng, sources, pause, save, started=started)
    if start is not None:
        course.take_up(start)
    valid: dict[str, np.ndarray] = {}
    for epoch in range(course.epoch, training["epochs"]):
        loss = course.run_epoch(epoch, on_step)
        valid = predict(network, tokens, valid_rows, training, backbone, course.look)
        course.log.append({"epoch": epoch + 1, "loss": loss, "scores": _scores(score, truth[valid_rows], valid)})
        on_epoch(course.log[-1])
    seen_tokens = looks(network, tokens, valid_rows, backbone)
    predicting = time.perf_counter()
    predicted = predict(network, test, np.arange(len(test)), training, backbone, course.look)
    predict_seconds = per_thousand(time.perf_counter() - predicting, len(test))
    restore(network.encoder)
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    seen = int(tokens.lengths[train_rows].sum()) * training["epochs"]
    provenance = _provenance(stepper, course.seconds, seen)
    return Fit(seen_tokens, valid, predicted, state, course.log, {**provenance, "predict_seconds": predict_seconds})


def _with_states(
    tokens: Tokens, network: Network, trunks: TrunkCache, training: dict[str, Any], backbone: Backbone
) -> Tokens:
    assert network.trunk is not None
    precision = prediction_precision(training["precision"], next(network.parameters()).device)
    states = trunks.states(network.trunk, backbone, tokens, all_layers=network.all_layers, precision=precision)
    return replace(tokens, states=states)


def per_thousand(seconds: float, rows: int) -> float:
    """Seconds for a thousand rows."""
    return round(1000 * seconds / max(rows, 1), 4)


def updates_per_epoch(rows: int, training: dict[str, Any]) -> int:
    """Optimizer steps in one pass over `rows` training rows."""
    batches: int = math.ceil(rows / training["batch_size"])
    steps: int = math.ceil(batches / training["accumulation"])
    return steps


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


def _provenance(stepper: Stepper, seconds: float, tokens: int) -> dict[str, Any]:
    device = stepper.device
    return {
        "seconds": round(seconds, 2),
        "train_tokens_per_second": round(tokens / seconds),
        "device": torch.cuda.get_device_name() if device.type == "cuda" else device.type,
        "precision": str(stepper.precision or torch.float32).removeprefix("torch."),
        "micro_batch_tokens": stepper.at_once,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "parameters": sum(p.numel() for p in stepper.network.parameters()),
    }


def _scores(score: Score, truth: np.ndarray, valid: dict[str, np.ndarray]) -> dict[str, float | None]:
    return {name: score(truth, predictions) for name, predictions in valid.items()} if len(truth) else {}
