"""States of many texts in files that leave nothing behind.

What a frozen trunk gives for every text of a table, computed once for all variants, folds and epochs.
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
from models.batches import AT_ONCE, collate, prediction_batches
from models.device import autocast, within_memory
from models.encoder.backbone import Backbone
from models.encoder.frozen_layers import Trunk
from models.predict import pad_id
from models.tokens import States, Tokens

GIB = 2**30


def new_file(shape: tuple[int, ...], folder: Path) -> np.ndarray:
    """An array in a file that is gone from `folder` as soon as nothing uses the array."""
    if not np.prod(shape):
        return np.zeros(shape, np.float32)  # nothing cannot be mapped
    if short_of(shape, folder):
        raise _no_room(shape, folder)
    with tempfile.TemporaryFile(dir=folder) as file:  # closed at once: the mapping alone keeps it
        try:
            if hasattr(os, "posix_fallocate"):  # a page without room on the disk would kill the process when written
                os.posix_fallocate(file.fileno(), 0, _size(shape))
            return np.memmap(file, np.float32, "w+", shape=shape).view(np.ndarray)
        except OSError as error:
            raise _no_room(shape, folder) from error


def short_of(shape: tuple[int, ...], folder: Path) -> bool:
    return shutil.disk_usage(folder).free < _size(shape)


def _no_room(shape: tuple[int, ...], folder: Path) -> ModelError:
    free = shutil.disk_usage(folder).free / GIB
    return ModelError(
        f"training.freeze_layers needs {_size(shape) / GIB:.1f} GiB in {folder}, which has {free:.1f} GiB free: make "
        f"room, lower max_length{', pool the last layer alone' if shape[0] > 1 else ''} or leave freeze_layers out"
    )


def _size(shape: tuple[int, ...]) -> int:
    return int(np.prod(shape, dtype=np.int64)) * 4


class TrunkCache:
    """States by backbone, frozen layers, precision and texts, shared by all variants, folds and epochs of a process.

    The files in `folder` have no name: they vanish with the cache, however the process ends.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._kept: dict[tuple[object, ...], States] = {}

    def states(
        self, trunk: Trunk, backbone: Backbone, tokens: Tokens, *, all_layers: bool, precision: torch.dtype | None
    ) -> States:
        """What `trunk.lower` gives for all `tokens`, on the trunk's device in an autocast to `precision`.

        `trunk` must have the pretrained weights of `backbone`. Raises ModelError if the disk has no room; states
        that were asked for longest ago are let go first.
        """
        key = (backbone.sha256, trunk.layers, all_layers, precision, _digest(tokens))
        if key not in self._kept:
            count, width = (trunk.layers + 1 if all_layers else 1), int(backbone.config.hidden_size)
            shape = (count, int(tokens.offsets[-1]), width)
            while self._kept and short_of(shape, self.folder):
                del self._kept[next(iter(self._kept))]
            values = new_file(shape, self.folder)
            _fill(values, trunk, tokens, pad_id(backbone), all_layers, precision)
            self._kept[key] = States(values, tokens.offsets)
        self._kept[key] = self._kept.pop(key)  # the latest comes last
        return self._kept[key]


def _fill(
    values: np.ndarray, trunk: Trunk, tokens: Tokens, pad: int, all_layers: bool, precision: torch.dtype | None
) -> None:
    device = next(trunk.encoder.parameters()).device

    def fill(at_once: int) -> None:
        with tqdm(total=len(tokens), desc="frozen layers", unit="text", delay=2, disable=None, leave=False) as bar:
            for rows in prediction_batches(tokens.lengths, at_once):
                with torch.inference_mode(), autocast(device, precision):
                    states = trunk.lower(collate(tokens, rows, device, pad), all_layers).float().cpu().numpy()
                for place, row in enumerate(rows):
                    start, end = tokens.offsets[row], tokens.offsets[row + 1]
                    values[:, start:end] = states[:, place, : end - start]
                bar.update(len(rows))

    within_memory(fill, AT_ONCE[device.type], max(1, tokens.longest))


def _digest(tokens: Tokens) -> bytes:
    digest = hashlib.sha256()
    for array in (tokens.offsets, tokens.ids, np.zeros(0) if tokens.types is None else tokens.types):
        digest.update(np.ascontiguousarray(array).data)
    return digest.digest()
