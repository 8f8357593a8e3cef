"""Output of frozen layers: computed once for each text, for all variants, folds and epochs of a process.

It is kept in files without a name, which vanish with the cache.
"""

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from models import ModelError
from models.batches import AT_ONCE, collate, make_prediction_batches
from models.device import make_autocast, retry_with_smaller_batches
from models.encoder.backbone import Backbone
from models.encoder.frozen_layers import FrozenLayers
from models.tokens import StoredStates, Tokens

GIB = 2**30


class FrozenStateCache:
    """States by backbone, frozen layers, precision and texts, in files in `folder`.

    The files have no name: they vanish with the cache, also when the process is killed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._states: dict[tuple[object, ...], StoredStates] = {}

    def get(
        self,
        frozen: FrozenLayers,
        backbone: Backbone,
        tokens: Tokens,
        *,
        all_layers: bool,
        precision: torch.dtype | None,
    ) -> StoredStates:
        """Return the output of `frozen.run_lower` for all `tokens`, in an autocast to `precision`.

        `frozen` must have the pretrained weights of `backbone`. Where the disk is full, the least recently used states
        are dropped first. Raises ModelError if the disk has no room even so.
        """
        key = (backbone.sha256, frozen.layers, all_layers, precision, _hash_tokens(tokens))
        if key not in self._states:
            count = frozen.layers + 1 if all_layers else 1
            shape = (count, int(tokens.offsets[-1]), int(backbone.config.hidden_size))
            while self._states and not has_room(shape, self.folder):
                del self._states[next(iter(self._states))]
            values = create_array(shape, self.folder)
            _fill_states(values, frozen, tokens, backbone.pad_id, all_layers, precision)
            self._states[key] = StoredStates(values, tokens.offsets)
        self._states[key] = self._states.pop(key)  # the most recently used is last
        return self._states[key]


def create_array(shape: tuple[int, ...], folder: Path) -> np.ndarray:
    """Return a float32 array in a file of `folder` that vanishes with the array. Raises ModelError without room."""
    if not np.prod(shape):
        return np.zeros(shape, np.float32)  # an empty file cannot be mapped
    if not has_room(shape, folder):
        raise _describe_lack_of_room(shape, folder)
    with tempfile.TemporaryFile(dir=folder) as file:  # closed at once: the mapping alone keeps it
        try:
            if hasattr(os, "posix_fallocate"):  # writing a page that has no room on the disk would kill the process
                os.posix_fallocate(file.fileno(), 0, _count_bytes(shape))
            return np.memmap(file, np.float32, "w+", shape=shape).view(np.ndarray)
        except OSError as error:
            raise _describe_lack_of_room(shape, folder) from error


def has_room(shape: tuple[int, ...], folder: Path) -> bool:
    """Return True if the disk has room for a float32 array."""
    return shutil.disk_usage(folder).free >= _count_bytes(shape)


def _describe_lack_of_room(shape: tuple[int, ...], folder: Path) -> ModelError:
    needed = _count_bytes(shape) / GIB
    free = shutil.disk_usage(folder).free / GIB
    fewer_layers = ", pool the last layer alone" if shape[0] > 1 else ""
    return ModelError(
        f"training.freeze_layers needs {needed:.1f} GiB in {folder}, which has {free:.1f} GiB free: make "
        f"room, lower max_length{fewer_layers} or leave freeze_layers out"
    )


def _count_bytes(shape: tuple[int, ...]) -> int:
    return int(np.prod(shape, dtype=np.int64)) * 4


def _fill_states(
    values: np.ndarray,
    frozen: FrozenLayers,
    tokens: Tokens,
    pad_id: int,
    all_layers: bool,
    precision: torch.dtype | None,
) -> None:
    """Compute the states of all texts into `values` (states, all tokens, width)."""
    device = next(frozen.encoder.parameters()).device

    def fill(at_once: int) -> None:
        with tqdm(total=len(tokens), desc="frozen layers", unit="text", delay=2, disable=None, leave=False) as bar:
            for rows in make_prediction_batches(tokens.lengths, at_once):
                inputs = collate(tokens, rows, device, pad_id)
                with torch.inference_mode(), make_autocast(device, precision):
                    states = (
                        frozen.run_lower(inputs, all_layers).float().cpu().numpy()
                    )  # (states, batch, tokens, width)
                for place, row in enumerate(rows):
                    start, end = tokens.offsets[row], tokens.offsets[row + 1]
                    values[:, start:end] = states[:, place, : end - start]
                bar.update(len(rows))

    retry_with_smaller_batches(fill, AT_ONCE[device.type], max(1, tokens.longest))


def _hash_tokens(tokens: Tokens) -> bytes:
    digest = hashlib.sha256()
    for array in (tokens.offsets, tokens.ids, np.zeros(0) if tokens.types is None else tokens.types):
        digest.update(np.ascontiguousarray(array).data)
    return digest.digest()
