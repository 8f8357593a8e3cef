"""Encoders for measurements of speed: the shape of a known one, random weights, the packaged MiniLM's tokenizer."""

from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModel, AutoTokenizer

from models.encoder.backbone import PACKAGED, open_backbone, silence_transformers

BASE = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072}
DISENTANGLED = {
    "relative_attention": True,
    "position_buckets": 256,
    "max_relative_positions": -1,
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
    "pos_att_type": ["p2c", "c2p"],
    "position_biased_input": False,
}
CONFIGS: dict[str, dict[str, Any]] = {
    "bert-base": {"model_type": "bert", "vocab_size": 30522, "max_position_embeddings": 512, **BASE},
    "deberta-v3-base": {
        "model_type": "deberta-v2",
        "vocab_size": 128100,
        "max_position_embeddings": 512,
        "type_vocab_size": 0,
        **BASE,
        **DISENTANGLED,
    },
}


def read_tokenizer() -> Any:
    """Return the packaged encoder's tokenizer, from `benchmarks/tokenizer` where `gpu.py --pack` brought it."""
    packed = Path(__file__).with_name("tokenizer")
    with silence_transformers():
        return AutoTokenizer.from_pretrained(packed) if packed.is_dir() else open_backbone(PACKAGED).tokenizer


def write_tokenizer(folder: Path) -> None:
    """Write the packaged encoder's tokenizer into `folder`."""
    with silence_transformers():
        read_tokenizer().save_pretrained(folder)


def write_encoder(folder: Path, name: str) -> None:
    """Write configuration, random safetensors weights and a tokenizer into `folder`."""
    sizes = dict(CONFIGS[name])
    config = AutoConfig.for_model(sizes.pop("model_type"), **sizes)
    tokenizer = read_tokenizer()
    if not config.type_vocab_size:
        tokenizer.model_input_names = ["input_ids", "attention_mask"]
    torch.manual_seed(0)
    with silence_transformers():
        AutoModel.from_config(config, dtype=torch.float32).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
