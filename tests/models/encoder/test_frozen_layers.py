"""An encoder in two parts gives what it gives whole, learns in the upper part alone, and is refused where it cannot."""

import copy
import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from models import ModelError
from models.encoder.backbone import Backbone, open_backbone
from models.encoder.frozen_layers import FrozenLayers, check_freeze, freeze_lower_layers
from models.encoder.pretrained import create_empty_encoder, load_encoder
from models.encoder.split_encoder import find_layers

TinyBackbone = Callable[[str], str]

# What the upper layers use as well, so that it is frozen with the lower ones.
SHARED = {
    "bert": set(),
    "roberta": set(),
    "xlm-roberta": set(),
    "deberta-v2": {"encoder.rel_embeddings.weight", "encoder.LayerNorm.weight", "encoder.LayerNorm.bias"},
    "electra": set(),
    "distilbert": set(),
    "mpnet": {"encoder.relative_attention_bias.weight"},
    "modernbert": set(),
    "qwen2": set(),
    "bloom": set(),
}
# One set of weights for all layers; a first layer that makes the relative positions for all.
REFUSED = ["albert", "t5"]
EMBEDDINGS = ("embeddings", "embed_tokens.", "word_embeddings")

supported = pytest.mark.parametrize("family", SHARED)


def inputs_of(backbone: Backbone) -> dict[str, Tensor]:
    """Three texts, of 9, 14 and 1 tokens."""
    generator = torch.Generator().manual_seed(5)
    ids = torch.randint(4, len(backbone.tokenizer), (3, 14), generator=generator)
    mask = (torch.arange(14) < torch.tensor([[9], [14], [1]])).long()
    inputs = {"input_ids": ids * mask + int(backbone.tokenizer.pad_token_id) * (1 - mask), "attention_mask": mask}
    if "token_type_ids" in backbone.tokenizer.model_input_names:
        inputs["token_type_ids"] = mask * (torch.arange(14) > 4)
    return inputs


def cached(frozen: FrozenLayers, inputs: dict[str, Tensor], all_layers: bool) -> Tensor:
    """The lower states as a cache gives them: constants, zero in padded places."""
    return frozen.run_lower(inputs, all_layers) * inputs["attention_mask"][None, :, :, None]


def hidden_of(encoder: Any, inputs: dict[str, Tensor]) -> list[Tensor]:
    encoded = encoder(**inputs, output_hidden_states=True)
    return [*encoded.hidden_states[:-1], encoded.last_hidden_state]


def loss_of(hidden: list[Tensor], mask: Tensor) -> Tensor:
    """A number that every value at a token has a different part in."""
    weights = torch.randn(hidden[-1].shape, generator=torch.Generator().manual_seed(3))
    return torch.stack([(states * weights)[mask > 0].sum() * (i + 1) for i, states in enumerate(hidden)]).sum()


@supported
def test_two_parts_give_the_values_and_gradients_of_the_whole(tiny_backbone: TinyBackbone, family: str) -> None:
    backbone = open_backbone(tiny_backbone(family))
    inputs = inputs_of(backbone)
    mask, whole, frozen = (
        inputs["attention_mask"],
        load_encoder(backbone),
        freeze_lower_layers(load_encoder(backbone), 1, backbone),
    )
    expected, given = hidden_of(whole, inputs), frozen.run_upper(cached(frozen, inputs, True), mask, True)
    assert len(given) == len(expected) == backbone.layers
    for part, full in zip(given, expected, strict=True):
        torch.testing.assert_close(part[mask > 0], full[mask > 0], rtol=1e-5, atol=1e-6)
    last = frozen.run_upper(cached(frozen, inputs, False), mask, False)
    assert len(last) == 1
    assert torch.equal(last[0][mask > 0], given[-1][mask > 0])

    loss_of(expected, mask).backward()
    loss_of(given, mask).backward()
    gradients = {name: p.grad for name, p in whole.named_parameters()}
    learned = {name: p.grad for name, p in frozen.encoder.named_parameters() if p.requires_grad}
    assert learned
    for name, gradient in learned.items():
        torch.testing.assert_close(gradient, gradients[name], rtol=1e-4, atol=1e-4, msg=name)


@supported
def test_what_the_lower_states_depend_on_is_frozen_and_nothing_else(tiny_backbone: TinyBackbone, family: str) -> None:
    backbone = open_backbone(tiny_backbone(family))
    frozen = freeze_lower_layers(load_encoder(backbone), 1, backbone)
    first = {id(p) for p in find_layers(frozen.encoder)[0].parameters()}
    for name, parameter in frozen.encoder.named_parameters():
        lower = id(parameter) in first or name.startswith(EMBEDDINGS) or name in SHARED[family]
        assert parameter.requires_grad is not lower, name


@supported
def test_steps_move_the_upper_part_alone_and_the_encoder_stays_whole(tiny_backbone: TinyBackbone, family: str) -> None:
    backbone = open_backbone(tiny_backbone(family))
    encoder, inputs = load_encoder(backbone), inputs_of(backbone)
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    frozen = freeze_lower_layers(encoder, 1, backbone)
    states, mask = cached(frozen, inputs, True), inputs["attention_mask"]
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=0.01, weight_decay=0.1)  # which skips what has no gradient
    encoder.train()
    for _ in range(3):
        loss_of(frozen.run_upper(states, mask, True), mask).backward()
        optimizer.step()
        optimizer.zero_grad()
    learns = {name for name, parameter in encoder.named_parameters() if parameter.requires_grad}
    after = encoder.state_dict()
    assert set(after) == set(before)
    assert {name for name, tensor in after.items() if not torch.equal(tensor, before[name])} == learns
    assert torch.equal(cached(frozen, inputs, True), states)

    fresh = create_empty_encoder(backbone).eval()  # what the saved weights give without any cut
    fresh.load_state_dict(after)
    torch.testing.assert_close(
        fresh(**inputs).last_hidden_state[mask > 0],
        (encoder.eval() and frozen.run_upper(states, mask, False)[0])[mask > 0],
        rtol=1e-5,
        atol=1e-6,
    )


@pytest.mark.parametrize("family", REFUSED)
def test_an_encoder_that_cannot_be_parted_is_refused(tiny_backbone: TinyBackbone, family: str) -> None:
    backbone = open_backbone(tiny_backbone(family))
    with pytest.raises(ModelError, match=r"^training.freeze_layers is not supported by backbone '.*': leave it out$"):
        freeze_lower_layers(load_encoder(backbone), 1, backbone)


@pytest.mark.parametrize(
    ("family", "changes"),
    [
        ("bert", {}),
        ("deberta-v2", {}),
        ("modernbert", {"layer_types": ["full_attention", "sliding_attention"] * 2}),
        ("qwen2", {"layer_types": ["full_attention", "sliding_attention"] * 2, "sliding_window": 3}),
    ],
)
@pytest.mark.parametrize("layers", [0, 1, 3])
def test_any_number_of_layers_but_all_can_be_frozen(
    tiny_backbone: TinyBackbone, family: str, changes: dict[str, Any], layers: int
) -> None:
    tiny = open_backbone(tiny_backbone(family))
    config = copy.deepcopy(tiny.config)
    config.update({"num_hidden_layers": 4, **changes})
    backbone = dataclasses.replace(tiny, config=config)
    torch.manual_seed(0)
    encoder, inputs = create_empty_encoder(backbone).eval(), inputs_of(backbone)
    for parameter in encoder.parameters():
        nn.init.normal_(parameter, std=0.2)
    mask, expected = inputs["attention_mask"], hidden_of(encoder, inputs)
    frozen = freeze_lower_layers(encoder, layers, backbone)
    given = frozen.run_upper(cached(frozen, inputs, True), mask, True)
    for part, full in zip(given, expected, strict=True):
        torch.testing.assert_close(part[mask > 0], full[mask > 0], rtol=1e-4, atol=1e-5)


def test_frozen_layers_have_no_dropout_and_upper_ones_follow_the_network(tiny_backbone: TinyBackbone) -> None:
    backbone = open_backbone(tiny_backbone("bert"))
    inputs = inputs_of(backbone)
    encoder = load_encoder(backbone)
    frozen = freeze_lower_layers(encoder, 1, backbone)
    states, mask = frozen.run_lower(inputs, True), inputs["attention_mask"]
    quiet = frozen.run_upper(states, mask, False)[0]
    nn.ModuleDict({"encoder": encoder}).train()
    assert torch.equal(frozen.run_lower(inputs, True), states)
    assert encoder.training
    assert all(module.training for module in encoder.modules())
    noisy = [frozen.run_upper(states, mask, False)[0] for _ in range(2)]
    assert not torch.equal(*noisy)
    assert all(module.training for module in frozen.above.modules())
    encoder.eval()
    assert torch.equal(frozen.run_upper(states, mask, False)[0], quiet)
    assert not any(module.training for module in frozen.above.modules())


@pytest.mark.parametrize("first", ["checkpointing", "cut"])
@pytest.mark.parametrize("family", ["bert", "deberta-v2"])
def test_upper_layers_can_be_checkpointed(tiny_backbone: TinyBackbone, family: str, first: str) -> None:
    backbone = open_backbone(tiny_backbone(family))
    inputs = inputs_of(backbone)
    plain, encoder = load_encoder(backbone), load_encoder(backbone)
    turn_on = getattr(encoder, "activation_checkpointing_enable", None) or encoder.gradient_checkpointing_enable
    if first == "checkpointing":
        turn_on({"use_reentrant": False})
    parts_of_both = [freeze_lower_layers(plain, 1, backbone), freeze_lower_layers(encoder, 1, backbone)]
    if first == "cut":
        turn_on({"use_reentrant": False})
    for frozen in parts_of_both:
        for module in frozen.encoder.train().modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
        states, mask = cached(frozen, inputs, False), inputs["attention_mask"]
        assert not states.requires_grad
        for _ in range(2):
            loss_of(frozen.run_upper(states, mask, False), mask).backward()
    for (name, one), (_, other) in zip(plain.named_parameters(), encoder.named_parameters(), strict=True):
        assert one.requires_grad is other.requires_grad
        if one.requires_grad:
            torch.testing.assert_close(one.grad, other.grad, rtol=1e-5, atol=1e-6, msg=name)


def test_neither_part_runs_the_other(tiny_backbone: TinyBackbone) -> None:
    backbone = open_backbone(tiny_backbone("electra"))
    inputs, encoder = inputs_of(backbone), load_encoder(backbone)
    frozen = freeze_lower_layers(encoder, 1, backbone)
    ran: list[str] = []
    parts: dict[str, Any] = {"embeddings": encoder.embeddings, "project": encoder.embeddings_project}
    for name, module in (parts | {str(i): layer for i, layer in enumerate(find_layers(encoder))}).items():
        module.register_forward_hook(lambda *_, name=name: ran.append(name))
    states = frozen.run_lower(inputs, False)
    assert ran == ["embeddings", "project", "0"]
    frozen.run_upper(states, inputs["attention_mask"], False)
    assert ran == ["embeddings", "project", "0", "1"]


def test_the_parts_stay_one_encoder_when_it_is_moved(tiny_backbone: TinyBackbone) -> None:
    backbone = open_backbone(tiny_backbone("deberta-v2"))
    inputs, encoder = inputs_of(backbone), load_encoder(backbone)
    frozen = freeze_lower_layers(encoder, 1, backbone)
    encoder.double()  # as .to("cuda") would
    mask, expected = inputs["attention_mask"], encoder(**inputs).last_hidden_state
    given = frozen.run_upper(cached(frozen, inputs, False), mask, False)[0]
    assert given.dtype == torch.float64
    torch.testing.assert_close(given[mask > 0], expected[mask > 0])


def test_all_hidden_states_can_still_be_asked_of_the_whole_encoder(tiny_backbone: TinyBackbone) -> None:
    """Both parts share their layers, and the hooks with which transformers collects what these give."""
    backbone = open_backbone(tiny_backbone("bert"))
    inputs, encoder = inputs_of(backbone), load_encoder(backbone)
    frozen = freeze_lower_layers(encoder, 1, backbone)
    frozen.run_upper(frozen.run_lower(inputs, True), inputs["attention_mask"], True)
    assert len(encoder(**inputs, output_hidden_states=True).hidden_states) == backbone.layers


def test_freezing_all_layers_or_random_embeddings_is_refused(tiny_backbone: TinyBackbone) -> None:
    backbone = open_backbone(tiny_backbone("bert"))
    check_freeze(backbone, 1)
    with pytest.raises(ModelError, match=r"^training.freeze_layers is 2, but '.*' has 2 layers: 1 at most$"):
        check_freeze(backbone, 2)
    with pytest.raises(ModelError, match=r"freeze_layers would leave .* extra_tokens random: leave one of them out$"):
        check_freeze(open_backbone(str(backbone.folder), ("[TITLE]",)), 1)
