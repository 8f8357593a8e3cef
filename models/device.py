"""Where a fit runs: the device, the precision of its arithmetic, the threads it takes.

Running out of memory: how it shows, how much to try next, and how to give back what a fit took.
"""

import ctypes
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch

from models import ModelError

# On the CPU torch, and oneDNN below it, raise a plain RuntimeError, which only its words tell from others.
WORDS = ("can't allocate memory", "could not create a primitive", "unable to mmap")
Result = TypeVar("Result")


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


def within_memory(work: Callable[[int], Result], at_once: int, longest: int) -> Result:
    """`work(at_once)`, begun again with half the tokens at once whenever memory runs out.

    `longest` is the length of the longest text. Raises ModelError when that one is too much.
    """
    while True:
        try:
            return work(at_once)
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
        # Not in the handler: there the error still holds the tensors of the failed try.
        at_once = halved(max(1, at_once // longest), longest)


def out_of_memory(error: Exception) -> bool:
    """Whether an error says that the device, or the machine, has no memory left."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(words in str(error) for words in WORDS)


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


@contextmanager
def gives_back() -> Iterator[None]:
    """Give freed memory back to the GPU and to the machine when a block, or the function this decorates, is done.

    glibc keeps what was freed below anything that lives: after a fit of MiniLM 140 to 240 MiB, now more and now less.
    """
    try:
        yield
    finally:
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)):  # musl has none
            trim(0)
