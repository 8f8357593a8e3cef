"""Dropout with random numbers that are cheap on a CPU.

Torch draws a Mersenne Twister number for each element, one core at work: a tenth of a training step of a small
encoder. Here one 64-bit number of SFC64 decides four elements. The maths is that of `nn.Dropout`, with p in steps of
1/65536; a GPU draws in parallel and keeps torch's. Not for gradient checkpointing, which can only repeat torch's draws.
"""

import numpy as np
import torch
from torch import Tensor, nn

STEPS = 1 << 16  # values of the 16 bits that decide one element


class Dropout(nn.Module):
    """`nn.Dropout` for the CPU. `source` is shared by all of a network, and drawn from in the order of the pass."""

    def __init__(self, p: float, source: np.random.Generator) -> None:
        super().__init__()
        self.p, self.source = p, source

    def forward(self, states: Tensor) -> Tensor:
        """Any shape in, the same out: zero with probability p and scaled by 1 / (1 - p) otherwise, in training."""
        if not (self.training and self.p):
            return states
        dropped = min(round(self.p * STEPS), STEPS - 1)
        keep, scale = kept(states.shape, dropped, self.source, states.dtype), STEPS / (STEPS - dropped)
        if states.dtype == torch.float32:
            return states * keep.mul_(scale)  # a pass less in either direction
        return states * keep * scale  # in bfloat16 the scale itself would be off

    def extra_repr(self) -> str:
        """The p, as `nn.Dropout` shows it."""
        return f"p={self.p}"


def kept(shape: torch.Size, dropped: int, source: np.random.Generator, dtype: torch.dtype) -> Tensor:
    """A tensor of ones, with zeros at `dropped` in 65536 places on average."""
    count = shape.numel()
    draws = source.integers(0, 2**64, -(-count // 4), dtype=np.uint64).view(np.int16)[:count]
    keep = torch.empty(shape, dtype=dtype)
    # Compared straight into numbers: torch is several times slower with booleans.
    return torch.ge(torch.from_numpy(draws).view(shape), dropped - STEPS // 2, out=keep)


def cheapen_dropout(network: nn.Module) -> np.random.Generator:
    """Put `Dropout` in the place of every `nn.Dropout` of a network; returns their source, seeded by torch's."""
    seed = int(torch.randint(2**62, ()))
    source = np.random.Generator(np.random.SFC64(seed))
    for module in list(network.modules()):
        for name, child in module.named_children():
            if type(child) is nn.Dropout:
                setattr(module, name, Dropout(child.p, source))
    return source
