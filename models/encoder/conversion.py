"""Conversion of backbones that are published as older files: pickled weights and SentencePiece models.

`microsoft/deberta-v3-base`, for one, holds `pytorch_model.bin` and `spm.model` only. They are converted once into
safetensors and `tokenizer.json` in a cache folder, from which the backbone is opened like any other.
"""

import hashlib
import json
import logging
import os
import shutil
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from packaging.version import Version
from safetensors.torch import save_file
from torch import Tensor

from models import ModelError
from models.encoder.sentencepiece_tokenizer import build_tokenizer

WEIGHTS = "pytorch_model*.bin"  # one file, or shards; other *.bin files of a repository are no weights
SAFE_TORCH = Version("2.10")  # before it torch.load can be made to run code, weights_only or not: CVE-2026-24747
KEPT_SUFFIXES = {".json", ".txt", ".model"}
SEAL = "converted.sha256"  # of all other files: a damaged copy is converted again
INDEX = "pytorch_model.bin.index.json"
logger = logging.getLogger("poolblend")


def find_pickled_weights(folder: Path) -> list[Path]:
    """Return the pickled weights of a backbone."""
    return sorted(path for path in folder.glob(WEIGHTS) if path.is_file())


def find_sentencepiece_model(folder: Path) -> Path | None:
    """Return the SentencePiece model of a DeBERTa that has no tokenizer.json.

    transformers 5 makes another tokenizer of it: without the normalisation of Unicode, 5.0 also without [CLS].
    """
    path = folder / "spm.model"
    return path if path.is_file() and not (folder / "tokenizer.json").is_file() else None


def convert_backbone(folder: Path, name: str, sha256: str) -> Path:
    """Return the cache folder of a converted backbone, which is written first if it is not there.

    `sha256` is the hash of the files to convert. Raises ModelError if they cannot be read or torch is too old.
    """
    target = _find_cache() / sha256[:16]
    if _is_whole(target):
        return target
    logger.info(f"backbone {name}: converting its files to safetensors and tokenizer.json, once, into {target}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as temporary:
            new = Path(temporary, "backbone")
            new.mkdir()
            _write_converted(folder, new, name)
            (new / SEAL).write_text(_hash_folder(new), encoding="utf-8")
            if not _is_whole(target):  # another process may have been first
                shutil.rmtree(target, ignore_errors=True)
                new.rename(target)
    except OSError as error:
        raise ModelError(
            f"backbone {name!r} could not be converted into {target}: {error.strerror or error}; "
            "XDG_CACHE_HOME names another folder for it"
        ) from error
    return target


def read_pickled_weights(path: Path, name: str) -> dict[str, Tensor]:
    """Return the tensors of a pickled file, on the CPU, without running any code of it.

    Raises ModelError if it holds anything but tensors, is damaged, or torch is too old to read it safely.
    """
    if Version(torch.__version__).release < SAFE_TORCH.release:
        raise ModelError(
            f"backbone {name!r} has pickled weights, {path.name}, which torch {torch.__version__} cannot read safely "
            f"(CVE-2026-24747): install torch {SAFE_TORCH} or later, or take a backbone with *.safetensors weights"
        )
    try:
        with warnings.catch_warnings(action="ignore"):  # of other protocols of pickle, which it may then refuse
            weights = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of pickle for what could run code, of many kinds for a damaged file
        if type(error).__name__ != "UnpicklingError":
            raise ModelError(f"backbone {name!r} has unreadable weights, {path.name}: fetch it again") from error
        raise ModelError(
            f"backbone {name!r} has pickled weights, {path.name}, that hold more than tensors and could run code: they "
            "are not read; take a backbone with *.safetensors weights"
        ) from error
    if not isinstance(weights, Mapping) or not all(isinstance(value, Tensor) for value in weights.values()):
        raise ModelError(f"backbone {name!r} has pickled weights, {path.name}, that are no table of tensors")
    return {str(key): tensor for key, tensor in weights.items()}


def hash_files(paths: list[Path]) -> str:
    """Return the SHA-256 of files: of a single one its bytes, of several their names and their own hashes."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.name.encode())
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest() if len(paths) > 1 else hashlib.sha256(paths[0].read_bytes()).hexdigest()


def _write_converted(folder: Path, new: Path, name: str) -> None:
    for path in folder.iterdir():
        if path.suffix in KEPT_SUFFIXES and path.name != INDEX and path.is_file():
            shutil.copyfile(path, new / path.name)
    pickled = find_pickled_weights(folder)
    safe = sorted(folder.glob("*.safetensors"))
    for path in safe:
        shutil.copyfile(path, new / path.name)
    if not safe:
        weights: dict[str, Tensor] = {}
        for path in pickled:
            weights |= read_pickled_weights(path, name)
        # Tied weights share memory, which safetensors refuses; transformers ties them again.
        copies = {key: tensor.detach().clone().contiguous() for key, tensor in weights.items()}
        save_file(copies, new / "model.safetensors", {"format": "pt"})
    if (sentencepiece := find_sentencepiece_model(folder)) is not None:
        settings = _read_json(folder / "tokenizer_config.json")
        lowers_case, splits_punctuation = (bool(settings.get(key)) for key in ("do_lower_case", "split_by_punct"))
        tokenizer = build_tokenizer(sentencepiece, name, lowers_case, splits_punctuation)
        tokenizer.save(str(new / "tokenizer.json"))
        settings = {**settings, "tokenizer_class": "PreTrainedTokenizerFast"}
        special = {role: f"[{role.upper()}]" for role in ("pad", "cls", "sep", "unk", "mask")}
        settings |= {f"{role}_token": token for role, token in special.items()}
        (new / "tokenizer_config.json").write_text(json.dumps(settings, indent=2), encoding="utf-8")


def _is_whole(folder: Path) -> bool:
    seal = folder / SEAL
    return seal.is_file() and seal.read_text(encoding="utf-8", errors="replace") == _hash_folder(folder)


def _hash_folder(folder: Path) -> str:
    return hash_files(sorted(path for path in folder.iterdir() if path.name != SEAL))


def _read_json(path: Path) -> dict[str, object]:
    if not path.is_file():
        return {}
    values: dict[str, object] = json.loads(path.read_text(encoding="utf-8"))
    return values


def _find_cache() -> Path:
    """Return the folder of converted backbones, after the XDG base directory specification."""
    named = os.environ.get("XDG_CACHE_HOME")
    return (Path(named) if named else Path.home() / ".cache") / "poolblend" / "backbones"
