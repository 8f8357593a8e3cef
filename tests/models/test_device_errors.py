"""Errors of a device are told apart by the words that torch, CUDA and its libraries say them in."""

import pytest
import torch

from models.device_errors import describe_lost_device, is_device_lost, is_out_of_memory

MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 14.74 GiB"),
    MemoryError(),
    RuntimeError(
        "CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported at some other API call"
    ),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("CUDA driver error: out of memory"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:121] err == 0. DefaultCPUAllocator: can't allocate memory"),
]
LOST = [
    RuntimeError("CUDA error: device-side assert triggered\nCompile with `TORCH_USE_CUDA_DSA`"),
    RuntimeError("CUDA error: an illegal memory access was encountered"),
    RuntimeError("CUDA error: misaligned address"),
    RuntimeError("CUDA error: uncorrectable ECC error encountered"),
    RuntimeError("CUDA error: unspecified launch failure"),
]
OTHERS = [
    RuntimeError("The size of tensor a (3) must match the size of tensor b (4)"),
    ValueError("CUDA out of memory, says a user's text"),
    RuntimeError("CUDA error: no kernel image is available for execution on the device"),
    RuntimeError("CUDA error: invalid argument"),
]


@pytest.mark.parametrize("error", MEMORY, ids=str)
def test_memory_that_ran_out_is_known_by_its_words(error: Exception) -> None:
    assert is_out_of_memory(error)
    assert not is_device_lost(error)


def test_torchs_own_error_class_for_the_device_is_read_too() -> None:
    error = getattr(torch, "AcceleratorError", RuntimeError)
    assert is_out_of_memory(error("CUDA error: out of memory"))
    assert is_device_lost(error("CUDA error: device-side assert triggered"))


@pytest.mark.parametrize("error", LOST, ids=str)
def test_a_lost_device_is_known_by_its_words(error: Exception) -> None:
    assert is_device_lost(error)
    assert not is_out_of_memory(error)
    assert "\n" not in describe_lost_device(error)


def test_a_lost_device_is_found_among_the_causes() -> None:
    later = RuntimeError("CUDA error: invalid argument")
    later.__cause__ = LOST[0]
    assert is_device_lost(later)


@pytest.mark.parametrize("error", OTHERS, ids=str)
def test_other_errors_are_neither(error: Exception) -> None:
    assert not is_out_of_memory(error)
    assert not is_device_lost(error)
