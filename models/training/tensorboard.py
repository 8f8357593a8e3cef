"""A live log for TensorBoard, an optional package that only this module imports."""

from pathlib import Path
from typing import Any

from models import ModelError


def require_tensorboard() -> Any:
    """Return TensorBoard's writer class. Raises ModelError if it is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ModelError("--tensorboard needs a package that is not installed: pip install tensorboard") from error
    return SummaryWriter


def open_writer(folder: Path) -> Any:
    """Return a writer of scalars into `folder`. Raises ModelError if TensorBoard is not installed."""
    return require_tensorboard()(str(folder))
