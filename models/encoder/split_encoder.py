"""Encoders opened up: what enters each layer, and a copy whose layers start further up.

One way for all families of transformers. A family that is built otherwise is an error of any kind, or other numbers:
`models.encoder.frozen_layers` compares before it relies on it.
"""

import copy
from contextlib import suppress
from typing import Any

from torch import Tensor, nn


class _ReachedError(Exception):
    """The forward pass has come to the layer asked for."""


def layers_of(encoder: Any) -> Any:
    """The list of an encoder's layers. Raises KeyError where there is none with a module for each."""
    return encoder.get_submodule(_place(encoder))


def entering(encoder: Any, last: int, inputs: dict[str, Tensor]) -> list[Tensor]:
    """What enters layers 0 to `last`, (batch, tokens, width) each; layer `last` does not run, nor any later."""
    states: list[Tensor] = []

    def keep(layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        states.append(args[0] if args else kwargs["hidden_states"])
        if len(states) > last:
            raise _ReachedError

    hooks = [layer.register_forward_pre_hook(keep, with_kwargs=True) for layer in layers_of(encoder)[: last + 1]]
    try:
        with suppress(_ReachedError):
            encoder(**inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return states


def before_layers(encoder: Any, inputs: dict[str, Tensor]) -> list[nn.Module]:
    """The modules that make what enters the first layer: embeddings, and projections, norms and dropout after them."""
    found: list[nn.Module] = []

    def note(module: nn.Module, args: Any, output: Any) -> None:
        if _is_hidden(output) and output.shape[:2] == inputs["input_ids"].shape:
            found.append(module)

    names = _place(encoder).split(".")
    path = [encoder.get_submodule(".".join(names[:depth])) for depth in range(len(names))]
    hooks = [child.register_forward_hook(note) for module in path for child in module.children() if child not in path]
    try:
        entering(encoder, 0, inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return found


def from_layer(encoder: Any, first: int, before: list[nn.Module]) -> Any:
    """A copy of an encoder that begins at layer `first` and takes what enters it as `inputs_embeds`.

    The modules `before` are left out. Only those that hold the list of layers are copied, everything else is shared.
    """
    return _copied(encoder, _place(encoder).split("."), first, before)


def _copied(module: Any, path: list[str], first: int, before: list[nn.Module]) -> Any:
    shell = copy.copy(module)  # the same dicts of parameters and buffers: moved to a device, both are
    shell._modules = {name: _Pass() if child in before else child for name, child in module._modules.items()}
    types = getattr(getattr(module, "config", None), "layer_types", None)
    if types and len(set(types)) > 1:  # some families look up the type of each layer by its place
        shell.config = copy.copy(module.config)
        shell.config.layer_types = types[first:]
    name, *rest = path
    shell._modules[name] = (
        _copied(module._modules[name], rest, first, before) if rest else module._modules[name][first:]
    )
    return shell


class _Pass(nn.Module):
    """Gives back the hidden state that it is called with."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return next(value for value in (*args, *kwargs.values()) if _is_hidden(value))


def _is_hidden(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point() and value.ndim == 3


def _place(encoder: Any) -> str:
    """The name of the list of layers."""
    for name, module in encoder.named_modules():
        if isinstance(module, nn.ModuleList) and len(module) == encoder.config.num_hidden_layers:
            return str(name)
    raise KeyError("layers")
