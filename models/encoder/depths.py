"""The depth of each parameter of an encoder, which decides its learning rate: from its structure, not from names."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from models import ModelError
from models.encoder.split_encoder import run_to_layer

PROBE_ERRORS = (AttributeError, IndexError, KeyError, RuntimeError, StopIteration, TypeError, ValueError)


def compute_depths(encoder: Any, name: str) -> dict[str, int]:
    """Return how many layers stand above each parameter: 0 in the last layer, n in the embeddings below layer 0 of n.

    A layer is one place of the lists that hold a module for each layer: most families have one list, XLM one each for
    attention, norms and feed-forward parts. What runs before the first layer, and every embedding outside of the lists,
    is below layer 0; what runs after the last one has depth 0. Raises ModelError where no list is found: `name` is the
    backbone's in the message.
    """
    count = int(encoder.config.num_hidden_layers)
    lists = list(_find_layer_lists(encoder, "", count))
    if not lists:
        raise ModelError(
            f"training.layer_decay has no effect on backbone {name!r}, whose layers share their weights or are not "
            "found: leave it out"
        )
    below = _find_modules_below(encoder, [encoder.get_submodule(path) for path in lists])
    depths = {}
    for module_name, module in encoder.named_modules():
        for parameter_name, _ in module.named_parameters(recurse=False):
            depths[f"{module_name}.{parameter_name}".removeprefix(".")] = count if module in below else 0
    for path in lists:
        for place, layer in enumerate(encoder.get_submodule(path)):
            for parameter_name, _ in layer.named_parameters():
                depths[f"{path}.{place}.{parameter_name}"] = count - 1 - place
    return depths


def _find_layer_lists(module: nn.Module, path: str, count: int) -> Iterator[str]:
    """Yield the names of the outermost lists of `count` modules."""
    for name, child in module.named_children():
        child_path = f"{path}.{name}".removeprefix(".")
        if isinstance(child, nn.ModuleList) and len(child) == count and any(True for _ in child.parameters()):
            yield child_path
        else:
            yield from _find_layer_lists(child, child_path, count)


def _find_modules_below(encoder: Any, lists: list[nn.Module]) -> set[nn.Module]:
    """Return the modules outside of the lists that run before any layer, and all embeddings outside of them."""
    inside = {module for layers in lists for module in layers.modules()}
    outside = [module for module in encoder.modules() if module not in inside]
    below = {module for module in outside if "embedding" in type(module).__name__.lower()}
    for module in list(below):  # an embedding of a family: word, position and segment tables, and their norm
        below.update(module.modules())
    started: set[nn.Module] = set()
    ended: set[nn.Module] = set()

    def note_end(module: nn.Module, args: Any, output: Any) -> None:
        if not started:
            ended.add(module)

    def note_start(module: nn.Module, args: Any) -> None:
        started.add(module)

    hooks = [module.register_forward_hook(note_end) for module in outside]
    hooks += [layer.register_forward_pre_hook(note_start) for layers in lists for layer in layers.children()]
    device = next(encoder.parameters()).device
    training = encoder.training
    encoder.eval()  # no random numbers are drawn
    ids = torch.ones((1, 2), dtype=torch.long, device=device)
    try:
        with torch.no_grad():
            run_to_layer(encoder, 0, {"input_ids": ids, "attention_mask": torch.ones_like(ids)})
    except PROBE_ERRORS:  # a family that run_to_layer does not know: its embeddings are known by their class
        pass
    finally:
        encoder.train(training)
        for hook in hooks:
            hook.remove()
    return (below | ended) - inside
