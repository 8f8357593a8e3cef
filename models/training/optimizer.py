"""AdamW with one learning rate per layer and a schedule per step."""

import math
from collections.abc import Mapping

import torch
from torch import nn

from models import ModelError
from models.device_errors import is_out_of_memory
from models.encoder.depths import compute_depths
from models.network import Network


def build_optimizer(
    network: Network,
    *,
    learning_rate: float,
    head_learning_rate: float | None,
    layer_decay: float,
    weight_decay: float,
) -> torch.optim.AdamW:
    """Return AdamW (Loshchilov and Hutter 2019) without decay on biases, norms and single numbers.

    Layer i of n learns at learning_rate * layer_decay ** (n - 1 - i), the embeddings one step below layer 0
    (Howard and Ruder 2018); poolings and heads at `head_learning_rate`, or `learning_rate` where it is None. Raises
    ModelError for a layer decay of an encoder whose layers are not found.
    """
    norms = {
        id(p) for m in network.modules() if "norm" in type(m).__name__.lower() for p in m.parameters(recurse=False)
    }
    depths: Mapping[str, int] = {}
    if layer_decay != 1:
        depths = compute_depths(network.encoder, network.design.backbone.name)
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if not parameter.requires_grad:
            continue
        if name.startswith("encoder."):
            rate = learning_rate * layer_decay ** depths.get(name.removeprefix("encoder."), 0)
        else:
            rate = learning_rate if head_learning_rate is None else head_learning_rate
        is_bias = name.endswith("bias")  # of two dimensions in XLNet: one for each head and feature
        decay = 0.0 if parameter.ndim < 2 or is_bias or id(parameter) in norms else weight_decay
        groups.setdefault((rate, decay), []).append(parameter)
    return torch.optim.AdamW(
        [{"params": p, "lr": rate, "peak": rate, "weight_decay": decay} for (rate, decay), p in groups.items()],
        fused=True,
    )


def allocate_moments(optimizer: torch.optim.AdamW) -> None:
    """Allocate AdamW's moments as its first step would, where a shortage of memory leaves nothing half done.

    Raises ModelError if memory runs out.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    try:
        for parameter in parameters:
            optimizer.state[parameter] = {
                "step": torch.zeros((), dtype=torch.float32, device=parameter.device),
                "exp_avg": torch.zeros_like(parameter),
                "exp_avg_sq": torch.zeros_like(parameter),
            }
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        count = sum(parameter.numel() for parameter in parameters)
        raise ModelError(
            f"memory ran out for the optimizer: AdamW keeps two numbers for each of {count} parameters, "
            f"{8 * count / 2**30:.1f} GiB; set freeze_layers or take a smaller backbone"
        ) from error


def compute_rate_factor(step: int, steps: int, warmup: float, schedule: str) -> float:
    """Return the share of the peak learning rate at `step` of `steps`, from 0: it rises in the warm-up, then falls."""
    rising = max(1, round(steps * warmup)) if warmup else 0
    if step < rising:
        return (step + 1) / (rising + 1)
    done = (step - rising) / max(1, steps - rising)
    return {"constant": 1.0, "linear": 1 - done, "cosine": 0.5 * (1 + math.cos(math.pi * done))}[schedule]


def set_rates(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Set every group's learning rate to `factor` of its peak."""
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * factor


def clip_gradients(optimizer: torch.optim.Optimizer, largest: float) -> None:
    """Scale the gradients so that their norm over all parameters is `largest` at most."""
    nn.utils.clip_grad_norm_([p for group in optimizer.param_groups for p in group["params"]], largest)


def clip_while_stepping(optimizer: torch.optim.Optimizer, largest: float) -> None:
    """Do what `clip_gradients` does, on the CPU: the fused step divides as it reads, which saves a pass."""
    gradients = [p.grad.flatten() for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
    norm = torch.stack([g.dot(g) for g in gradients]).sum().sqrt()  # on a CPU several times as fast as torch's norms
    optimizer.grad_scale = (norm / largest).clamp(min=1.0)  # type: ignore[attr-defined]  # as GradScaler sets it
    optimizer.found_inf = torch.zeros(())  # type: ignore[attr-defined]
