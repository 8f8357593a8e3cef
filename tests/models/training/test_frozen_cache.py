"""The states of a frozen frozen are those of each text alone, are made once, and leave no file behind."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from models import ModelError
from models.encoder.backbone import Backbone, open_backbone
from models.encoder.frozen_layers import FrozenLayers, freeze_lower_layers
from models.encoder.pretrained import load_encoder
from models.tokens import StoredStates, Tokens, encode_texts
from models.training import frozen_cache
from models.training.frozen_cache import FrozenStateCache

TinyBackbone = Callable[[str], str]
CPU = torch.device("cpu")
TEXTS = ["the cat sat on the mat .", "dog", "who was the poor actor in this very fine film ?", "a b c xyz"]


@pytest.fixture
def backbone(tiny_backbone: TinyBackbone) -> Backbone:
    return open_backbone(tiny_backbone("bert"))


@pytest.fixture
def frozen(backbone: Backbone) -> FrozenLayers:
    return freeze_lower_layers(load_encoder(backbone), 1, backbone)


def tokens_of(backbone: Backbone, texts: list[str] = TEXTS, max_length: int = 16) -> Tokens:
    pairs = [(text, "a very good movie") for text in texts]
    return encode_texts(backbone.tokenizer, pairs, max_length=max_length, keep="head")


def asked(
    cache: FrozenStateCache, frozen: FrozenLayers, backbone: Backbone, tokens: Tokens, **changes: Any
) -> StoredStates:
    return cache.get(frozen, backbone, tokens, **{"all_layers": False, "precision": None, **changes})


@pytest.mark.parametrize("at_once", [1, 20, 8192])
@pytest.mark.parametrize("all_layers", [False, True])
def test_rows_are_what_the_layers_give_for_each_text_alone(
    frozen: FrozenLayers,
    backbone: Backbone,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    at_once: int,
    all_layers: bool,
) -> None:
    monkeypatch.setattr(frozen_cache, "AT_ONCE", {"cpu": at_once})
    tokens = tokens_of(backbone)
    kept = asked(FrozenStateCache(tmp_path), frozen, backbone, tokens, all_layers=all_layers)
    rows = np.array([2, 0, 3])
    batch = kept.take(rows, 18, CPU)
    assert batch.shape == (2 if all_layers else 1, 3, 18, 32)
    assert batch.dtype == torch.float32
    for place, row in enumerate(rows):
        length, inputs = int(tokens.lengths[row]), frozen_cache.collate(tokens, np.array([row]), CPU, 0)
        alone = frozen.run_lower(inputs, all_layers)[:, 0]
        torch.testing.assert_close(batch[:, place, :length], alone, rtol=1e-5, atol=1e-6)
        assert not batch[:, place, length:].any()


def test_states_are_made_once_for_equal_texts_and_anew_for_whatever_changes_them(
    frozen: FrozenLayers, backbone: Backbone, tiny_backbone: TinyBackbone, tmp_path: Path
) -> None:
    cache, first = FrozenStateCache(tmp_path), asked(FrozenStateCache(tmp_path), frozen, backbone, tokens_of(backbone))
    kept = asked(cache, frozen, backbone, tokens_of(backbone))
    again = freeze_lower_layers(load_encoder(backbone), 1, backbone)  # the next fit's
    assert asked(cache, again, backbone, tokens_of(backbone)) is kept
    assert kept is not first
    swapped = tokens_of(backbone)
    assert swapped.types is not None
    swapped.types[:] = 1 - swapped.types
    moved = tokens_of(backbone)
    moved.offsets[1] += 1
    electra = open_backbone(tiny_backbone("electra"))
    others = [
        asked(cache, frozen, backbone, tokens_of(backbone, max_length=12)),
        asked(cache, frozen, backbone, swapped),
        asked(cache, frozen, backbone, moved),
        asked(cache, frozen, backbone, tokens_of(backbone), all_layers=True),
        asked(cache, frozen, backbone, tokens_of(backbone), precision=torch.bfloat16),
        asked(cache, freeze_lower_layers(load_encoder(backbone), 0, backbone), backbone, tokens_of(backbone)),
        asked(cache, freeze_lower_layers(load_encoder(electra), 1, electra), electra, tokens_of(backbone)),
    ]
    assert len({id(other) for other in [kept, *others]}) == 8
    assert not any(np.array_equal(kept.values, other.values) for other in others)
    assert asked(cache, frozen, backbone, tokens_of(backbone)) is kept


@pytest.mark.skipif(os.name == "nt", reason="Windows shows the file's name until the last handle is closed")
def test_the_file_has_no_name_even_while_it_is_used(frozen: FrozenLayers, backbone: Backbone, tmp_path: Path) -> None:
    kept = asked(FrozenStateCache(tmp_path), frozen, backbone, tokens_of(backbone))
    assert isinstance(kept.values.base, np.memmap)
    assert list(tmp_path.iterdir()) == []
    assert kept.values.any()


def test_a_table_without_rows_has_states_too(frozen: FrozenLayers, backbone: Backbone, tmp_path: Path) -> None:
    kept = asked(FrozenStateCache(tmp_path), frozen, backbone, tokens_of(backbone, []))
    assert kept.values.shape == (1, 0, 32)


def test_a_disk_without_room_is_told_before_anything_runs(
    frozen: FrozenLayers, backbone: Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = tokens_of(backbone)
    size = int(tokens.offsets[-1]) * 32 * 4
    monkeypatch.setattr(frozen_cache, "GIB", 1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=size))
    asked(FrozenStateCache(tmp_path), frozen, backbone, tokens)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=size - 1))
    monkeypatch.setattr(FrozenLayers, "run_lower", None)
    message = (
        rf"^training.freeze_layers needs {size / 1000:.1f} GiB in .*, which has {(size - 1) / 1000:.1f} GiB free: "
        "make room, lower max_length or leave freeze_layers out$"
    )
    with pytest.raises(ModelError, match=message):
        asked(FrozenStateCache(tmp_path), frozen, backbone, tokens)
    with pytest.raises(ModelError, match=r"lower max_length, pool the last layer alone or leave freeze_layers out$"):
        asked(FrozenStateCache(tmp_path), frozen, backbone, tokens, all_layers=True)


def test_states_not_asked_for_lately_make_room_for_others(
    frozen: FrozenLayers, backbone: Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, tables = FrozenStateCache(tmp_path), [tokens_of(backbone, [text, *TEXTS]) for text in ("dog", "cat", "film")]
    kept = [asked(cache, frozen, backbone, tokens) for tokens in tables[:2]]
    assert asked(cache, frozen, backbone, tables[0]) is kept[0]
    answers = iter([0])  # full until one is let go
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=next(answers, 2**40)))
    asked(cache, frozen, backbone, tables[2])
    assert asked(cache, frozen, backbone, tables[0]) is kept[0]
    assert asked(cache, frozen, backbone, tables[1]) is not kept[1]
