"""What training changes: weights, the optimizer's tensors, random states; out of a training and back into one."""

import json
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models import ModelError
from models.network import Network


def training_arrays(network: Network, optimizer: torch.optim.Optimizer) -> dict[str, np.ndarray]:
    """What training changes of a network, its optimizer and torch's random numbers, by name; on a CPU no copies."""
    tensors = {f"network.{name}": tensor for name, tensor in _changing(network).items()}
    for number, parameter in enumerate(_parameters(optimizer)):
        state = optimizer.state.get(parameter, {})
        tensors |= {f"optimizer.{number}.{key}": value for key, value in state.items()}
    tensors["random.cpu"] = torch.get_rng_state()
    if torch.cuda.is_available():
        tensors["random.cuda"] = torch.cuda.get_rng_state()
    return {name: tensor.detach().cpu().contiguous().numpy() for name, tensor in tensors.items()}


def restore_training(network: Network, optimizer: torch.optim.Optimizer, arrays: dict[str, np.ndarray]) -> None:
    """Put `training_arrays` back. Raises ModelError if they are those of another network."""
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    changing = _changing(network)
    if {f"network.{name}" for name in changing} != {name for name in tensors if name.startswith("network.")}:
        raise ModelError("it holds another network")
    with torch.no_grad():
        for name, tensor in changing.items():
            tensor.copy_(tensors[f"network.{name}"])
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimizer."):
            _, number, key = name.split(".")
            state.setdefault(int(number), {})[key] = tensor
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
    torch.set_rng_state(tensors["random.cpu"])
    if torch.cuda.is_available() and "random.cuda" in tensors:
        torch.cuda.set_rng_state(tensors["random.cuda"])


def plain_state(generator: np.random.Generator) -> dict[str, Any]:
    """The state of a NumPy generator as JSON can hold it."""
    plain: dict[str, Any] = json.loads(json.dumps(generator.bit_generator.state, default=lambda array: array.tolist()))
    return plain


def set_state(generator: np.random.Generator, plain: dict[str, Any]) -> None:
    """Put a `plain_state` back."""
    inner = {
        key: np.array(value, np.uint64) if isinstance(value, list) else value for key, value in plain["state"].items()
    }
    generator.bit_generator.state = {**plain, "state": inner}


def _changing(network: Network) -> dict[str, Tensor]:
    saved = network.state_dict().keys()
    learning = {name: parameter for name, parameter in network.named_parameters() if parameter.requires_grad}
    return learning | {name: buffer for name, buffer in network.named_buffers() if name in saved}


def _parameters(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]
