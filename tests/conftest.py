"""Tiny random backbones, saved as folders: an encoder of each family and two decoders.

They know nothing, but everything about them is real: configuration, safetensors weights, and a tokenizer of the
family's kind with its special tokens.
"""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoConfig, AutoModel, PreTrainedTokenizerFast
from transformers.utils import logging

TinyBackbone = Callable[[str], str]

WORDS = (
    "the a an of to and in is was it i you this that not no but good bad fine great poor movie film book story "
    "plot actor end very so too one two three cat dog sat ran on mat how who what where when why many much does "
    "do did capital city river country name year people win lose game team new old big small red blue , . ! ?"
)
SENTENCES = [
    "How far is it from Denver to Aspen ?",
    "What county is Modesto , California in ?",
    "Who was Galileo , and what did he see that no one else saw before him ?",
    "It's a fine film; don't miss it! 12 of 345 people said so (6.7 %).",
    "The cat sat on the mat. The dog ran to the river and back again.",
]
CHINESE = list("中国人民大学生的是不了在有我他这为之来以个")
LETTERS = list("abcdefghijklmnopqrstuvwxyz0123456789")
PIECES = ["##s", "##ed", "##ing", "##ly", "##er", "##est", "##able", "##ness"]

# Special tokens in order of their ids. SQUARE pads with token 0, ANGLE with token 1, as their families do.
SQUARE = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]"}
ANGLE = {"cls": "<s>", "pad": "<pad>", "sep": "</s>", "unk": "<unk>"}
BARE = {"pad": "<|endoftext|>"}

SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
GROUPED = {**SMALL, "num_key_value_heads": 1}
TWO_STACKS = {
    "d_model": 32,
    "encoder_layers": 2,
    "encoder_attention_heads": 2,
    "encoder_ffn_dim": 64,
    "decoder_layers": 1,
    "decoder_attention_heads": 2,
    "decoder_ffn_dim": 64,
}
DISENTANGLED = {
    "type_vocab_size": 0,
    "relative_attention": True,
    "position_buckets": 32,
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
    "pos_att_type": ["p2c", "c2p"],
    "position_biased_input": False,
}
# For each family: its kind of tokenizer, its special tokens, and what its configuration calls small.
FAMILIES: dict[str, tuple[str, dict[str, str], dict[str, Any]]] = {
    "bert": ("wordpiece", SQUARE, SMALL),
    "roberta": ("bpe", ANGLE, {**SMALL, "type_vocab_size": 1}),
    "xlm-roberta": ("unigram", ANGLE, {**SMALL, "type_vocab_size": 1}),
    "deberta-v2": ("unigram", SQUARE, {**SMALL, **DISENTANGLED}),
    "electra": ("wordpiece", SQUARE, {**SMALL, "embedding_size": 16}),
    "distilbert": ("wordpiece", SQUARE, {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 64}),
    "albert": ("unigram", SQUARE, {**SMALL, "embedding_size": 16}),
    "mpnet": ("wordpiece", ANGLE, SMALL),
    "modernbert": ("bpe", SQUARE, {**SMALL, "local_attention": 8, "global_attn_every_n_layers": 2}),
    "t5": ("unigram", ANGLE, {"d_model": 32, "d_kv": 16, "d_ff": 64, "num_layers": 2, "num_heads": 2}),
    "qwen2": ("bpe", BARE, GROUPED),
    "bloom": ("bpe", BARE, {"hidden_size": 32, "n_layer": 2, "n_head": 2}),
    "bart": ("bpe", ANGLE, TWO_STACKS),
    "big_bird": ("unigram", SQUARE, SMALL),
    "camembert": ("unigram", ANGLE, {**SMALL, "type_vocab_size": 1}),
    "convbert": ("wordpiece", SQUARE, {**SMALL, "embedding_size": 32}),
    "data2vec-text": ("bpe", ANGLE, {**SMALL, "type_vocab_size": 1}),
    "deberta": ("bpe", SQUARE, {**SMALL, **DISENTANGLED, "max_relative_positions": 32}),
    "ernie": ("wordpiece", SQUARE, SMALL),
    "eurobert": ("bpe", SQUARE, {**SMALL, "num_key_value_heads": 1, "mask_token_id": 0}),
    "flaubert": ("bpe", ANGLE, {"emb_dim": 32, "n_layers": 2, "n_heads": 2}),
    "fnet": ("unigram", SQUARE, SMALL),
    "funnel": ("wordpiece", SQUARE, {"d_model": 32, "n_head": 2, "d_head": 16, "d_inner": 64, "block_sizes": [1, 1]}),
    "gemma": ("bpe", BARE, {**GROUPED, "head_dim": 16}),
    "gemma2": ("bpe", BARE, {**GROUPED, "head_dim": 16}),
    "gemma3_text": ("bpe", BARE, {**GROUPED, "head_dim": 16}),
    "gpt2": ("bpe", BARE, {"n_embd": 32, "n_layer": 2, "n_head": 2}),
    "gpt_neox": ("bpe", BARE, SMALL),
    "ibert": ("bpe", ANGLE, {**SMALL, "type_vocab_size": 1}),
    "llama": ("bpe", BARE, GROUPED),
    "longformer": ("bpe", ANGLE, {**SMALL, "attention_window": 8, "type_vocab_size": 1}),
    "luke": ("bpe", ANGLE, {**SMALL, "entity_vocab_size": 4, "entity_emb_size": 16}),
    "mbart": ("unigram", ANGLE, TWO_STACKS),
    "mistral": ("bpe", BARE, GROUPED),
    "mobilebert": (
        *("wordpiece", SQUARE),
        {**SMALL, "embedding_size": 32, "intra_bottleneck_size": 16, "num_feedforward_networks": 1},
    ),
    "mt5": ("unigram", ANGLE, {"d_model": 32, "d_kv": 16, "d_ff": 64, "num_layers": 2, "num_heads": 2}),
    "nystromformer": ("bpe", ANGLE, {**SMALL, "segment_means_seq_len": 64, "num_landmarks": 4}),
    "opt": ("bpe", BARE, {**SMALL, "ffn_dim": 64, "word_embed_proj_dim": 32}),
    "phi": ("bpe", BARE, SMALL),
    "phi3": ("bpe", BARE, GROUPED),
    "qwen3": ("bpe", BARE, {**GROUPED, "head_dim": 16}),
    "rembert": ("unigram", SQUARE, {**SMALL, "input_embedding_size": 16, "output_embedding_size": 16}),
    "roformer": ("wordpiece", SQUARE, {**SMALL, "embedding_size": 32}),
    "squeezebert": ("wordpiece", SQUARE, {**SMALL, "embedding_size": 32}),
    "xlm": ("bpe", ANGLE, {"emb_dim": 32, "n_layers": 2, "n_heads": 2}),
    "xlnet": (
        *("unigram", SQUARE),
        {"d_model": 32, "n_layer": 2, "n_head": 2, "d_inner": 64, "d_head": 16, "max_position_embeddings": None},
    ),
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the engines, whose tests take longest: at the end one process would wait for them alone."""
    items.sort(key=lambda item: "engines" not in item.path.parts)


@pytest.fixture(scope="session")
def tiny_backbone(tmp_path_factory: pytest.TempPathFactory) -> TinyBackbone:
    """tiny_backbone(family) -> a folder with a random encoder of width 32 and two layers, made once a session."""
    made: dict[str, str] = {}

    def folder(family: str) -> str:
        if family not in made:
            path = tmp_path_factory.mktemp("backbones") / family
            save_tiny(path, family, *FAMILIES[family])
            made[family] = str(path)
        return made[family]

    return folder


@pytest.fixture(scope="session")
def published_deberta(tiny_backbone: TinyBackbone, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files of microsoft/deberta-v3-base, with its keys, its types and its special tokens."""
    folder = tmp_path_factory.mktemp("published") / "deberta-v3"
    folder.mkdir()
    trained = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([WORDS, *SENTENCES] * 20),
        model_writer=trained,
        vocab_size=70,
        model_type="unigram",
        minloglevel=2,
        pad_id=0,
        bos_id=1,
        eos_id=2,
        unk_id=3,
        pad_piece="[PAD]",
        bos_piece="[CLS]",
        eos_piece="[SEP]",
        unk_piece="[UNK]",
    )
    (folder / "spm.model").write_bytes(trained.getvalue())
    config = json.loads((Path(tiny_backbone("deberta-v2")) / "config.json").read_text(encoding="utf-8"))
    config = {**config, "vocab_size": 80, "pos_att_type": "p2c|c2p"}
    del config["architectures"]
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "tokenizer_config.json").write_text('{"do_lower_case": false, "vocab_type": "spm"}', encoding="utf-8")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = AutoModel.from_config(AutoConfig.from_pretrained(folder))
    weights = {f"deberta.{name}": tensor.half() for name, tensor in encoder.state_dict().items()}
    weights["lm_predictions.lm_head.bias"] = torch.zeros(80).half()
    weights["mask_predictions.classifier.weight"] = weights["deberta.embeddings.word_embeddings.weight"]  # shared
    torch.save(weights, folder / "pytorch_model.bin")
    return folder


def save_tiny(path: Path, family: str, kind: str, special: dict[str, str], sizes: dict[str, Any]) -> None:
    """Save a random encoder and its tokenizer, the same ones each time."""
    tokenizer = tiny_tokenizer(kind, special)
    ids = {"pad_token_id": tokenizer.pad_token_id, **{f"{role}_token_id": 0 for role in ("bos", "eos", "cls", "sep")}}
    values = {"vocab_size": len(tokenizer), "max_position_embeddings": 160, **ids, **sizes}
    config = AutoConfig.for_model(family, **{name: value for name, value in values.items() if value is not None})
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = AutoModel.from_config(config)
        for parameter in encoder.parameters():
            if parameter.ndim > 1:  # wide enough that every part of the encoder shows in what it gives
                torch.nn.init.normal_(parameter, std=0.2)
    bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    encoder.save_pretrained(path)
    tokenizer.save_pretrained(path)
    if bars:
        logging.enable_progress_bar()


def tiny_tokenizer(kind: str, special: dict[str, str]) -> Any:
    """A tokenizer over the words above; texts stand between the first and the last special token, where it has them."""
    tokenizer = TOKENIZERS[kind](special)
    tokenizer.add_special_tokens(list(special.values()))
    if "cls" in special:
        cls, sep = special["cls"], special["sep"]
        middle = f"{sep} {sep}" if special is ANGLE else sep
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{cls} $A {sep}",
            pair=f"{cls} $A {middle} $B:1 {sep}:1",
            special_tokens=[(token, tokenizer.token_to_id(token)) for token in (cls, sep)],
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        **{f"{role}_token": token for role, token in special.items()},
    )


def _wordpiece(special: dict[str, str]) -> Tokenizer:
    words = dict.fromkeys([*special.values(), *WORDS.split(), *CHINESE, *PIECES, *LETTERS])
    vocabulary = {word: place for place, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token=special["unk"]))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer


def _bpe(special: dict[str, str]) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=500, special_tokens=list(special.values()), initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator([WORDS, "".join(CHINESE)], trainer)
    return tokenizer


def _unigram(special: dict[str, str]) -> Tokenizer:
    words = dict.fromkeys([*special.values(), "▁", *(f"▁{word}" for word in WORDS.split()), *CHINESE, *LETTERS])
    pieces = [(word, -float(len(special) < place)) for place, word in enumerate(words)]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=list(special).index("unk")))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    return tokenizer


TOKENIZERS: dict[str, Callable[[dict[str, str]], Tokenizer]] = {
    "wordpiece": _wordpiece,
    "bpe": _bpe,
    "unigram": _unigram,
}
