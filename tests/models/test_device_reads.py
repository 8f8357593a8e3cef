"""What a step asks of the device, and where its tensors are: seen on a CPU, without a GPU.

A dispatch mode counts the operations that hand a value to Python: on a GPU each of them waits for all work before it.
The "meta" device has no values at all, so that a read of one, or a tensor left on the CPU, is an error.
"""

import contextlib
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from models.encoder.attention_masks import choose_mask_form, place_mask
from models.encoder.backbone import open_backbone
from models.encoder.pretrained import load_encoder
from models.losses import LOSSES
from models.network import Network, NetworkDesign
from models.pooling.layer_mixes import LAYER_MIXES
from models.pooling.token_pools import TOKEN_POOLS

TinyBackbone = Callable[[str], str]
MakeDesign = Callable[..., NetworkDesign]
READS = ("_local_scalar_dense", "nonzero", "aten.equal", "masked_select")
# Reads in a forward pass with padding and without: what transformers itself asks is left to it.
EXPECTED = {
    **dict.fromkeys(("bert", "roberta", "xlm-roberta", "electra", "distilbert", "bart", "camembert", "t5"), (0, 0)),
    **dict.fromkeys(("deberta-v2", "eurobert", "bloom", "opt"), (0, 0)),
    **dict.fromkeys(("qwen2", "qwen3", "llama", "mistral", "gpt_neox"), (1, 1)),  # asks whether rows hold several texts
    "modernbert": (2, 0),  # two masks, of all layers and of the local ones
    "mpnet": (1, 0),
}
TASKS = {"binary": 1, "multiclass": 3, "multilabel": 2, "regression": 2, "ordinal": 4}


class CountReads(TorchDispatchMode):
    """Counts operations that read a value from the device."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[str] = Counter()

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if any(name in str(operation) for name in READS):
            self.seen[str(operation)] += 1
        return operation(*args, **(kwargs or {}))


def make_network(folder: str, make_design: MakeDesign, task: str = "multiclass", **keys: Any) -> Network:
    backbone = open_backbone(folder)
    design = make_design(backbone, task, TASKS[task], **keys)
    torch.manual_seed(0)
    return Network(load_encoder(backbone), design, torch.ones(len(backbone.tokenizer)))


def make_inputs(padded: bool) -> dict[str, torch.Tensor]:
    ids = torch.arange(5, 29).view(2, 12)
    mask = torch.ones_like(ids)
    mask[0, 7:] = 0
    return {"input_ids": ids, **({"attention_mask": mask} if padded else {})}


def test_the_count_sees_a_read() -> None:
    with CountReads() as reads:
        if torch.ones(3).all():
            torch.ones(3).sum().item()
    assert sum(reads.seen.values()) == 2


@pytest.mark.parametrize("family", EXPECTED)
def test_a_forward_and_backward_pass_read_no_more_than_is_known(
    family: str, tiny_backbone: TinyBackbone, make_design: MakeDesign
) -> None:
    network = make_network(tiny_backbone(family), make_design, poolings={"a": "attention", "g": ["gem", "max"]})
    network.train()
    counts = []
    for padded in (True, False):
        inputs = make_inputs(padded)
        with CountReads() as reads:
            outputs = network(inputs)
            losses = [
                LOSSES["multiclass"].compute(sample, torch.tensor([0, 1]), 0.1, torch.ones(3)).mean()
                for samples in outputs.values()
                for sample in samples
            ]
            torch.stack(losses).sum().backward()
        counts.append(sum(reads.seen.values()))
    assert all(found <= known for found, known in zip(counts, EXPECTED[family], strict=True)), counts


@pytest.mark.parametrize("family", [*EXPECTED, "mt5", "mbart", "data2vec-text", "ernie", "gemma3_text", "gpt2"])
def test_another_form_of_the_mask_changes_no_state_of_a_token(family: str, tiny_backbone: TinyBackbone) -> None:
    encoder: Any = load_encoder(open_backbone(tiny_backbone(family))).eval()
    inputs = make_inputs(padded=True)
    with torch.inference_mode():
        plain = encoder(**inputs).last_hidden_state
        placed = encoder(**place_mask(inputs, choose_mask_form(encoder))).last_hidden_state
    real = inputs["attention_mask"].bool()
    torch.testing.assert_close(plain[real], placed[real])


POOLS = {kind: {"tokens": kind} for kind in TOKEN_POOLS}
MIXES = {
    f"{kind} layers": {"layers": {"kind": kind, **{"concat": {"count": 2}}.get(kind, {})}, "tokens": "mean"}
    for kind in LAYER_MIXES
}


@pytest.fixture
def meta(monkeypatch: pytest.MonkeyPatch) -> None:
    """The meta device knows no autocast, which is off where this is used."""
    monkeypatch.setattr(torch, "autocast", lambda *given, **options: contextlib.nullcontext())


@pytest.mark.usefixtures("meta")
def test_a_read_and_a_tensor_on_another_device_are_errors_on_meta() -> None:
    with pytest.raises(RuntimeError, match="meta"):
        torch.ones(2, device="meta").sum().item()
    with pytest.raises(RuntimeError, match="device"):
        torch.ones(2, device="meta") + torch.ones(2)


def run_on_meta(network: Network, task: str, padded: bool) -> None:
    """A forward pass, its losses and a backward pass without a value."""
    network.to("meta").train()
    inputs = {name: tensor.to("meta") for name, tensor in make_inputs(padded).items()}
    with torch.device("meta"):
        targets = {"multiclass": torch.zeros(2, dtype=torch.long), "ordinal": torch.zeros(2, dtype=torch.long)}.get(
            task, torch.zeros(2, TASKS[task])
        )
        if task == "regression":
            targets = ((targets - network.location) / network.scale).float()
        positive = torch.ones(TASKS[task])
    losses: list[torch.Tensor] = []
    for samples in network(inputs).values():
        losses += [LOSSES[task].compute(sample, targets, 0.0, positive).mean() for sample in samples]
        assert losses[-1].device.type == "meta"
        assert network.predict(samples[0]).device.type == "meta"
    torch.stack(losses).sum().backward()


@pytest.mark.usefixtures("meta")
@pytest.mark.parametrize("task", TASKS)
def test_every_pool_and_mix_stays_on_its_device_and_asks_it_nothing(
    task: str, tiny_backbone: TinyBackbone, make_design: MakeDesign
) -> None:
    names = {name.replace(" ", "_"): pooling for name, pooling in {**POOLS, **MIXES}.items()}
    network = make_network(tiny_backbone("bert"), make_design, task, poolings=names)
    run_on_meta(network, task, padded=True)
    run_on_meta(network, task, padded=False)


@pytest.mark.usefixtures("meta")
@pytest.mark.parametrize("family", [name for name, reads in EXPECTED.items() if reads == (0, 0)])
def test_a_family_stays_on_its_device(family: str, tiny_backbone: TinyBackbone, make_design: MakeDesign) -> None:
    network = make_network(tiny_backbone(family), make_design, poolings={"a": "attention", "l": "weighted_layer"})
    run_on_meta(network, "multiclass", padded=True)
    run_on_meta(network, "multiclass", padded=False)
