"""A tiny random BERT on disk, opened like any backbone, and one fit on it with everything but the point set."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import BertProcessing
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from models.encoder.backbone import Backbone, open_backbone
from models.network import NetworkDesign
from models.settings import TrainingSettings
from models.spec import NeuralVariantSpec, TrainingSpec, build_variant
from models.tokens import Tokens, encode_texts
from models.training.fit import FitData, NetworkFit, fit
from models.training.hooks import FitHooks

ENGLISH = "the a one cat dog bird tree river stone red blue green runs sleeps sings and of in"
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
COLUMNS = {
    "binary": ["y"],
    "multiclass": ["a", "b", "c"],
    "multilabel": ["p", "q"],
    "regression": ["u", "v"],
    "ordinal": ["1", "2", "3", "4"],
}
ROWS = 24

Run = Callable[..., NetworkFit]
MakeDesign = Callable[..., NetworkDesign]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Backbone:
    """A BERT of two layers, width 32, no dropout of its own."""
    folder = tmp_path_factory.mktemp("tiny")
    vocabulary = {word: place for place, word in enumerate([*SPECIAL, *ENGLISH.split(), *"中文字", "##s", "##ing"])}
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = BertNormalizer(), BertPreTokenizer()
    tokenizer.post_processor = BertProcessing(("[SEP]", vocabulary["[SEP]"]), ("[CLS]", vocabulary["[CLS]"]))
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), SPECIAL, strict=True))
    inputs = ["input_ids", "token_type_ids", "attention_mask"]
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_input_names=inputs, **names).save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=48,
        max_position_embeddings=40,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        initializer_range=0.2,
    )
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        BertModel(config).save_pretrained(folder)
    return open_backbone(str(folder))


@pytest.fixture
def tokens_of(tiny: Backbone) -> Callable[..., Tokens]:
    """tokens_of(rows, seed=0) -> that many texts of 1 to 12 words, encoded whole."""

    def drawn(rows: int, seed: int = 0) -> Tokens:
        rng = np.random.default_rng(seed)
        texts = [(" ".join(rng.choice(ENGLISH.split(), rng.integers(1, 13))),) for _ in range(rows)]
        return encode_texts(tiny.tokenizer, texts, max_length=40, keep="head")

    return drawn


@pytest.fixture
def truth_of() -> Callable[[str], np.ndarray]:
    """truth_of(task) -> a truth of the shape of its task, with every class in it."""
    row = np.arange(ROWS)
    values = np.random.default_rng(0).normal(size=(ROWS, 2)) * [1, 50] + [3, 1000]
    labels = np.stack([row % 2, row // 2 % 2], 1)
    known: dict[str, np.ndarray] = {"binary": row % 2, "multiclass": row % 3, "ordinal": row % 4}
    known |= {"multilabel": labels, "regression": values}
    return lambda task: known[task].copy()


@pytest.fixture(scope="session")
def make_design() -> MakeDesign:
    """make_design(backbone, task, columns, training keys) -> NetworkDesign. `unchecked` settings pass no spec."""

    def build(
        backbone: Any, task: str = "binary", columns: int = 1, unchecked: dict[str, Any] | None = None, **keys: Any
    ) -> NetworkDesign:
        if "poolings" not in keys:
            keys = {"pooling": "mean"} | keys
        variant = build_variant("v", NeuralVariantSpec(**keys), TrainingSpec())
        assert isinstance(variant.settings, TrainingSettings)
        return NetworkDesign(backbone, variant.poolings, replace(variant.settings, **unchecked or {}), task, columns)

    return build


@pytest.fixture
def run(
    tiny: Backbone, tokens_of: Callable[..., Tokens], truth_of: Callable[[str], np.ndarray], make_design: MakeDesign
) -> Run:
    """run(task, training keys, fields of FitData and FitHooks, arguments of fit) -> NetworkFit.

    16 training rows, 8 validation rows, 5 test rows.
    """

    def run_fit(task: str = "binary", **given: Any) -> NetworkFit:
        def pop(names: Iterable[str], defaults: dict[str, Any]) -> dict[str, Any]:
            return defaults | {name: given.pop(name) for name in list(names) if name in given}

        defaults: dict[str, Any] = {"epochs": 1, "batch_size": 8, "learning_rate": 1e-3, "dropout": 0.0}
        keys = pop([*NeuralVariantSpec.model_fields, "unchecked"], defaults)
        values = {
            "tokens": tokens_of(ROWS),
            "test": tokens_of(5, seed=9),
            "truth": truth_of(task),
            "row_weights": np.ones(ROWS),
            "train_rows": np.arange(16),
            "valid_rows": np.arange(16, ROWS),
            "score": lambda truth, predictions: None,
            "columns": COLUMNS[task],
            "classes": {"binary": ["no", "yes"], "multiclass": COLUMNS[task], "ordinal": COLUMNS[task]}.get(task, []),
        }
        data = FitData(**pop([field.name for field in fields(FitData)], values))
        hooks = FitHooks(**pop([field.name for field in fields(FitHooks)], {}))
        design = make_design(tiny, task, len(data.columns), **keys)
        return fit(design, data, **{"seed": 1, "hooks": hooks} | given)

    return run_fit
