"""Work and time of the steps of a fit, measured through its hook `on_step`: the product has no code for it.

The steady state is the first epoch without its first steps.
"""

import importlib
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

import models.training.loop
from benchmarks.products import Product, Recorder, synchronize
from models.store import EpochLog

aten = torch.ops.aten
UNCOUNTED = {  # what torch's own table of FLOPs leaves out
    aten._scaled_dot_product_flash_attention_for_cpu: lambda q, k, v, *_, **__: sdpa_flop_count(q, k, v),
    aten._scaled_dot_product_flash_attention_for_cpu_backward: lambda g, q, k, v, *_, **__: sdpa_backward_flop_count(
        g, q, k, v
    ),
}
SAMPLED = 20  # steps under the profiler
UNSEEN = [("models.training.speedups", "draw_kept")]  # not torch's: its profiler shows it only by name
# An operation belongs to the first group whose pattern its name holds.
GROUPS = {
    "matrix products": r"aten::(add|badd)?b?mm\b|gemm|mkldnn_linear|cutlass|nvjet",
    "attention, softmax": r"softmax|attention|attn|flash|fmha",
    "dropout": r"dropout|bernoulli|aten::(uniform|random|rand)|draw_kept",
    "optimizer": r"adam|Optimizer\.",
    "clipping": r"aten::(dot|norm|_foreach_|linalg_vector_norm)|clamp",
    "embeddings": r"embedding|index|gather|scatter",
    "compiled kernels": r"cpp_fused|triton|CompiledF",
    "copies": r"copy|clone|contiguous|aten::(cat|fill_|zero|zeros|empty|stack|pin_memory)|mem(cpy|set)",
    "elementwise, layer norm": r"gelu|layer_norm|tanh|where|mask|elementwise|reduce"
    r"|aten::(add|mul|div|sub|neg|sum|mean|ge|gt|lt|le|eq|ne|sqrt|rsqrt|pow|reciprocal|amax|amin|bitwise)",
}


class EnoughError(Exception):
    """Ends a fit of which enough is measured."""


def count_skipped(steps: int) -> int:
    """Return how many of the first steps of an epoch with `steps` steps are no steady state."""
    return min(5, steps // 3)


def count_tokens(batches: Sequence[np.ndarray], lengths: np.ndarray, accumulation: int) -> list[tuple[int, int]]:
    """Return the tokens of each optimizer step, without and with padding, from its batches of rows."""
    each = [(int(lengths[rows].sum()), int(lengths[rows].max()) * len(rows)) for rows in batches]
    steps = [each[start : start + accumulation] for start in range(0, len(each), accumulation)]
    return [(sum(real for real, _ in step), sum(padded for _, padded in step)) for step in steps]


@contextmanager
def watch_batches() -> Iterator[list[np.ndarray]]:
    """Yield the list of batches that fits make inside the block, in order."""
    seen: list[np.ndarray] = []
    make_training_batches = models.training.loop.make_training_batches

    def watched(*args: Any, **kwargs: Any) -> list[np.ndarray]:
        batches = make_training_batches(*args, **kwargs)
        seen.extend(batches)
        return batches

    with mock.patch.object(models.training.loop, "make_training_batches", watched):
        yield seen


class StepClock:
    """Seconds of each step, from a fit's `on_step` and `on_epoch`; the first includes the start of the fit."""

    def __init__(self, steps: int) -> None:
        self.steps, self.seconds = steps, list[float]()
        self.last = time.perf_counter()

    def on_step(self, step: object) -> None:
        """Note the time of a step; wait for a GPU where the steady state of an epoch begins and ends."""
        if (len(self.seconds) + 1) % self.steps in {0, count_skipped(self.steps)}:
            synchronize()
        now = time.perf_counter()
        self.seconds.append(now - self.last)
        self.last = now

    def on_epoch(self, log: EpochLog) -> None:
        """Leave out the time of predicting validation rows: the next epoch's first step begins now."""
        self.last = time.perf_counter()


class FlopCount:
    """FLOPs of the matrix products in the steady steps of the first epoch, and the products of the middle one of them.

    `padded()` gives the tokens of each step, padding included. Raises EnoughError when the epoch is done.
    """

    def __init__(self, steps: int, padded: Callable[[], Sequence[int]]) -> None:
        self.steps, self.padded, self.done = steps, padded, 0
        self.flops, self.products = 0, list[Product]()
        self._counting = ExitStack()

    def on_step(self, step: object) -> None:
        """Close the count of one step and open that of the next."""
        self._counting.close()
        self.done += 1
        if self.done == self.steps:
            raise EnoughError
        steady = range(count_skipped(self.steps), self.steps)
        if self.done in steady:
            counter = FlopCounterMode(display=False, custom_mapping=UNCOUNTED)
            self._counting.callback(lambda: self._add(counter.get_total_flops()))
            self._counting.enter_context(counter)
            if self.done == sorted(steady, key=self.padded().__getitem__)[len(steady) // 2]:
                self._counting.enter_context(Recorder(self.products))

    def _add(self, flops: int) -> None:
        self.flops += flops


class Profile:
    """Profiles steady steps of the first epoch; `groups` is then the share of the time that each group takes."""

    def __init__(self, steps: int) -> None:
        self.first, self.last, self.done = count_skipped(steps), min(steps, count_skipped(steps) + SAMPLED), 0
        self.cuda = torch.cuda.is_available()
        kinds = torch.profiler.ProfilerActivity
        self.profiler = torch.profiler.profile(
            activities=[kinds.CPU, *([kinds.CUDA] if self.cuda else [])], acc_events=True
        )
        self.groups: dict[str, float] = {}
        self.largest_others: dict[str, float] = {}

    def on_step(self, step: object) -> None:
        """Start at the first steady step; stop, sum up and raise EnoughError after the last."""
        self.done += 1
        if self.done == self.first:
            synchronize()
            self.profiler.start()
            self.started = time.perf_counter()
        elif self.done == self.last:
            synchronize()
            wall = time.perf_counter() - self.started
            self.profiler.stop()
            self._sum_up(wall * 1e6)
            raise EnoughError

    def _sum_up(self, wall: float) -> None:
        own = "self_device_time_total" if self.cuda else "self_cpu_time_total"
        events = [e for e in self.profiler.key_averages() if e.device_type == torch.autograd.DeviceType.CPU]
        times = {event.key: getattr(event, own) / wall for event in events}
        group_of = {name: next((g for g, p in GROUPS.items() if re.search(p, name)), "other") for name in times}
        self.groups = {group: sum(t for n, t in times.items() if group_of[n] == group) for group in [*GROUPS, "other"]}
        self.groups["between operations"] = max(0.0, 1 - sum(self.groups.values()))  # Python; a GPU that waits for it
        others = sorted((n for n in times if group_of[n] == "other"), key=lambda name: -times[name])
        self.largest_others = {name: round(times[name], 4) for name in others[:5]}


@contextmanager
def name_for_profiler() -> Iterator[None]:
    """Let the profiler show the product's work outside of torch."""
    with ExitStack() as names:
        for module, function in UNSEEN:
            place = importlib.import_module(module)
            marked = torch.profiler.record_function(f"{module}.{function}")(getattr(place, function))
            names.enter_context(mock.patch.object(place, function, marked))
        yield
