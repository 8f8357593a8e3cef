"""Split an encoder: the hidden states that enter each layer, and a copy whose layers start further up.

One way for all families of transformers. A family with another structure raises some error, or gives other numbers:
`models.encoder.frozen_layers` compares both parts with the whole before it uses them.
"""

import copy
from contextlib import suppress
from typing import Any

from torch import Tensor, nn


class _ReachedError(Exception):
    """The forward pass has reached the layer at which it stops."""


def find_layers(encoder: Any) -> Any:
    """Return the list of an encoder's layers. Raises KeyError where no list has one module per layer."""
    return encoder.get_submodule(_find_layer_list(encoder))


def run_to_layer(encoder: Any, last: int, inputs: dict[str, Tensor]) -> list[Tensor]:
    """Return the states that enter layers 0 to `last`, (batch, tokens, width) each; no layer from `last` on runs."""
    states: list[Tensor] = []

    def keep_input(layer: nn.Module, args: tuple[Tensor, ...], kwargs: dict[str, Tensor]) -> None:
        states.append(args[0] if args else kwargs["hidden_states"])
        if len(states) > last:
            raise _ReachedError

    layers = find_layers(encoder)[: last + 1]
    hooks = [layer.register_forward_pre_hook(keep_input, with_kwargs=True) for layer in layers]
    try:
        with suppress(_ReachedError):
            encoder(**inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return states


def find_embedding_modules(encoder: Any, inputs: dict[str, Tensor]) -> list[nn.Module]:
    """Return the modules before the first layer: embeddings, and the projections, norms and dropout after them."""
    modules: list[nn.Module] = []

    def note_module(module: nn.Module, args: Any, output: Any) -> None:
        if _is_hidden_state(output) and output.shape[:2] == inputs["input_ids"].shape:
            modules.append(module)

    names = _find_layer_list(encoder).split(".")
    path = [encoder.get_submodule(".".join(names[:depth])) for depth in range(len(names))]
    children = [child for module in path for child in module.children() if child not in path]
    hooks = [child.register_forward_hook(note_module) for child in children]
    try:
        run_to_layer(encoder, 0, inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return modules


def copy_from_layer(encoder: Any, first: int, before: list[nn.Module]) -> Any:
    """Return a copy of an encoder that begins at layer `first`; the states that enter it are its `inputs_embeds`.

    The modules `before` are left out. Only the modules that hold the list of layers are copied, all others are shared.
    """
    return _copy_module(encoder, _find_layer_list(encoder).split("."), first, before)


class _PassThrough(nn.Module):
    """Returns the hidden state among its arguments."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return next(value for value in (*args, *kwargs.values()) if _is_hidden_state(value))


def _copy_module(module: Any, path: list[str], first: int, before: list[nn.Module]) -> Any:
    shell = copy.copy(module)  # the same dicts of parameters and buffers: if one moves to a device, both do
    shell._modules = {name: _PassThrough() if child in before else child for name, child in module._modules.items()}
    types = getattr(getattr(module, "config", None), "layer_types", None)
    if types and len(set(types)) > 1:  # some families look up the type of each layer by its index
        shell.config = copy.copy(module.config)
        shell.config.layer_types = types[first:]
    name, *rest = path
    child = module._modules[name]
    shell._modules[name] = _copy_module(child, rest, first, before) if rest else child[first:]
    return shell


def _find_layer_list(encoder: Any) -> str:
    """Return the name of the list of layers."""
    for name, module in encoder.named_modules():
        if isinstance(module, nn.ModuleList) and len(module) == encoder.config.num_hidden_layers:
            return str(name)
    raise KeyError("layers")


def _is_hidden_state(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point() and value.ndim == 3
