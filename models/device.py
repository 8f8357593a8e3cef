"""Where a fit runs: the device, the precision of its arithmetic, the threads it takes."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def pick_device() -> torch.device:
    """The GPU where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def devices() -> list[str]:
    """The GPUs that this process may use, by the names that CUDA_VISIBLE_DEVICES has for them."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    count = torch.cuda.device_count()
    return (named.split(",") if named else [str(number) for number in range(count)])[:count]


def threads() -> int:
    """The CPU threads that torch takes where nobody asks for another number."""
    return torch.get_num_threads()


def pick_precision(setting: str, device: torch.device) -> torch.dtype | None:
    """The autocast type for a `precision` setting; None is float32 throughout.

    auto asks for the capability, because torch calls bf16 supported on a T4, where it is emulated and slow.
    """
    if setting == "auto":
        if device.type == "cpu":
            return None
        return torch.bfloat16 if torch.cuda.get_device_capability() >= (8, 0) else torch.float16
    return {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[setting]


def prediction_precision(setting: str, device: torch.device) -> torch.dtype | None:
    """The autocast type for what is not trained. On a CPU float32: exact, and the same in the company of any text."""
    return None if device.type == "cpu" else pick_precision(setting, device)


def autocast(device: torch.device, precision: torch.dtype | None) -> torch.autocast:
    """Autocast to a precision that `pick_precision` gave."""
    return torch.autocast(device.type, dtype=precision, enabled=precision is not None)


@contextmanager
def use_threads(count: int | None) -> Iterator[None]:
    """Torch's CPU threads for a while; None leaves them alone."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
