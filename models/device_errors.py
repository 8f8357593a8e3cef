"""Errors of a device, told apart by their words: memory that ran out, and a GPU that this process cannot use any more.

Torch raises most of them as plain RuntimeErrors of several libraries. Imports no torch, because engines read these
errors too.
"""

# Sources of the messages: c10/cuda (allocator, driver and runtime API), cuBLAS, cuDNN; on the CPU torch and oneDNN.
OUT_OF_MEMORY_MESSAGES = (
    "CUDA out of memory",
    "CUDA error: out of memory",
    "CUDA driver error: out of memory",
    "cudaErrorMemoryAllocation",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
    "CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED",
    "HIP out of memory",
    "HIP error: out of memory",
    "can't allocate memory",
    "could not create a primitive",
    "unable to mmap",
)
# Errors after which every later call of the process fails as well (CUDA runtime API, "Error handling": those that
# "leave the process in an inconsistent state").
LOST_DEVICE_MESSAGES = (
    "device-side assert",
    "illegal memory access",
    "illegal instruction was encountered",
    "illegal address",
    "misaligned address",
    "invalid program counter",
    "hardware stack error",
    "unspecified launch failure",
    "launch timed out",
    "uncorrectable ECC",
    "uncorrectable NVLink",
    "unrecoverable error was encountered",
    "GPU has fallen off the bus",
    "CUDA error: unknown error",
    "CUDA error: device(s) is/are busy or unavailable",
)
LINKED_ERRORS = 10  # most errors to follow from an error to its causes


def is_out_of_memory(error: BaseException) -> bool:
    """Return True if an error says that the device, or the machine, has no memory left."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and _says(error, OUT_OF_MEMORY_MESSAGES)


def is_device_lost(error: BaseException) -> bool:
    """Return True if an error, or one of its causes, says that this process cannot use its GPU any more."""
    return _find_lost_device(error) is not None


def describe_lost_device(error: BaseException) -> str:
    """Return the reason of a lost device in a few words: the first line of the error that says it."""
    found = _find_lost_device(error) or error
    return f"its GPU stopped: {str(found).strip().splitlines()[0][:200]}"


def _find_lost_device(error: BaseException) -> BaseException | None:
    found: BaseException | None = error
    for _ in range(LINKED_ERRORS):
        if found is None or (isinstance(found, RuntimeError) and _says(found, LOST_DEVICE_MESSAGES)):
            return found
        found = found.__cause__ or found.__context__
    return None


def _says(error: BaseException, messages: tuple[str, ...]) -> bool:
    text = str(error).lower()
    return any(message.lower() in text for message in messages)
