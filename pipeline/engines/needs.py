"""What a fit takes of a node, and how often a node holds that."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.display import counted
from pipeline.errors import PipelineError

CPUS = 4.0  # of a fit where no GPU is: more threads make one fit faster, fewer make more of them at a time


@dataclass(frozen=True)
class Needs:
    """CPUs and GPUs, parts of one too, and bytes of memory, 0 for as it comes. Also what a node has.

    None stands for what nobody asked for.
    """

    cpus: float | None = None
    gpus: float | None = None
    memory: int | None = None

    def __str__(self) -> str:
        memory = f" and {self.memory / 2**30:,.1f} GiB of memory" if self.memory else ""
        return f"{counted(self.cpus or 0, 'CPU')}, {counted(self.gpus or 0, 'GPU')}{memory}"

    def check(self) -> None:
        """Raise PipelineError for amounts that no node can be asked for."""
        for name, amount in (("cpus", self.cpus), ("gpus", self.gpus)):
            if amount and round(amount, 4) != amount:
                raise PipelineError(f"--{name} {amount:g} is too fine: give four digits after the point at most")
        if self.gpus and self.gpus > 1 and self.gpus % 1:
            raise PipelineError(f"--gpus {self.gpus:g} must be a part of one, or whole GPUs")
        if self.cpus == 0 and not self.gpus:
            raise PipelineError("--cpus 0 asks for nothing: give a fit a CPU, or a GPU")

    def times_in(self, node: "Needs") -> int:
        """How many such fits a node carries at a time."""
        pairs = (self.cpus, node.cpus), (self.gpus, node.gpus), (self.memory, node.memory)
        return math.floor(min(((has or 0) / need + 1e-9 for need, has in pairs if need), default=0))


def default_needs(asked: Needs, nodes: Mapping[str, Needs]) -> Needs:
    """What was asked for, and for the rest: one GPU where the cluster has any, with its share of the node's CPUs."""
    with_gpus = [node for node in nodes.values() if node.gpus]
    gpus = asked.gpus if asked.gpus is not None else float(bool(with_gpus))
    cpus = asked.cpus
    if cpus is None and gpus and with_gpus:
        cpus = max(1.0, min((node.cpus or 1) // ((node.gpus or 1) / gpus) for node in with_gpus))
    elif cpus is None:
        cpus = max(1.0, min([CPUS, *(node.cpus for node in nodes.values() if node.cpus)]))
    return Needs(cpus, gpus, asked.memory or 0)
