"""A training that was left in the middle, as one safetensors file: never a pickle. Imports no torch.

What goes on from it is byte for byte what was never left, on a CPU with the same threads.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from models import ModelError


@dataclass(frozen=True)
class Checkpoint:
    """Weights, the optimizer's arrays and random states by name, and the `place` in the training as plain values."""

    arrays: dict[str, np.ndarray]
    place: dict[str, Any]


def write_checkpoint(path: Path, checkpoint: Checkpoint, fingerprint: str) -> None:
    """Write a checkpoint of the fit of that fingerprint."""
    place = json.dumps({**checkpoint.place, "fingerprint": fingerprint})
    save_file(checkpoint.arrays, path, {"place": place, "sha256": _checksum(checkpoint.arrays, place)})


def read_checkpoint(path: Path, fingerprint: str | None) -> Checkpoint | None:
    """The checkpoint of a fit, of any for None; None where there is none, or it is another fit's.

    Raises ModelError if it is damaged.
    """
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(f"{path} is damaged") from error
    if metadata.get("sha256") != _checksum(arrays, metadata.get("place", "")):
        raise ModelError(f"{path} is damaged")
    place = json.loads(metadata["place"])
    return Checkpoint(arrays, place) if place.pop("fingerprint") == fingerprint or fingerprint is None else None


def share_done(path: Path, fingerprint: str) -> float:
    """The share of a fit's steps that its checkpoint has behind it; 0 where there is none that can be read."""
    if not path.is_file():
        return 0.0
    try:
        with safe_open(path, framework="np") as file:
            place = json.loads((file.metadata() or {})["place"])
        return float(place["step"] / place["steps"]) if place["fingerprint"] == fingerprint else 0.0
    except (SafetensorError, OSError, ValueError, KeyError, RecursionError):
        return 0.0


def _checksum(arrays: dict[str, np.ndarray], place: str) -> str:
    digest = hashlib.sha256(place.encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype} {arrays[name].shape}".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()
