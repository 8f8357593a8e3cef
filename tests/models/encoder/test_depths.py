"""The depth of each parameter comes from the structure of an encoder, whatever its modules are called."""

from typing import Any

import pytest
import torch
import transformers
from torch import nn

from models.encoder.depths import compute_depths

SMALL: dict[str, Any] = {"vocab_size": 50, "num_hidden_layers": 3, "hidden_size": 16, "num_attention_heads": 2}
# For each family: the names, or parts of them, of parameters that lie below the first layer, and those after the last.
EXPECTED = {
    "gpt2": ({}, ["wte.weight", "wpe.weight"], ["ln_f.weight"]),
    "xlm": ({"use_lang_emb": False}, ["embeddings.weight", "position_embeddings.weight", "layer_norm_emb.bias"], []),
    "flaubert": ({}, ["embeddings.weight", "position_embeddings.weight", "layer_norm_emb.bias"], []),
    "xlnet": ({"d_inner": 32, "d_head": 8, "d_model": 16, "n_head": 2, "n_layer": 3}, ["word_embedding.weight"], []),
    "bert": ({"intermediate_size": 32}, ["embeddings.LayerNorm.weight", "embeddings.word_embeddings.weight"], []),
    "modernbert": (
        {"intermediate_size": 32, "pad_token_id": 0},
        ["embeddings.tok_embeddings.weight"],
        ["final_norm.weight"],
    ),
    "opt": (
        {"ffn_dim": 32, "word_embed_proj_dim": 8},
        ["decoder.embed_tokens.weight", "decoder.project_in.weight"],
        [],
    ),
    "electra": ({"embedding_size": 8, "intermediate_size": 32}, ["embeddings_project.weight"], []),
    "bloom": ({}, ["word_embeddings_layernorm.weight"], ["ln_f.weight"]),
    "deberta-v2": (
        {"intermediate_size": 32, "relative_attention": True, "position_buckets": 8, "pos_att_type": ["p2c"]},
        ["embeddings.word_embeddings.weight", "encoder.rel_embeddings.weight"],
        [],
    ),
}


@pytest.mark.parametrize("family", EXPECTED)
def test_layers_embeddings_and_what_follows_are_told_apart(family: str) -> None:
    more, below, above = EXPECTED[family]
    encoder: Any = transformers.AutoModel.from_config(transformers.AutoConfig.for_model(family, **{**SMALL, **more}))
    state = torch.get_rng_state()
    depths = compute_depths(encoder, family)
    assert torch.equal(torch.get_rng_state(), state), "no random number is drawn"
    assert encoder.training
    assert set(depths) == {name for name, _ in encoder.named_parameters()}
    assert {depths[name] for name in below} == {3}
    assert all(depths[name] == 0 for name in above)
    assert set(depths.values()) == {0, 1, 2, 3}
    in_layers = [name for name in depths if any(part.isdecimal() for part in name.split("."))]
    for name in in_layers:
        number = next(int(part) for part in name.split(".") if part.isdecimal())
        assert depths[name] == 2 - number, name


def test_a_bias_of_two_dimensions_is_named_as_one() -> None:
    """The optimizer knows a bias by its name: those of XLNet have a number for each head and feature."""
    config = transformers.AutoConfig.for_model(
        "xlnet", vocab_size=50, d_model=16, n_layer=3, n_head=2, d_inner=32, d_head=8
    )
    encoder = transformers.AutoModel.from_config(config)
    wide = [name for name, parameter in encoder.named_parameters() if name.endswith("bias") and parameter.ndim > 1]
    assert len(wide) == 9
    assert isinstance(encoder.layer, nn.ModuleList)
