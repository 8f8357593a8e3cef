"""The machine that a fit runs on: device, precision, threads and memory.

When memory runs out, work is repeated with smaller batches; after a fit, freed memory goes back to the machine.
"""

import ctypes
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import torch

from models import ModelError
from models.device_errors import is_out_of_memory

Result = TypeVar("Result")


def choose_device() -> torch.device:
    """Return the GPU where there is one, else the CPU. Raises ModelError for a GPU that torch holds no code for."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    if not can_run_on(torch.cuda.get_device_capability(), torch.cuda.get_arch_list()):
        raise ModelError(
            f"torch {torch.__version__} holds no code for this GPU, {torch.cuda.get_device_name()} (compute capability "
            f"{'.'.join(map(str, torch.cuda.get_device_capability()))}; it holds {' '.join(torch.cuda.get_arch_list())}"
            "): take another GPU or another build of torch, or set CUDA_VISIBLE_DEVICES='' to use the CPU"
        )
    return torch.device("cuda")


def can_run_on(capability: tuple[int, int], architectures: Sequence[str]) -> bool:
    """Return True if torch's binary code (sm_86) or intermediate code (compute_90) runs on a card of that capability.

    Binary code runs on cards of its major version and at least its minor one, intermediate code on all later cards
    (CUDA C++ Programming Guide, "Binary compatibility"). Code with a suffix (sm_90a) runs on that capability alone. An
    empty list is another backend's, such as ROCm's: nothing is known.
    """
    if not architectures:
        return True
    for architecture in architectures:
        match = re.fullmatch(r"(sm|compute)_(\d+)(\d)([a-z]?)", architecture)
        if match is None:  # gfx90a of ROCm
            return True
        built = (int(match[2]), int(match[3]))
        if match[4] == "a":
            runs = built == capability
        elif match[1] == "sm":
            runs = built[0] == capability[0] and built[1] <= capability[1]
        else:
            runs = built <= capability
        if runs:
            return True
    return False


def list_devices() -> list[str]:
    """Return the GPUs that this process may use, by their names in CUDA_VISIBLE_DEVICES."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    count = torch.cuda.device_count()
    return (named.split(",") if named else [str(number) for number in range(count)])[:count]


def count_threads() -> int:
    """Return the number of CPU threads that torch uses by default."""
    return torch.get_num_threads()


def set_threads(count: int) -> None:
    """Set the number of CPU threads that torch uses."""
    torch.set_num_threads(count)


def choose_precision(setting: str, device: torch.device, overflows: bool = False) -> torch.dtype | None:
    """Return the autocast type for a `precision` setting; None is float32 throughout.

    auto reads the capability, because torch calls bf16 supported on a T4, where it is emulated and slow. There a
    backbone that `overflows` in float16 gets float32.
    """
    if setting == "auto":
        if device.type == "cpu":
            return None
        if torch.cuda.get_device_capability() >= (8, 0):
            return torch.bfloat16
        return None if overflows else torch.float16
    return {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[setting]


def measure_slowdown(precision: str) -> float:
    """Return how many times as long as in fp32 a product of matrices takes in a `precision` on this CPU.

    Below 1 where the CPU has units for it, 10 to 60 where it has none.
    """
    seconds = []
    for dtype in (torch.float32, {"bf16": torch.bfloat16, "fp16": torch.float16}[precision]):
        matrix = torch.ones(256, 256, dtype=dtype)
        tries = []
        for _ in range(4):  # the first one prepares
            start = time.perf_counter()
            torch.mm(matrix, matrix)
            tries.append(time.perf_counter() - start)
        seconds.append(min(tries[1:]))
    return seconds[1] / seconds[0]


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
