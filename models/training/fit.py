"""One fit: from token ids and targets to predictions and weights.

`fit` depends on its arguments alone, so that any engine can run it anywhere. It sets its own seeds. The number of
epochs is fixed: the last weights make the OOF. The scores of each epoch are shown, and no epoch is chosen by them.
"""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from models.checkpoint import Checkpoint
from models.device import choose_device
from models.losses import compute_row_weights
from models.network import Network, NetworkDesign, create_network
from models.predict import predict, read_token_weights
from models.settings import count_steps_per_epoch
from models.store import EpochLog, Provenance, TokenWeights, convert_to_per_thousand
from models.tokens import Tokens
from models.training.frozen_cache import FrozenStateCache
from models.training.hooks import FitHooks
from models.training.loop import Examples, OptimizerStep, TrainingLoop
from models.training.optimizer import allocate_moments, build_optimizer
from models.training.resume import TrainingState
from models.training.speedups import apply_speedups, restore_embedding

Score = Callable[[np.ndarray, np.ndarray], float | None]
NO_HOOKS = FitHooks()


@dataclass(frozen=True)
class FitData:
    """Rows to train on and rows to predict.

    `truth` and `row_weights` have a row for each text of `tokens`; `test` is predicted whole. `score` is the metric of
    (truth, predictions), computed for each pooling after each epoch.
    """

    tokens: Tokens
    truth: np.ndarray  # (rows,) or (rows, columns)
    row_weights: np.ndarray  # (rows,)
    train_rows: np.ndarray
    valid_rows: np.ndarray
    test: Tokens
    columns: list[str]
    classes: list[str]
    score: Score
    soft: np.ndarray | None = None  # as `truth`, between 0 and 1: what the loss compares with in its place


@dataclass(frozen=True)
class NetworkFit:
    """The result of a fit: predictions (rows, columns) by pooling name, weights on the CPU, and a log of the epochs.

    `token_weights` are those of some validation rows.
    """

    valid: dict[str, np.ndarray]
    test: dict[str, np.ndarray]
    weights: dict[str, Tensor]
    epochs: list[EpochLog]
    token_weights: list[TokenWeights]
    provenance: Provenance


def fit(
    design: NetworkDesign,
    data: FitData,
    *,
    seed: int,
    hooks: FitHooks = NO_HOOKS,
    state_cache: FrozenStateCache | None = None,
    start: Checkpoint | None = None,
) -> NetworkFit:
    """Train one network on the training rows, and predict the validation rows and the test table.

    `state_cache` holds the output of frozen layers; without one it is in the temporary folder. From a checkpoint
    `start` the training is resumed. Raises ModelError if the loss diverges or the checkpoint is another fit's,
    TrainingInterruptedError if the hooks stop the training.
    """
    started = time.perf_counter()
    settings = design.settings
    device = choose_device()
    torch.manual_seed(seed)
    generator = np.random.default_rng(seed)
    network = create_network(design, data.tokens, data.truth, data.train_rows)
    if network.frozen_layers is not None:
        network.to(device)
        data = _add_frozen_states(data, network, state_cache or FrozenStateCache(Path(tempfile.gettempdir())))
    # Checkpointing repeats a forward pass and resets torch's random generator for it, which our dropout does not use.
    replaces_dropout = device.type == "cpu" and not settings.gradient_checkpointing
    generators = apply_speedups(network, data.tokens, data.train_rows, replaces_dropout)
    network.to(device)
    state = _create_state(network, generators, len(data.train_rows))
    step = OptimizerStep(state, _make_examples(design, data, device))
    loop = TrainingLoop(step, data.train_rows, generator, hooks, started)
    if start is not None:
        loop.resume(start)
    valid: dict[str, np.ndarray] = {}
    for epoch in range(loop.epoch, settings.epochs):
        loss = loop.run_epoch(epoch)
        valid = predict(network, data.tokens, data.valid_rows, loop.checkpoint_if_due)
        loop.end_epoch(EpochLog(epoch + 1, _compute_scores(data, valid), loss))
    token_weights = read_token_weights(network, data.tokens, data.valid_rows)
    predicting = time.perf_counter()
    test = predict(network, data.test, np.arange(len(data.test)), loop.checkpoint_if_due)
    predict_seconds = time.perf_counter() - predicting
    restore_embedding(network.encoder)
    return NetworkFit(
        valid=valid,
        test=test,
        weights={name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()},
        epochs=loop.log,
        token_weights=token_weights,
        provenance=_describe_provenance(loop, data, predict_seconds),
    )


def _add_frozen_states(data: FitData, network: Network, cache: FrozenStateCache) -> FitData:
    """Return the data with the output of the frozen layers for both tables."""
    frozen_layers = network.frozen_layers
    assert frozen_layers is not None
    backbone = network.design.backbone
    precision = network.prediction_precision

    def add_states(tokens: Tokens) -> Tokens:
        states = cache.get(frozen_layers, backbone, tokens, all_layers=network.all_layers, precision=precision)
        return replace(tokens, states=states)

    return replace(data, tokens=add_states(data.tokens), test=add_states(data.test))


def _create_state(network: Network, generators: list[np.random.Generator], rows: int) -> TrainingState:
    settings = network.design.settings
    optimizer = build_optimizer(
        network,
        learning_rate=settings.learning_rate,
        head_learning_rate=settings.head_learning_rate,
        layer_decay=settings.layer_decay,
        weight_decay=settings.weight_decay,
    )
    scaler = torch.amp.GradScaler(network.device.type, enabled=network.training_precision is torch.float16)
    steps = settings.epochs * count_steps_per_epoch(rows, settings)
    allocate_moments(optimizer)
    return TrainingState(network, optimizer, scaler, generators, steps)


def _make_examples(design: NetworkDesign, data: FitData, device: torch.device) -> Examples:
    """Return the table to train on; the weights of its rows have mean one over the training rows."""
    rows = data.train_rows
    setting = design.settings.class_weights
    weights = data.row_weights.astype(np.float64)
    weights[rows], positive = compute_row_weights(
        setting, design.task, data.truth[rows], weights[rows], data.columns, data.classes
    )
    return Examples(
        tokens=data.tokens,
        truth=data.truth if data.soft is None else data.soft.astype(np.float32),
        weights=weights,
        positive=torch.tensor(positive, dtype=torch.float32, device=device),
        pad_id=design.backbone.pad_id,
    )


def _compute_scores(data: FitData, valid: dict[str, np.ndarray]) -> dict[str, float | None]:
    truth = data.truth[data.valid_rows]
    if not len(truth):
        return {}
    return {name: data.score(truth, predictions) for name, predictions in valid.items()}


def _describe_provenance(loop: TrainingLoop, data: FitData, predict_seconds: float) -> Provenance:
    seconds = loop.seconds
    step = loop.take_step
    network = loop.state.network
    tokens = int(data.tokens.lengths[data.train_rows].sum()) * network.design.settings.epochs
    return Provenance(
        seconds=round(seconds, 2),
        train_tokens_per_second=round(tokens / seconds),
        device=torch.cuda.get_device_name() if step.device.type == "cuda" else step.device.type,
        precision=str(step.precision or torch.float32).removeprefix("torch."),
        micro_batch_tokens=loop.state.largest_batch,
        threads=torch.get_num_threads(),
        torch=torch.__version__,
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        predict_seconds=convert_to_per_thousand(predict_seconds, len(data.test)),
    )
