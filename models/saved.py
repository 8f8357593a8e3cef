"""Fits on disk: weights as safetensors, beside the backbone's configuration and tokenizer, and back into a network.

The saved files are enough to predict without the original backbone: a machine without the hub needs only the run.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from models import ModelError
from models.device import choose_device
from models.encoder.backbone import Backbone, read_configuration, silence_transformers
from models.encoder.pretrained import count_embeddings, create_empty_encoder
from models.network import Network, NetworkDesign
from models.settings import SEPARATOR

SEPARATOR_ENTRY = "separator_in_texts"  # in a saved tokenizer's configuration


def convert_weights(weights: dict[str, Tensor], precision: str) -> dict[str, np.ndarray]:
    """Return weights as arrays, in `precision` fp32 or fp16, or none of them; fp32 ones are not copied.

    fp16 applies to float32 weights, not to the scale of a regression's targets.
    """
    if precision == "none":
        return {}
    halve = precision == "fp16"
    return {n: (t.half() if halve and t.dtype == torch.float32 else t).numpy() for n, t in weights.items()}


def write_backbone(folder: Path, backbone: Backbone) -> None:
    """Write configuration and tokenizer into `folder`, without weights; what was there goes when all is written."""
    temporary = folder.with_name(f".{folder.name}")
    shutil.rmtree(temporary, ignore_errors=True)
    if backbone.separator != SEPARATOR:  # runs of versions that did not replace it have no such entry
        backbone.tokenizer.init_kwargs[SEPARATOR_ENTRY] = backbone.separator
    with silence_transformers():
        backbone.config.save_pretrained(temporary)
        backbone.tokenizer.save_pretrained(temporary)
    shutil.rmtree(folder, ignore_errors=True)
    temporary.replace(folder)


def read_backbone(folder: Path, name: str) -> Backbone:
    """Return the backbone that `write_backbone` wrote; raises ModelError if it is not there."""
    if not (folder / "config.json").is_file():
        raise ModelError(f"{folder} holds no backbone configuration: train again, or restore the folder")
    config, tokenizer, _ = read_configuration(name, folder, ())
    return Backbone(name, folder, config, tokenizer, "", tokenizer.init_kwargs.get(SEPARATOR_ENTRY, SEPARATOR))


def load_network(path: Path, design: NetworkDesign) -> Network:
    """Return a network with the weights of a fit, on the device that predicts. Raises ModelError if they do not fit."""
    if not path.is_file():
        raise ModelError(f"{path} does not exist: this fit was trained with save_weights none and cannot predict")
    try:
        weights = {n: t.float() if t.dtype == torch.float16 else t for n, t in load_file(path).items()}
    except (SafetensorError, OSError, json.JSONDecodeError) as error:
        raise ModelError(f"{path} is damaged: move its folder away and train again") from error
    encoder = create_empty_encoder(design.backbone)
    vocabulary = count_embeddings(encoder)
    network = Network(encoder, design, torch.zeros(vocabulary))
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise ModelError(
            f"{path} holds the weights of another network: move its folder away and train again"
        ) from error
    return network.to(choose_device())
