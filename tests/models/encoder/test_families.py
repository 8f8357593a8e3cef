"""Families of encoders: each that works trains a step, predicts alike alone and beside others, is saved and loaded.

The table of docs/backbones.md is made from what is seen here: `python -m pytest` says where the two differ.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from safetensors.numpy import save_file

from models import ModelError
from models.encoder.backbone import Backbone, open_backbone
from models.encoder.pretrained import load_encoder
from models.network import Network, NetworkDesign, check_design
from models.predict import predict
from models.saved import convert_weights, load_network, read_backbone, write_backbone
from models.settings import TrainingSettings
from models.spec import NeuralVariantSpec, TrainingSpec, build_variant
from models.tokens import encode_texts
from models.training.fit import FitData, fit

TinyBackbone = Callable[[str], str]
PAGE = Path(__file__).resolve().parents[3] / "docs" / "backbones.md"
# By family: a backbone of it on the hub, and the reason, as far as it is refused.
EXAMPLES: dict[str, tuple[str, str]] = {
    "albert": ("albert/albert-base-v2", ""),
    "bart": ("facebook/bart-base", ""),
    "bert": ("google-bert/bert-base-uncased", ""),
    "big_bird": ("google/bigbird-roberta-base", ""),
    "bloom": ("bigscience/bloom-560m", ""),
    "camembert": ("almanach/camembert-base", ""),
    "convbert": ("YituTech/conv-bert-base", "read padding"),
    "data2vec-text": ("facebook/data2vec-text-base", ""),
    "deberta": ("microsoft/deberta-base", ""),
    "deberta-v2": ("microsoft/deberta-v3-base", ""),
    "distilbert": ("distilbert/distilbert-base-uncased", ""),
    "electra": ("google/electra-base-discriminator", ""),
    "ernie": ("nghuyong/ernie-3.0-base-zh", ""),
    "eurobert": ("EuroBERT/EuroBERT-210m", ""),
    "flaubert": ("flaubert/flaubert_base_cased", ""),
    "fnet": ("google/fnet-base", "read padding"),
    "gemma": ("google/gemma-2b", ""),
    "gemma2": ("google/gemma-2-2b", ""),
    "gemma3": ("google/gemma-3-4b-pt", ""),
    "gemma3_text": ("google/gemma-3-1b-pt", ""),
    "gpt2": ("openai-community/gpt2", ""),
    "gpt_neox": ("EleutherAI/pythia-410m", ""),
    "ibert": ("kssteven/ibert-roberta-base", ""),
    "llama": ("meta-llama/Llama-3.2-1B", ""),
    "longformer": ("allenai/longformer-base-4096", ""),
    "luke": ("studio-ousia/luke-base", ""),
    "mbart": ("facebook/mbart-large-50", ""),
    "mistral": ("mistralai/Mistral-7B-v0.3", ""),
    "mobilebert": ("google/mobilebert-uncased", "read padding"),
    "modernbert": ("answerdotai/ModernBERT-base", ""),
    "mpnet": ("microsoft/mpnet-base", ""),
    "mt5": ("google/mt5-base", ""),
    "nystromformer": ("uw-madison/nystromformer-512", "cannot encode texts of 5 and 12 tokens"),
    "opt": ("facebook/opt-350m", ""),
    "phi": ("microsoft/phi-1_5", ""),
    "phi3": ("microsoft/Phi-3-mini-4k-instruct", ""),
    "qwen2": ("Qwen/Qwen2.5-0.5B", ""),
    "qwen3": ("Qwen/Qwen3-0.6B-Base", ""),
    "rembert": ("google/rembert", ""),
    "roberta": ("FacebookAI/roberta-base", ""),
    "roformer": ("junnyu/roformer_chinese_base", ""),
    "squeezebert": ("squeezebert/squeezebert-uncased", ""),
    "t5": ("google-t5/t5-base", ""),
    "xlm": ("FacebookAI/xlm-mlm-en-2048", ""),
    "xlm-roberta": ("FacebookAI/xlm-roberta-base", ""),
    "xlnet": ("xlnet/xlnet-base-cased", ""),
}
TEXTS = [
    "the cat sat on the mat .",
    "dog",
    "who was the poor actor in this very fine film ? i ran to it",
    "a b c",
]
COLUMNS = ["a", "b", "c"]


DECODERS = ("bloom", "gemma", "gpt", "llama", "mistral", "opt", "phi", "qwen")


def design_of(backbone: Backbone) -> NetworkDesign:
    pooling = "last" if backbone.config.model_type.startswith(DECODERS) else ["cls", "mean"]
    given = NeuralVariantSpec(
        pooling=pooling, batch_size=4, epochs=1, learning_rate=1e-2, precision="fp32", max_length=32
    )
    variant = build_variant("v", given, TrainingSpec())
    assert isinstance(variant.settings, TrainingSettings)
    return NetworkDesign(backbone, variant.poolings, variant.settings, "multiclass", 3)


def try_family(folder: str, tmp_path: Path) -> None:
    """Train one step, predict, save and load; raises ModelError for a backbone that is refused."""
    backbone = open_backbone(folder)
    design = design_of(backbone)
    check_design(design)
    tokens = encode_texts(backbone.tokenizer, [(text,) for text in TEXTS], max_length=32, keep="head")
    rows = np.arange(len(TEXTS))
    data = FitData(
        tokens=tokens,
        truth=rows % 3,
        row_weights=np.ones(len(TEXTS)),
        train_rows=rows,
        valid_rows=rows[:0],
        test=tokens,
        columns=COLUMNS,
        classes=COLUMNS,
        score=lambda truth, predictions: None,
    )
    result = fit(design, data, seed=1)
    before = load_encoder(backbone).state_dict()
    assert any(not torch.equal(result.weights[f"encoder.{name}"], tensor) for name, tensor in before.items())
    write_backbone(tmp_path / "backbone", backbone)
    save_file(convert_weights(result.weights, "fp32"), tmp_path / "weights")
    loaded = load_network(tmp_path / "weights", design_of(read_backbone(tmp_path / "backbone", folder)))
    beside = predict(loaded, tokens, rows)[""]
    alone = np.concatenate([predict(loaded, tokens, rows[row : row + 1])[""] for row in rows])
    np.testing.assert_array_equal(beside, result.test[""])
    np.testing.assert_allclose(alone, beside, atol=1e-6)


@pytest.fixture
def multimodal(tiny_backbone: TinyBackbone, tmp_path: Path) -> str:
    """Gemma 3 with its part that reads images: the sizes of the texts are not at the top of its configuration."""
    text = transformers.AutoConfig.from_pretrained(tiny_backbone("gemma3_text"))
    vision = {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": 28,
    }
    config = transformers.Gemma3Config(text_config=text.to_dict(), vision_config={**vision, "patch_size": 14})
    torch.manual_seed(0)
    transformers.AutoModel.from_config(config).save_pretrained(tmp_path / "gemma3")
    transformers.AutoTokenizer.from_pretrained(tiny_backbone("gemma3_text")).save_pretrained(tmp_path / "gemma3")
    assert "hidden_size" not in json.loads((tmp_path / "gemma3" / "config.json").read_text(encoding="utf-8"))
    return str(tmp_path / "gemma3")


@pytest.mark.parametrize("family", EXAMPLES)
def test_a_family_works_or_is_refused(
    family: str, tiny_backbone: TinyBackbone, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if family not in transformers.CONFIG_MAPPING:
        pytest.skip(f"transformers {transformers.__version__} does not know {family}")
    folder = request.getfixturevalue("multimodal") if family == "gemma3" else tiny_backbone(family)
    reason = EXAMPLES[family][1]
    if not reason:
        try_family(folder, tmp_path)
        return
    with pytest.raises(ModelError, match=reason) as caught:
        try_family(folder, tmp_path)
    assert "\n" not in str(caught.value)


def test_the_page_has_the_table_of_what_was_seen() -> None:
    rows = [
        f"| {family} | `{example}` | {'refused' if why else 'works'} |" for family, (example, why) in EXAMPLES.items()
    ]
    page = PAGE.read_text(encoding="utf-8").splitlines()
    assert [line for line in page if line.endswith(("| works |", "| refused |"))] == rows


def test_the_first_token_of_a_longformer_attends_to_all(tiny_backbone: TinyBackbone) -> None:
    backbone = open_backbone(tiny_backbone("longformer"))
    network = load_network_of(backbone)
    seen: list[dict[str, Any]] = []
    network.encoder.register_forward_pre_hook(lambda module, args, kwargs: seen.append(kwargs), with_kwargs=True)
    ids = torch.full((2, 20), 7)
    network({"input_ids": ids})
    assert seen[0]["global_attention_mask"].tolist() == [[1] + [0] * 19] * 2


def test_cls_reads_the_last_token_where_the_tokenizer_puts_it_there(
    tiny_backbone: TinyBackbone, tmp_path: Path
) -> None:
    backbone = open_backbone(tiny_backbone("xlnet"))
    assert not backbone.cls_is_last, "the tiny one has a tokenizer of BERT's kind"
    folder = Path(shutil.copytree(backbone.folder, tmp_path / "xlnet"))
    path = folder / "tokenizer.json"
    tokenizer = json.loads(path.read_text(encoding="utf-8"))
    single = tokenizer["post_processor"]["single"]
    tokenizer["post_processor"]["single"] = [*single[1:], single[0]]  # text [SEP] [CLS], as the published one gives
    path.write_text(json.dumps(tokenizer), encoding="utf-8")
    behind = open_backbone(str(folder))
    assert behind.cls_is_last
    network = load_network_of(behind)
    assert [type(pool).__name__ for pool in network.poolings["pool_"].pools] == ["LastPool", "MeanPool"]


def load_network_of(backbone: Backbone) -> Any:
    return Network(load_encoder(backbone), design_of(backbone), torch.ones(len(backbone.tokenizer))).eval()
