"""States of many texts in files that leave nothing behind."""

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from models import ModelError

GIB = 2**30


@dataclass(frozen=True)
class States:
    """States of many texts, flat like `Tokens`: those of text i are `values[:, offsets[i]:offsets[i + 1]]`."""

    values: np.ndarray  # (states, all tokens, width) float32, on disk
    offsets: np.ndarray  # (texts + 1,) int64

    def rows(self, rows: np.ndarray, length: int, device: torch.device) -> Tensor:
        """(states, rows, length, width) of some texts on a device, zero after each text's end."""
        shape = (len(self.values), len(rows), length, self.values.shape[-1])
        padded = torch.zeros(shape, pin_memory=device.type == "cuda")
        array = padded.numpy()
        for place, row in enumerate(rows):
            start, end = self.offsets[row], self.offsets[row + 1]
            array[:, place, : end - start] = self.values[:, start:end]
        return padded.to(device, non_blocking=True)


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
