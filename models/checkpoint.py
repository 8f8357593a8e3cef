"""An interrupted training as one safetensors file: never a pickle. Imports no torch.

On a CPU with the same threads, a resumed training ends byte for byte as one that was never interrupted.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from models import ModelError


@dataclass(frozen=True)
class Checkpoint:
    """Weights, the optimizer's arrays and random states by name, and the `place` in the training as plain values.

    `is_shared` where the arrays are the memory that the training goes on to change.
    """

    arrays: dict[str, np.ndarray]
    place: Mapping[str, Any]
    is_shared: bool = False

    def copy_shared(self) -> "Checkpoint":
        """Return a checkpoint that stays as it is while the training goes on."""
        if not self.is_shared:
            return self
        return Checkpoint({name: array.copy() for name, array in self.arrays.items()}, self.place)


def write_checkpoint(path: Path, checkpoint: Checkpoint, fingerprint: str) -> None:
    """Write a checkpoint of the fit with that fingerprint."""
    place = json.dumps({**checkpoint.place, "fingerprint": fingerprint})
    save_file(checkpoint.arrays, path, {"place": place, "sha256": _compute_checksum(checkpoint.arrays, place)})


def read_checkpoint(path: Path, fingerprint: str | None) -> Checkpoint | None:
    """Return the checkpoint of a fit, or of any fit if `fingerprint` is None; None without one of that fit.

    Raises ModelError if it is damaged.
    """
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(f"{path} is damaged") from error
    if metadata.get("sha256") != _compute_checksum(arrays, metadata.get("place", "")):
        raise ModelError(f"{path} is damaged")
    place = json.loads(metadata["place"])
    return Checkpoint(arrays, place) if place.pop("fingerprint") == fingerprint or fingerprint is None else None


def read_share_done(path: Path, fingerprint: str) -> float:
    """Return the share of a fit's steps that its checkpoint has taken; 0 without a readable one."""
    if not path.is_file():
        return 0.0
    try:
        with safe_open(path, framework="np") as file:
            place = json.loads((file.metadata() or {})["place"])
        return float(place["step"] / place["steps"]) if place["fingerprint"] == fingerprint else 0.0
    except (SafetensorError, OSError, ValueError, KeyError, RecursionError):
        return 0.0


def _compute_checksum(arrays: dict[str, np.ndarray], place: str) -> str:
    digest = hashlib.sha256(place.encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype} {arrays[name].shape}".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()
