"""The state that training changes: into the arrays and plain values of a checkpoint, and back."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models import ModelError
from models.network import Network


@dataclass
class TrainingState:
    """A network in training: weights, optimizer, loss scale and random generators, `step` of `steps` in all.

    `generators` are those that the network draws from beside torch's. `largest_batch` is the most tokens, padding
    included, that go through the network at once; None until memory runs out.
    """

    network: Network
    optimizer: torch.optim.AdamW
    scaler: torch.amp.GradScaler
    generators: list[np.random.Generator]
    steps: int
    step: int = 0
    largest_batch: int | None = None

    def get_arrays(self) -> dict[str, np.ndarray]:
        """Return weights, optimizer and torch's random states by name; on a CPU they are not copied."""
        tensors = {f"network.{name}": tensor for name, tensor in _list_trained(self.network).items()}
        for number, parameter in enumerate(_list_parameters(self.optimizer)):
            state = self.optimizer.state.get(parameter, {})
            tensors |= {f"optimizer.{number}.{key}": value for key, value in state.items()}
        tensors["random.cpu"] = torch.get_rng_state()
        if torch.cuda.is_available():
            tensors["random.cuda"] = torch.cuda.get_rng_state()
        return {name: tensor.detach().cpu().contiguous().numpy() for name, tensor in tensors.items()}

    def to_json(self) -> dict[str, object]:
        """Return all that is not in the arrays."""
        return {
            "step": self.step,
            "steps": self.steps,
            "at_once": self.largest_batch,
            "scaler": self.scaler.state_dict(),
            "sources": [export_generator(generator) for generator in self.generators],
        }

    def restore(self, arrays: Mapping[str, np.ndarray], values: Mapping[str, Any]) -> None:
        """Put back what `get_arrays` and `to_json` gave. Raises ModelError if it comes from another training."""
        if len(values["sources"]) != len(self.generators) or values["steps"] != self.steps:
            raise ModelError("it holds another training")
        tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
        self._restore_weights(tensors)
        self._restore_optimizer(tensors)
        torch.set_rng_state(tensors["random.cpu"])
        if torch.cuda.is_available() and "random.cuda" in tensors:
            torch.cuda.set_rng_state(tensors["random.cuda"])
        self.step = values["step"]
        self.largest_batch = values["at_once"]
        self.scaler.load_state_dict(values["scaler"])
        for generator, plain in zip(self.generators, values["sources"], strict=True):
            restore_generator(generator, plain)

    def _restore_weights(self, tensors: Mapping[str, Tensor]) -> None:
        trained = _list_trained(self.network)
        if {f"network.{name}" for name in trained} != {name for name in tensors if name.startswith("network.")}:
            raise ModelError("it holds another network")
        with torch.no_grad():
            for name, tensor in trained.items():
                tensor.copy_(tensors[f"network.{name}"])

    def _restore_optimizer(self, tensors: Mapping[str, Tensor]) -> None:
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            if name.startswith("optimizer."):
                _, number, key = name.split(".")
                state.setdefault(int(number), {})[key] = tensor
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": state})


def export_generator(generator: np.random.Generator) -> dict[str, object]:
    """Return the state of a NumPy generator as JSON can hold it."""
    state = json.dumps(generator.bit_generator.state, default=lambda array: array.tolist())
    plain: dict[str, object] = json.loads(state)
    return plain


def restore_generator(generator: np.random.Generator, plain: Mapping[str, Any]) -> None:
    """Put back the state that `export_generator` gave."""
    inner = {
        key: np.array(value, np.uint64) if isinstance(value, list) else value for key, value in plain["state"].items()
    }
    generator.bit_generator.state = {**plain, "state": inner}


def _list_trained(network: Network) -> dict[str, Tensor]:
    saved = network.state_dict().keys()
    learning = {name: parameter for name, parameter in network.named_parameters() if parameter.requires_grad}
    return learning | {name: buffer for name, buffer in network.named_buffers() if name in saved}


def _list_parameters(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]
