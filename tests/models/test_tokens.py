from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from transformers import AutoTokenizer

from models import ModelError
from models.encoder.backbone import Backbone
from models.settings import SEPARATOR
from models.tokens import Tokens, encode_texts, find_empty_token, find_separator

LONG = "the cat runs and the dog sleeps in a red tree of stone"  # 13 words, a token each
KEEPS = ("head", "tail", "both")


def coded(backbone: Backbone, *texts: tuple[str, ...], max_length: int = 40, keep: str = "head") -> Tokens:
    return encode_texts(backbone.tokenizer, texts, max_length=max_length, keep=keep)


def words(backbone: Backbone, tokens: Tokens, row: int = 0) -> str:
    return " ".join(backbone.tokenizer.convert_ids_to_tokens(tokens.get_row(row).tolist()))


def test_short_texts_are_what_the_tokenizer_says(tiny: Backbone) -> None:
    texts = ["the cat", LONG, "", "dogs", "中文", "unheard-of 😀"]
    tokens = coded(tiny, *((text,) for text in texts))
    assert len(tokens) == len(texts)
    for row, text in enumerate(texts):
        np.testing.assert_array_equal(tokens.get_row(row), tiny.tokenizer(text)["input_ids"])
    assert tokens.lengths.tolist() == [len(tiny.tokenizer(text)["input_ids"]) for text in texts]
    assert (tokens.ids.dtype, tokens.offsets.dtype) == (np.int32, np.int64)


def test_a_pair_has_two_segments(tiny: Backbone) -> None:
    tokens = coded(tiny, ("the cat", "a dog runs"))
    reference = tiny.tokenizer("the cat", "a dog runs")
    np.testing.assert_array_equal(tokens.get_row(0), reference["input_ids"])
    assert tokens.types is not None
    np.testing.assert_array_equal(tokens.types, reference["token_type_ids"])
    assert set(tokens.types) == {0, 1}


def test_types_are_kept_only_where_the_backbone_reads_them(tiny: Backbone) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny.folder)
    tokenizer.model_input_names = ["input_ids", "attention_mask"]
    assert encode_texts(tokenizer, [("the cat",)], max_length=9, keep="head").types is None


@pytest.mark.parametrize(
    ("keep", "kept"),
    [("head", "the cat runs and the"), ("tail", "red tree of stone"), ("both", "the cat runs of stone")],
)
def test_a_long_text_keeps_the_end_asked_for_and_its_special_tokens(keep: str, kept: str, tiny: Backbone) -> None:
    kept = "a red tree of stone" if keep == "tail" else kept
    assert words(tiny, coded(tiny, (LONG,), max_length=7, keep=keep)) == f"[CLS] {kept} [SEP]"


@pytest.mark.parametrize("keep", KEEPS)
@pytest.mark.parametrize("max_length", [4, 5, 8, 14, 15, 16])
def test_a_text_is_never_longer_than_asked_and_never_cut_without_need(
    keep: str, max_length: int, tiny: Backbone
) -> None:
    lengths = coded(tiny, (LONG,), ("cat",), max_length=max_length, keep=keep).lengths
    assert lengths.tolist() == [min(15, max_length), 3]


def test_head_is_what_the_tokenizer_itself_truncates_to(tiny: Backbone) -> None:
    reference = tiny.tokenizer(LONG, truncation=True, max_length=9)["input_ids"]
    np.testing.assert_array_equal(coded(tiny, (LONG,), max_length=9).get_row(0), reference)


PAIRS: list[tuple[tuple[str, str], int, str, str]] = [
    (("cat", LONG), 9, "head", "[CLS] cat [SEP] the cat runs and the [SEP]"),
    ((LONG, "cat"), 9, "tail", "[CLS] a red tree of stone [SEP] cat [SEP]"),
    ((LONG, LONG), 9, "head", "[CLS] the cat runs [SEP] the cat runs [SEP]"),
    ((LONG, LONG), 11, "both", "[CLS] the cat of stone [SEP] the cat of stone [SEP]"),
    ((LONG, ""), 7, "both", "[CLS] the cat of stone [SEP] [SEP]"),
]


@pytest.mark.parametrize(("pair", "max_length", "keep", "kept"), PAIRS)
def test_the_longer_text_of_a_pair_is_cut_first(
    pair: tuple[str, str], max_length: int, keep: str, kept: str, tiny: Backbone
) -> None:
    tokens = coded(tiny, pair, max_length=max_length, keep=keep)
    assert words(tiny, tokens) == kept
    first = kept.split().index("[SEP]") + 1
    assert tokens.types is not None
    assert tokens.types.tolist() == [0] * first + [1] * (len(kept.split()) - first)


def test_a_text_far_beyond_the_backbone_is_cut_quietly(tiny: Backbone, capfd: pytest.CaptureFixture[str]) -> None:
    assert coded(tiny, (LONG * 500,), max_length=40).lengths.tolist() == [40]
    assert capfd.readouterr() == ("", "")


def test_encoding_goes_in_chunks_without_a_seam(tiny: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [(" ".join(LONG.split()[: row % 13]),) for row in range(20)]
    whole = coded(tiny, *texts)
    monkeypatch.setattr("models.tokens.CHUNK", 7)
    parts = coded(tiny, *texts)
    for name in ("ids", "types", "offsets"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(parts, name))


@pytest.mark.parametrize("keep", KEEPS)
def test_texts_short_and_long_are_cut_together_as_each_alone(
    keep: str, tiny: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.tokens.CHUNK", 7)
    words = LONG.split()
    pairs = [(" ".join(words[: row % 13]), " ".join(words[row % 5 :])) for row in range(20)]
    together = coded(tiny, *pairs, max_length=12, keep=keep)
    assert together.types is not None
    for row, pair in enumerate(pairs):
        alone = coded(tiny, pair, max_length=12, keep=keep)
        np.testing.assert_array_equal(together.get_row(row), alone.ids)
        np.testing.assert_array_equal(together.types[together.find_places(np.array([row]))], alone.types)


def test_no_texts_are_no_tokens(tiny: Backbone) -> None:
    tokens = coded(tiny)
    assert len(tokens) == 0
    assert tokens.lengths.tolist() == []


class BareTokenizer:
    """A tokenizer that adds no special tokens, as those of decoders do."""

    model_input_names = ("input_ids",)

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.pad_token_id = tokenizer.pad_token_id

    def __call__(self, *columns: Any, **settings: Any) -> Any:
        return self.tokenizer(*columns, add_special_tokens=False, **settings)


def test_a_text_without_any_token_gets_one(tiny: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hidden test table with one empty text ended the submission of a decoder."""
    monkeypatch.setattr("models.tokens.CHUNK", 3)
    bare = BareTokenizer(tiny.tokenizer)
    texts = [("",), ("dog",), (" ",), ("",), ("bird",)]
    tokens = encode_texts(bare, texts, max_length=9, keep="head")
    assert tokens.lengths.tolist() == [1, 1, 1, 1, 1]
    empty = find_empty_token(tiny.tokenizer)
    assert [int(tokens.get_row(row)[0]) == empty for row in range(5)] == [True, False, True, True, False]
    assert tokens.types is None


@pytest.mark.parametrize(
    ("names", "expected"),
    [({"eos_token_id": 5, "pad_token_id": 3}, 5), ({"pad_token_id": 0, "bos_token_id": 1}, 0), ({}, 0)],
)
def test_the_token_of_an_empty_text_is_an_end_or_a_pad(names: dict[str, int], expected: int) -> None:
    assert find_empty_token(SimpleNamespace(**names)) == expected


def test_the_separator_is_the_tokenizers(tiny: Backbone) -> None:
    assert find_separator(tiny.tokenizer) == SEPARATOR == tiny.separator
    ends = SimpleNamespace(sep_token=None, eos_token="</s>", eos_token_id=1)
    t5 = type("T5", (), {**vars(ends), "__call__": lambda self, text: SimpleNamespace(input_ids=[7, 1])})()
    qwen = type("Qwen", (), {**vars(ends), "__call__": lambda self, text: SimpleNamespace(input_ids=[7])})()
    assert (find_separator(t5), find_separator(qwen)) == ("</s>", "\n")
    one = encode_texts(tiny.tokenizer, [("cat [SEP] dog",)], max_length=9, keep="head", separator=" tree ")
    assert words(tiny, one) == "[CLS] cat tree dog [SEP]"


def test_too_little_room_is_refused(tiny: Backbone) -> None:
    with pytest.raises(ModelError, match=r"training\.max_length is 3, which leaves no room"):
        coded(tiny, ("the cat", "a dog"), max_length=3)
