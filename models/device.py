"""The machine that a fit runs on: device, precision, threads and memory.

When memory runs out, work is repeated with smaller batches; after a fit, freed memory goes back to the machine.
"""

import ctypes
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch

from models import ModelError

# On the CPU torch, and oneDNN below it, raise a plain RuntimeError: only its message says that memory ran out.
OUT_OF_MEMORY_MESSAGES = ("can't allocate memory", "could not create a primitive", "unable to mmap")
Result = TypeVar("Result")


def choose_device() -> torch.device:
    """Return the GPU where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def list_devices() -> list[str]:
    """Return the GPUs that this process may use, by their names in CUDA_VISIBLE_DEVICES."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    count = torch.cuda.device_count()
    return (named.split(",") if named else [str(number) for number in range(count)])[:count]


def count_threads() -> int:
    """Return the number of CPU threads that torch uses by default."""
    return torch.get_num_threads()


def choose_precision(setting: str, device: torch.device) -> torch.dtype | None:
    """Return the autocast type for a `precision` setting; None is float32 throughout.

    auto reads the capability, because torch calls bf16 supported on a T4, where it is emulated and slow.
    """
    if setting == "auto":
        if device.type == "cpu":
            return None
        return torch.bfloat16 if torch.cuda.get_device_capability() >= (8, 0) else torch.float16
    return {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[setting]


def choose_prediction_precision(setting: str, device: torch.device) -> torch.dtype | None:
    """Return the autocast type for prediction. On a CPU float32: exact, and independent of the batch."""
    return None if device.type == "cpu" else choose_precision(setting, device)


def make_autocast(device: torch.device, precision: torch.dtype | None) -> torch.autocast:
    """Return an autocast to a precision from `choose_precision`."""
    return torch.autocast(device.type, dtype=precision, enabled=precision is not None)


@contextmanager
def use_threads(count: int | None) -> Iterator[None]:
    """Set torch's CPU threads inside the block; None changes nothing."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def retry_with_smaller_batches(work: Callable[[int], Result], at_once: int, longest: int) -> Result:
    """Return `work(at_once)`; whenever memory runs out, start again with half as many tokens at once.

    `longest` is the length of the longest text. Raises ModelError when memory runs out on that text alone.
    """
    while True:
        try:
            return work(at_once)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        # Not inside the handler: there the error still holds the tensors of the failed try.
        at_once = halve_batch(max(1, at_once // longest), longest)


def is_out_of_memory(error: Exception) -> bool:
    """Return True if an error says that the device, or the machine, has no memory left."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(
        message in str(error) for message in OUT_OF_MEMORY_MESSAGES
    )


def halve_batch(rows: int, length: int) -> int:
    """Return the most tokens to try after a batch of `rows` texts, padded to `length`, did not fit in memory.

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


@contextmanager
def release_memory() -> Iterator[None]:
    """Give freed memory back to the GPU and to the machine after a block, or after the function that this decorates.

    glibc keeps freed memory that lies below memory in use: 140 to 240 MiB after a fit of MiniLM.
    """
    try:
        yield
    finally:
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)):  # musl has none
            trim(0)
