"""A live log for TensorBoard, an extra that is imported here alone."""

from pathlib import Path
from typing import Any

from models import ModelError


def need_board() -> Any:
    """TensorBoard's writer. Raises ModelError if it is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ModelError("--tensorboard needs a package that is not installed: pip install tensorboard") from error
    return SummaryWriter


def open_board(folder: Path) -> Any:
    """A writer of scalars into `folder`. Raises ModelError if TensorBoard is not installed."""
    return need_board()(str(folder))
