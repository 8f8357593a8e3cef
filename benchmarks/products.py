"""Matrix products of a training step, recorded as they happen, and how fast the machine does them alone.

The peak to compare a step with is not a data sheet's: the same products are replayed with nothing between them, in the
same shapes, strides, types and order, over buffers as distinct as the tensors of the step were. Those inside a fused
attention kernel are not among them.
"""

import math
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten
FACTORS = {aten.mm: (0, 1), aten.bmm: (0, 1), aten.addmm: (1, 2), aten.baddbmm: (1, 2)}  # their places as arguments
SIZES = {"cpu": (1024, 2048, 4096), "cuda": (4096, 8192)}  # of the square products
REPEATS = 7

# What is kept of a tensor: address and bytes of its storage, shape, strides, offset, type.
Shape = tuple[int, int, tuple[int, ...], tuple[int, ...], int, torch.dtype]
Product = tuple[Shape, Shape, Shape]  # two factors and their result


class Recorder(TorchDispatchMode):
    """Appends every matrix product done meanwhile to a list."""

    def __init__(self, products: list[Product]) -> None:
        super().__init__()
        self.products = products

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func._overloadpacket in FACTORS:
            left, right = (args[place] for place in FACTORS[func._overloadpacket])
            self.products.append((_describe(left), _describe(right), _describe(result)))
        return result


def _describe(tensor: Tensor) -> Shape:
    storage = tensor.untyped_storage()
    return storage.data_ptr(), storage.nbytes(), tensor.shape, tensor.stride(), tensor.storage_offset(), tensor.dtype


def measure_replayed_rate(products: list[Product], device: torch.device) -> float:
    """Return the FLOPs per second of recorded products alone, best of several runs."""
    factors: dict[int, Tensor] = {}
    results: dict[int, Tensor] = {}  # separate, so that no number is a product of many and overflows

    def view(shape: Shape, buffers: dict[int, Tensor]) -> Tensor:
        address, size, sizes, strides, offset, dtype = shape
        if address not in buffers or buffers[address].nbytes < size or buffers[address].dtype != dtype:
            buffers[address] = torch.randn(-(-size // dtype.itemsize), device=device).mul_(0.1).to(dtype)
        return buffers[address].as_strided(sizes, strides, offset)

    for left, right, result in products:  # first all buffers, at their largest
        view(left, factors), view(right, factors), view(result, results)
    calls = [(view(left, factors), view(right, factors), view(out, results)) for left, right, out in products]
    work = sum(2 * math.prod(left.shape) * right.shape[-1] for left, right, _ in calls)

    def once() -> None:
        for left, right, out in calls:
            (torch.mm if left.ndim == 2 else torch.bmm)(left, right, out=out)

    return work / _time_fastest(once, device)


def measure_square_rate(dtype: torch.dtype, device: torch.device) -> float:
    """Return the FLOPs per second of the best square matrix product of several sizes."""
    rates = []
    for size in SIZES[device.type]:
        square = torch.randn(size, size, device=device).to(dtype)
        out = torch.empty_like(square)
        rates.append(
            2 * size**3 / _time_fastest(lambda square=square, out=out: torch.mm(square, square, out=out), device)
        )
    return max(rates)


def _time_fastest(work: Callable[[], Any], device: torch.device) -> float:
    """Return the least seconds of several runs; on a GPU as a graph, so that nothing waits for Python."""
    with torch.inference_mode():
        work()
        if device.type == "cuda":
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                work()
            work = graph.replay
            work()
        seconds = []
        for _ in range(REPEATS):
            synchronize()
            started = time.perf_counter()
            work()
            synchronize()
            seconds.append(time.perf_counter() - started)
    return min(seconds)


def synchronize() -> None:
    """Wait for the GPU, where there is one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
