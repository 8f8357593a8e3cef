"""Every family of backbones trains in every pooling, predicts alike in any company, and comes back from its files."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from models import ModelError
from models.batches import collate
from models.device import choose_precision
from models.encoder.backbone import Backbone, open_backbone
from models.encoder.pretrained import create_empty_encoder, find_longest_text, is_causal, load_encoder
from models.encoder.split_encoder import find_layers
from models.losses import LOSSES
from models.network import Network, NetworkDesign, check_design
from models.pooling.layer_mixes import LAYER_MIXES
from models.pooling.token_pools import TOKEN_POOLS
from models.predict import predict
from models.saved import convert_weights, load_network, read_backbone, write_backbone
from models.settings import PoolingSettings, TrainingSettings
from models.spec import NeuralVariantSpec, TrainingSpec, build_variant
from models.tokens import Tokens, encode_texts
from models.training.fit import FitData, NetworkFit, fit
from models.training.optimizer import build_optimizer

TinyBackbone = Callable[[str], str]

ROOT = Path(__file__).resolve().parents[3]
BIDIRECTIONAL = [
    *("bert", "roberta", "xlm-roberta", "deberta-v2", "electra", "distilbert", "albert", "mpnet", "modernbert"),
    "t5",  # an encoder and a decoder, of which the encoder is used
]
CAUSAL = ["qwen2", "bloom"]  # bloom's attention does not say that it is causal
FAMILIES = BIDIRECTIONAL + CAUSAL
SEGMENTED = {"bert", "electra", "albert"}

TEXTS = [
    "the cat sat on the mat .",
    "dog",
    "who was the poor actor in this very fine film ? i ran to the big city and the river , not one cat in that story",
    "中国人民的大学",
    "a b c xyz",
    "no plot , no end",
]
TRAINING = TrainingSpec(batch_size=3, epochs=1, learning_rate=1e-2, precision="fp32", warmup=0.0)
LAST = {"kind": "last"}
Poolings = dict[str, dict[str, Any]]


def pooling(tokens: str, layers: dict[str, Any] = LAST) -> dict[str, Any]:
    return {"layers": layers, "tokens": [{"kind": tokens}]}


def every_pool(family: str) -> Poolings:
    return {kind: pooling(kind) for kind in TOKEN_POOLS if not (kind == "cls" and family in CAUSAL)}


EVERY_MIX = {
    kind: pooling("mean", {"kind": kind, **{"concat": {"count": 2}, "lstm": {"state": 16}}.get(kind, {})})
    for kind in LAYER_MIXES
}


def encoded(backbone: Backbone, texts: list[str], **settings: Any) -> Tokens:
    settings = {"max_length": 64, "keep": "head", **settings}
    return encode_texts(backbone.tokenizer, [(text,) for text in texts], **settings)


def design_of(backbone: Backbone, poolings: Poolings, **changes: Any) -> NetworkDesign:
    settings = build_variant("v", NeuralVariantSpec(pooling="mean", **changes), TRAINING).settings
    assert isinstance(settings, TrainingSettings)
    parts = {name: PoolingSettings.from_json(pooling) for name, pooling in poolings.items()}
    return NetworkDesign(backbone, parts, settings, "multiclass", 3)


def network_of(backbone: Backbone, poolings: Poolings) -> Network:
    torch.manual_seed(1)
    encoder = load_encoder(backbone)
    return Network(encoder, design_of(backbone, poolings), torch.linspace(1, 2, len(backbone.tokenizer)))


def fitted(backbone: Backbone, poolings: Poolings, texts: list[str] = TEXTS) -> NetworkFit:
    tokens = encoded(backbone, texts)
    data = FitData(
        tokens=tokens,
        truth=np.arange(len(texts)) % 3,
        row_weights=np.ones(len(texts)),
        train_rows=np.arange(len(texts) - 1),
        valid_rows=np.array([len(texts) - 1]),
        test=tokens,
        columns=["a", "b", "c"],
        classes=["a", "b", "c"],
        score=lambda truth, predictions: None,
    )
    return fit(design_of(backbone, poolings), data, seed=7)


def batch(backbone: Backbone, texts: list[str]) -> dict[str, torch.Tensor]:
    return collate(encoded(backbone, texts), np.arange(len(texts)), torch.device("cpu"), backbone.pad_id)


def backward(network: Network, backbone: Backbone, texts: list[str]) -> None:
    inputs, targets = batch(backbone, texts), torch.arange(len(texts)) % 3
    losses = [LOSSES["multiclass"].compute(o[0], targets, 0.0, torch.ones(3)).mean() for o in network(inputs).values()]
    torch.stack(losses).sum().backward()


@pytest.fixture
def backbone(tiny_backbone: TinyBackbone, request: pytest.FixtureRequest) -> Backbone:
    return open_backbone(tiny_backbone(request.param))


each_family = pytest.mark.parametrize(
    ("family", "backbone"), [(f, f) for f in FAMILIES], indirect=["backbone"], ids=FAMILIES
)


def test_every_pool_and_every_mix_is_covered() -> None:
    assert set(every_pool("bert")) == set(TOKEN_POOLS)
    assert set(EVERY_MIX) == set(LAYER_MIXES)


@each_family
def test_every_pool_and_mix_trains_and_moves_the_encoder(family: str, backbone: Backbone) -> None:
    poolings = every_pool(family) | {f"mix_{kind}": mix for kind, mix in EVERY_MIX.items()}
    check_design(design_of(backbone, poolings, max_length=64))
    before = load_encoder(backbone).state_dict()
    result = fitted(backbone, poolings)
    assert np.isfinite(result.epochs[0].loss)
    for name in poolings:
        assert result.test[name].shape == (len(TEXTS), 3)
        np.testing.assert_allclose(result.test[name].sum(1), 1)
    moved = {name for name, old in before.items() if not torch.equal(old, result.weights[f"encoder.{name}"])}
    assert moved == set(before)


@pytest.mark.parametrize("family", CAUSAL)
def test_cls_is_refused_on_a_causal_decoder(tiny_backbone: TinyBackbone, family: str) -> None:
    backbone = open_backbone(tiny_backbone(family))
    with pytest.raises(ModelError, match=r"pooling cls .* causal decoder .*: use last, mean or attention$"):
        check_design(design_of(backbone, {"": pooling("cls")}))
    check_design(design_of(backbone, {"": pooling("last")}))


@each_family
def test_every_parameter_of_the_encoder_is_used(family: str, backbone: Backbone) -> None:
    network = network_of(backbone, {"": pooling("mean")})
    assert not any("pooler" in name or "decoder" in name for name, _ in network.encoder.named_parameters())
    backward(network.train(), backbone, TEXTS)
    unused = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert not unused


@each_family
def test_company_in_a_batch_does_not_change_a_prediction(family: str, backbone: Backbone) -> None:
    network = network_of(backbone, every_pool(family) | {f"mix_{kind}": mix for kind, mix in EVERY_MIX.items()})
    tokens = encoded(backbone, TEXTS)
    together = predict(network, tokens, np.arange(len(TEXTS)))
    for row in range(len(TEXTS)):
        alone = predict(network, tokens, np.array([row]))
        for name in network.names:
            np.testing.assert_allclose(alone[name][0], together[name][row], atol=1e-5, err_msg=name)
    assert all(np.ptp(values, axis=0).min() > 1e-4 for values in together.values()), "the rows should differ"


@each_family
def test_layers_counts_the_hidden_states_and_the_last_is_the_output(family: str, backbone: Backbone) -> None:
    inputs = batch(backbone, TEXTS)
    network = network_of(backbone, {"": pooling("mean")}).eval()
    through_all = network_of(backbone, {"": pooling("mean", {"kind": "concat", "count": 1})}).eval()
    assert through_all.all_layers
    assert not network.all_layers
    assert torch.equal(network(inputs)[""], through_all(inputs)[""])
    assert len(network.encoder(**inputs, output_hidden_states=True).hidden_states) == backbone.layers == 3
    assert network.encoder(**inputs).last_hidden_state.shape[-1] == backbone.config.hidden_size == 32


@each_family
def test_is_causal_tells_whether_the_first_token_sees_the_last(family: str, backbone: Backbone) -> None:
    encoder = load_encoder(backbone).eval()
    ids = torch.tensor([[5, 6, 7, 8, 9, 10], [5, 6, 7, 8, 9, 40]])
    with torch.inference_mode():
        first = encoder(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state[:, 0]
    sees = bool((first[0] - first[1]).abs().max() > 1e-4)
    assert is_causal(backbone) is (not sees) is (family in CAUSAL)


@each_family
def test_segments_reach_only_a_backbone_that_has_them(family: str, backbone: Backbone) -> None:
    tokens = encode_texts(backbone.tokenizer, [("a cat", "a dog")], max_length=64, keep="head")
    assert (tokens.types is not None) is (family in SEGMENTED)
    inputs = collate(tokens, np.array([0]), torch.device("cpu"), backbone.pad_id)
    assert load_encoder(backbone)(**inputs).last_hidden_state.isfinite().all()
    if tokens.types is not None:
        assert set(tokens.types) == {0, 1}


@each_family
def test_layer_decay_finds_every_layer(family: str, backbone: Backbone) -> None:
    network = network_of(backbone, {"": pooling("mean")})

    def build() -> torch.optim.AdamW:
        return build_optimizer(network, learning_rate=1.0, head_learning_rate=None, layer_decay=0.5, weight_decay=0.0)

    if family == "albert":  # one layer, used twice
        with pytest.raises(ModelError, match=r"training\.layer_decay has no effect on backbone .* leave it out"):
            build()
        return
    rates = {id(p): group["peak"] for group in build().param_groups for p in group["params"]}
    embeddings = network.encoder.get_input_embeddings().weight
    assert rates[id(embeddings)] == 0.25
    layers = find_layers(network.encoder)
    for number, rate in ((0, 0.5), (1, 1.0)):
        assert {rates[id(parameter)] for parameter in layers[number].parameters()} == {rate}
    inside = {id(parameter) for parameter in layers.parameters()}
    assert {rates[id(p)] for p in network.encoder.parameters() if id(p) not in inside} <= {0.25, 1.0}


@each_family
def test_extra_tokens_get_an_id_and_an_embedding_each(family: str, backbone: Backbone) -> None:
    extended = open_backbone(str(backbone.folder), ("[TITLE]", "[BODY]"))
    ids = [encoded(extended, [text]).get_row(0).tolist() for text in ("[TITLE] dog [BODY] cat", "dog cat")]
    added = [extended.tokenizer.convert_tokens_to_ids(token) for token in ("[TITLE]", "[BODY]")]
    assert added == [len(backbone.tokenizer), len(backbone.tokenizer) + 1]
    assert [ids[0].count(token) for token in added] == [1, 1]
    assert not set(ids[1]) & set(added)
    for encoder in (load_encoder(extended), create_empty_encoder(extended)):
        assert encoder.get_input_embeddings().num_embeddings == len(extended.tokenizer)
    assert extended.config.vocab_size == backbone.config.vocab_size == len(backbone.tokenizer)
    network = network_of(extended, {"": pooling("mean")})
    backward(network, extended, ["[TITLE] dog", "[BODY] cat", "a dog"])
    learned = network.encoder.get_input_embeddings().weight.grad.abs().amax(1)
    assert (learned[added] > 1e-6).all()


@each_family
@pytest.mark.parametrize("extra", [(), ("[TITLE]",)], ids=["plain", "extra"])
def test_a_saved_fit_predicts_the_same_without_the_original(
    family: str, backbone: Backbone, extra: tuple[str, ...], tmp_path: Path
) -> None:
    original = tmp_path / "original"
    shutil.copytree(backbone.folder, original)
    opened = open_backbone(str(original), extra)
    poolings = every_pool(family)
    result = fitted(opened, poolings, [*TEXTS, "[TITLE] the movie"])
    save_file(convert_weights(result.weights, "fp32"), tmp_path / "weights.safetensors")
    write_backbone(tmp_path / "backbone", opened)
    shutil.rmtree(original)

    saved = read_backbone(tmp_path / "backbone", "renamed")
    assert not list((tmp_path / "backbone").glob("*.safetensors"))
    network = load_network(tmp_path / "weights.safetensors", design_of(saved, poolings))
    tokens = encoded(saved, [*TEXTS, "[TITLE] the movie"])
    again = predict(network, tokens, np.arange(len(tokens)))
    for name in poolings:
        np.testing.assert_array_equal(again[name], result.test[name], err_msg=name)


@each_family
@pytest.mark.parametrize("keep", ["head", "tail", "both"])
def test_a_cut_text_keeps_its_ends_and_its_special_tokens(family: str, backbone: Backbone, keep: str) -> None:
    tokenizer = backbone.tokenizer
    long, short = "i ran to the big city and the red river , not one cat in that old story . bad end !", "one dog"
    body, pair = (tokenizer(text, add_special_tokens=False).input_ids for text in (long, short))

    def cut(ids: list[int], room: int) -> list[int]:
        head = {"head": room, "tail": 0, "both": (room + 1) // 2}[keep]
        return ids[:head] + ids[len(ids) - (room - head) :]

    first, last = [tokenizer.cls_token_id] * (family not in CAUSAL), [tokenizer.sep_token_id] * (family not in CAUSAL)
    middle = last * (2 if tokenizer.cls_token == "<s>" else 1)
    room = 12 - len(first + last)
    single = encode_texts(tokenizer, [(long,)], max_length=12, keep=keep)
    assert single.get_row(0).tolist() == first + cut(body, room) + last
    room = 16 - len(first + middle + last)
    pairs = [(long, short), (short, long), (long, long)]
    both = encode_texts(tokenizer, pairs, max_length=16, keep=keep)
    rest = cut(body, room - len(pair))
    assert both.get_row(0).tolist() == first + rest + middle + pair + last
    assert both.get_row(1).tolist() == first + pair + middle + rest + last
    halves = {len(cut(body, room // 2)), len(cut(body, room - room // 2))}
    assert {both.get_row(2).tolist().index(i) for i in last} <= {len(first) + half for half in halves}
    assert len(both.get_row(2)) == 16
    if both.types is not None:
        assert both.types[both.offsets[1] :][: len(both.get_row(1))].sum() == len(rest + last)


def test_a_tokenizer_that_cuts_or_pads_of_itself_is_not_let(tmp_path: Path) -> None:
    """The packaged MiniLM's tokenizer.json asks for 128 tokens, cut and padded."""
    backbone = open_backbone("minilm")
    assert '"max_length":128' in re.sub(r"\s", "", (backbone.folder / "tokenizer.json").read_text(encoding="utf-8"))
    tokens = encoded(backbone, ["word " * 400, "word"], max_length=512)
    assert tokens.lengths.tolist() == [402, 3]
    write_backbone(tmp_path / "saved", backbone)
    assert encoded(read_backbone(tmp_path / "saved", "minilm"), ["word " * 400], max_length=512).lengths.tolist() == [
        402
    ]


@pytest.mark.parametrize(
    ("family", "longest"), [("bert", 160), ("roberta", 158), ("mpnet", 158), ("deberta-v2", None), ("modernbert", None)]
)
def test_a_text_longer_than_the_table_of_positions_is_refused(
    tiny_backbone: TinyBackbone, family: str, longest: int | None
) -> None:
    backbone = open_backbone(tiny_backbone(family))
    assert find_longest_text(backbone) == longest
    ids = torch.full((1, longest or 200), 9)
    encoder = load_encoder(backbone)
    assert encoder(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state.isfinite().all()
    check_design(design_of(backbone, {"": pooling("mean")}, max_length=longest or 200))
    if longest is not None:
        more = torch.full((1, longest + 1), 9)
        with pytest.raises((IndexError, RuntimeError)):
            encoder(input_ids=more, attention_mask=torch.ones_like(more))
        with pytest.raises(ModelError, match=f"max_length is {longest + 1}, but .* reads {longest} tokens at most"):
            check_design(design_of(backbone, {"": pooling("mean")}, max_length=longest + 1))


def test_sizes_under_other_names_are_found(tiny_backbone: TinyBackbone) -> None:
    config = (Path(tiny_backbone("distilbert")) / "config.json").read_text(encoding="utf-8")
    assert '"dim": 32' in config
    assert "hidden_size" not in config
    assert open_backbone(tiny_backbone("distilbert")).config.hidden_size == 32


def test_different_bytes_have_another_hash(tiny_backbone: TinyBackbone, tmp_path: Path) -> None:
    original = open_backbone(tiny_backbone("bert"))
    copied = shutil.copytree(original.folder, tmp_path / "same")
    assert open_backbone(str(copied)).sha256 == original.sha256
    for file in ("model.safetensors", "tokenizer.json", "config.json"):
        changed = shutil.copytree(original.folder, tmp_path / file)
        data = (changed / file).read_bytes()
        (changed / file).write_bytes(data[:-1] + b"\x01" if file == "model.safetensors" else data + b"\n")
        assert open_backbone(str(changed)).sha256 != original.sha256


def test_loading_is_quiet(tiny_backbone: TinyBackbone) -> None:
    """In a process of its own: loggers keep the stream that they found when they were made."""
    code = (
        "import sys\n"
        "from models.encoder.backbone import open_backbone\n"
        "from models.encoder.pretrained import create_empty_encoder, is_causal, load_encoder\n"
        "for name in sys.argv[1:]:\n"
        "    for extra in ((), ('[NEW]',)):\n"
        "        backbone = open_backbone(name, extra)\n"
        "        load_encoder(backbone), create_empty_encoder(backbone), is_causal(backbone)\n"
    )
    names = ["minilm", *(tiny_backbone(family) for family in FAMILIES)]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *names],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("family", ["t5", "gemma2"])
def test_a_family_that_overflows_float16_is_kept_out_of_it(family: str, tiny_backbone: TinyBackbone) -> None:
    backbone = open_backbone(tiny_backbone(family))
    assert backbone.overflows_float16
    assert not open_backbone(tiny_backbone("bert")).overflows_float16
    with pytest.raises(ModelError, match=r"precision is fp16, in which backbone .* overflows: use auto"):
        check_design(design_of(backbone, {"": pooling("mean")}, precision="fp16"))
    check_design(design_of(backbone, {"": pooling("mean")}, precision="bf16"))


def test_auto_takes_what_the_gpu_has_and_a_backbone_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = torch.device("cuda")
    for capability, overflows, expected in (
        ((7, 5), False, torch.float16),
        ((7, 5), True, None),
        ((8, 0), False, torch.bfloat16),
        ((8, 9), True, torch.bfloat16),
    ):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda capability=capability: capability)
        assert choose_precision("auto", cuda, overflows) is expected
