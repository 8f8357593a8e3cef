"""Running out of memory: how it shows, and how much to try next."""

import torch

from models import ModelError


def out_of_memory(error: Exception) -> bool:
    """Whether an error says that the device, or the machine, has no memory left."""
    # On the CPU torch raises a plain RuntimeError, which only its words tell from others.
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)


def halved(rows: int, length: int) -> int:
    """Tokens to let through at once after a batch of `rows` texts, padded to `length`, did not fit.

    Raises ModelError if it was a single text.
    """
    if rows < 2:
        raise ModelError(
            f"memory ran out on a single text of {length} tokens: lower max_length, set gradient_checkpointing "
            "or take a smaller backbone"
        )
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return rows * length // 2
