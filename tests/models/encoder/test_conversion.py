"""Backbones published as DeBERTa-v3 is: pickled weights in float16, a SentencePiece model, no tokenizer.json."""

import json
import logging
import pickle
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
import torch
import transformers
from safetensors.torch import load_file
from tokenizers import normalizers

from models import ModelError
from models.encoder import conversion
from models.encoder.backbone import open_backbone
from models.encoder.pretrained import load_encoder
from models.encoder.sentencepiece_tokenizer import check_normalisation

TinyBackbone = Callable[[str], str]
SENTENCES = [
    "How far is it from Denver to Aspen ?",
    "What county is Modesto , California in ?",
    "Who was Galileo , and what did he see that no one else saw before him ?",
    "It's a fine film; don't miss it! 12 of 345 people said so (6.7 %).",
    "The cat sat on the mat. The dog ran to the river and back again.",
]
AWKWARD = [
    "",
    "  ",
    "Ｆｕｌｌ ｗｉｄｔｈ ﬁne ①",
    "two  spaces\tand\nlines",
    "naïve café",
    "中文 🙂",
    " e\u0301 \u200bz\u00a0y ",
]
LETTERS = "aeiou tnsr  .,!'ﬁé\n\t中🙂\u00a0\u3000"


@pytest.fixture(scope="module")
def published(published_deberta: Path) -> Path:
    """A folder with the files of microsoft/deberta-v3-base."""
    return published_deberta


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    open_backbone.cache_clear()
    return tmp_path / "cache"


def refusal(folder: Path) -> str:
    with pytest.raises(ModelError) as caught:
        open_backbone(str(folder))
    message = str(caught.value)
    assert "\n" not in message
    assert ". " not in message, "one sentence"
    return message


def test_its_tokenizer_gives_the_ids_of_sentencepiece(published: Path) -> None:
    tokenizer = open_backbone(str(published)).tokenizer
    reference = sentencepiece.SentencePieceProcessor(model_file=str(published / "spm.model"))
    generator = random.Random(0)
    drawn = ["".join(generator.choices(LETTERS, k=generator.randrange(40))) for _ in range(500)]
    for text in [*SENTENCES, *AWKWARD, *drawn]:
        assert tokenizer(text).input_ids == [1, *reference.encode(text), 2], text
    one, other = (reference.encode(text) for text in SENTENCES[:2])
    assert tokenizer(*SENTENCES[:2]).input_ids == [1, *one, 2, *other, 2]
    assert [tokenizer.pad_token_id, tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.unk_token_id] == [
        0,
        1,
        2,
        3,
    ]
    assert tokenizer.mask_token_id == 70
    assert tokenizer.is_fast


def test_its_weights_are_those_of_the_pickle_in_float32(published: Path) -> None:
    backbone = open_backbone(str(published))
    pickled = torch.load(published / "pytorch_model.bin", weights_only=True)
    assert load_file(backbone.folder / "model.safetensors").keys() == pickled.keys()
    for name, tensor in load_encoder(backbone).state_dict().items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, pickled[f"deberta.{name}"].float()), name


def test_it_is_converted_once_and_says_so(
    published: Path, cache: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO, "poolblend")
    first = open_backbone(str(published))
    assert first.folder.is_relative_to(cache)
    assert [record.getMessage() for record in caplog.records] == [
        f"backbone {published}: converting its files to safetensors and tokenizer.json, once, into {first.folder}"
    ]
    open_backbone.cache_clear()
    monkeypatch.setattr(conversion, "_write_converted", None)
    second = open_backbone(str(published))
    assert (second.folder, second.sha256) == (first.folder, first.sha256)
    assert len(caplog.records) == 1
    assert sorted(path.name for path in first.folder.parent.iterdir()) == [first.folder.name], "nothing half"


@pytest.mark.parametrize("damage", ["config gone", "weights gone", "weights cut", "weights changed", "seal gone"])
def test_a_damaged_copy_in_the_cache_is_converted_again(published: Path, damage: str) -> None:
    folder = open_backbone(str(published)).folder
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    file = (
        folder
        / {"config": "config.json", "weights": "model.safetensors", "seal": "converted.sha256"}[damage.split()[0]]
    )
    if damage.endswith("gone"):
        file.unlink()
    else:
        whole = file.read_bytes()
        file.write_bytes(whole[:-100] if damage.endswith("cut") else whole[:-1] + bytes([whole[-1] ^ 1]))
    open_backbone.cache_clear()
    again = open_backbone(str(published)).folder
    assert again == folder
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    load_encoder(open_backbone(str(published)))


def test_files_that_are_gone_in_the_middle_are_named(published: Path, cache: Path) -> None:
    backbone = open_backbone(str(published))
    shutil.rmtree(cache)
    with pytest.raises(ModelError, match=r"are gone from .*: run the command again"):
        load_encoder(backbone)


def test_other_bytes_are_another_backbone(published: Path, tmp_path: Path) -> None:
    changed = Path(shutil.copytree(published, tmp_path / "changed"))
    weights = torch.load(changed / "pytorch_model.bin", weights_only=True)
    weights["deberta.embeddings.word_embeddings.weight"][5] += 1
    torch.save(weights, changed / "pytorch_model.bin")
    assert open_backbone(str(published)).sha256 != open_backbone(str(changed)).sha256


def test_shards_are_joined(published: Path, tmp_path: Path) -> None:
    sharded = Path(shutil.copytree(published, tmp_path / "sharded"))
    weights = torch.load(sharded / "pytorch_model.bin", weights_only=True)
    (sharded / "pytorch_model.bin").unlink()
    for number, names in enumerate((list(weights)[::2], list(weights)[1::2]), 1):
        torch.save({name: weights[name] for name in names}, sharded / f"pytorch_model-0000{number}-of-00002.bin")
    (sharded / "pytorch_model.bin.index.json").write_text("{}", encoding="utf-8")
    (sharded / "training_args.bin").write_bytes(b"no weights")
    whole, joined = (load_encoder(open_backbone(str(folder))).state_dict() for folder in (published, sharded))
    assert all(torch.equal(whole[name], joined[name]) for name in whole)


def test_safetensors_beside_a_pickle_are_taken_and_the_pickle_is_left_alone(
    tiny_backbone: TinyBackbone, tmp_path: Path, cache: Path
) -> None:
    both = Path(shutil.copytree(tiny_backbone("bert"), tmp_path / "both"))
    (both / "pytorch_model.bin").write_bytes(b"never read")
    assert open_backbone(str(both)).folder == both
    assert open_backbone(str(both)).sha256 == open_backbone(tiny_backbone("bert")).sha256
    assert not cache.exists()


class Trap:
    """Touches a file where it is unpickled."""

    def __init__(self, sprung: Path) -> None:
        self.sprung = sprung

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.sprung,)


def test_a_pickle_that_runs_code_is_refused_and_never_run(published: Path, tmp_path: Path) -> None:
    trapped = Path(shutil.copytree(published, tmp_path / "trapped"))
    torch.save({"weight": Trap(tmp_path / "sprung")}, trapped / "pytorch_model.bin")
    assert "that hold more than tensors and could run code: they are not read" in refusal(trapped)
    (trapped / "pytorch_model.bin").write_bytes(pickle.dumps({"weight": Trap(tmp_path / "sprung")}))
    refusal(trapped)
    assert not (tmp_path / "sprung").exists()
    torch.save([torch.zeros(2)], trapped / "pytorch_model.bin")
    assert "that are no table of tensors" in refusal(trapped)
    (trapped / "pytorch_model.bin").write_bytes(b"PK cut short")
    refusal(trapped)


def test_a_torch_that_cannot_read_pickles_safely_reads_none(published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "__version__", "2.9.1+cu128")
    loads = list[Path]()
    monkeypatch.setattr(torch, "load", lambda path, **given: loads.append(path) or {})
    assert "which torch 2.9.1+cu128 cannot read safely (CVE-2026-24747): install torch 2.10" in refusal(published)
    monkeypatch.setattr(torch, "__version__", "2.10.0+cu128")
    assert not loads
    open_backbone(str(published))
    assert loads == [published / "pytorch_model.bin"]


def test_without_sentencepiece_the_package_is_named(published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "sentencepiece", None)
    assert refusal(published).endswith("spm.model, which needs a package: pip install sentencepiece")


def test_a_damaged_sentencepiece_model_is_refused(published: Path, tmp_path: Path) -> None:
    damaged = Path(shutil.copytree(published, tmp_path / "damaged"))
    (damaged / "spm.model").write_bytes(b"\xff" * 50)
    assert "has an unreadable tokenizer, spm.model: fetch it again" in refusal(damaged)


def test_a_cache_that_cannot_be_written_is_named(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert refusal(published).endswith("XDG_CACHE_HOME names another folder for it")


def test_the_tokenizer_json_of_a_publisher_is_used_as_it_is(published: Path, tmp_path: Path) -> None:
    """transformers 5 takes the vocabulary of a DeBERTa's tokenizer.json and builds the rest anew: no normaliser."""
    converted = Path(shutil.copytree(open_backbone(str(published)).folder, tmp_path / "converted"))
    before = open_backbone(str(converted))
    settings = converted / "tokenizer_config.json"
    values = json.loads(settings.read_text(encoding="utf-8"))
    settings.write_text(json.dumps({**values, "tokenizer_class": "DebertaV2Tokenizer"}), encoding="utf-8")
    open_backbone.cache_clear()
    after = open_backbone(str(converted))
    assert [after.tokenizer(t).input_ids for t in AWKWARD] == [before.tokenizer(t).input_ids for t in AWKWARD]
    assert (
        after.tokenizer(AWKWARD[2]).input_ids
        != transformers.AutoTokenizer.from_pretrained(converted)(AWKWARD[2]).input_ids
    )


def test_a_sentencepiece_model_without_its_normalisation_is_refused(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """transformers 5.0 makes such tokenizers for T5 and XLM-R, later versions right ones."""
    folder = Path(shutil.copytree(published, tmp_path / "t5"))
    (folder / "spm.model").rename(folder / "spiece.model")
    tokenizer = open_backbone(str(published)).tokenizer
    check_normalisation(folder / "spiece.model", "t5", tokenizer)
    tokenizer.backend_tokenizer.normalizer = normalizers.Strip()
    with pytest.raises(ModelError, match=r"of spiece\.model without its normalisation of Unicode: put the tokenizer"):
        check_normalisation(folder / "spiece.model", "t5", tokenizer)
    monkeypatch.setattr(transformers.AutoTokenizer, "from_pretrained", lambda *given, **options: tokenizer)
    (folder / "pytorch_model.bin").unlink()
    shutil.copy(open_backbone(str(published)).folder / "model.safetensors", folder)
    assert "without its normalisation of Unicode" in refusal(folder)
