"""Fits on disk: weights as safetensors, beside the backbone's configuration and tokenizer, and back into a network.

What is saved is enough to predict without the original backbone: on a machine without the hub, only the run is needed.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from models import ModelError
from models.device import pick_device
from models.encoder.backbone import Backbone, quiet, read_configuration
from models.encoder.pretrained import empty_encoder
from models.network import Network, build_network


def plain_weights(weights: dict[str, Tensor], precision: str) -> dict[str, np.ndarray]:
    """Weights as arrays to keep, in `precision` fp32 or fp16, or none of them; those on the CPU are not copied.

    Only float32 is halved, not the scale of a regression's targets.
    """
    if precision == "none":
        return {}
    halve = precision == "fp16"
    return {n: (t.half() if halve and t.dtype == torch.float32 else t).numpy() for n, t in weights.items()}


def write_backbone(folder: Path, backbone: Backbone) -> None:
    """Leave configuration and tokenizer in `folder`, without weights."""
    shutil.rmtree(folder, ignore_errors=True)
    with quiet():
        backbone.config.save_pretrained(folder)
        backbone.tokenizer.save_pretrained(folder)


def read_backbone(folder: Path, name: str) -> Backbone:
    """What `write_backbone` left; raises ModelError if it is not there."""
    if not (folder / "config.json").is_file():
        raise ModelError(f"{folder} holds no backbone configuration: train again, or restore the folder")
    config, tokenizer = read_configuration(name, folder, ())
    return Backbone(name, folder, config, tokenizer, "")


def load_network(
    path: Path,
    backbone: Backbone,
    poolings: dict[str, dict[str, Any]],
    training: dict[str, Any],
    task: str,
    columns: int,
) -> Network:
    """A network with the weights of a fit, on the device that predicts. Raises ModelError if they do not fit it."""
    if not path.is_file():
        raise ModelError(f"{path} does not exist: this fit was trained with save_weights none and cannot predict")
    try:
        weights = {n: t.float() if t.dtype == torch.float16 else t for n, t in load_file(path).items()}
    except (SafetensorError, OSError, json.JSONDecodeError) as error:
        raise ModelError(f"{path} is damaged: move its folder away and train again") from error
    encoder = empty_encoder(backbone)
    vocabulary = int(encoder.get_input_embeddings().num_embeddings)  # type: ignore[operator]
    network = build_network(encoder, backbone, poolings, training, task, columns, torch.zeros(vocabulary))
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise ModelError(
            f"{path} holds the weights of another network: move its folder away and train again"
        ) from error
    return network.to(pick_device())
