"""Seals: what files held when they were finished, so that a damaged or foreign one is named before it is used.

The JSON file that is written last in a folder lists the SHA-256 of the files it vouches for under `files`, and its own
under `sha256`.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from models import ModelError
from pipeline.errors import PipelineError

ZEROS = "0" * 64


def checksum(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def checksums(paths: Iterable[Path]) -> dict[str, str]:
    """The checksums of files by their names."""
    return {path.name: checksum(path) for path in paths}


def write_sealed(
    path: Path, write: Callable[[Path, dict[str, Any]], None], value: Mapping[str, Any], files: Mapping[str, str]
) -> None:
    """`write` a JSON object with the checksums of the `files` it vouches for, by name, and its own.

    That is of its bytes with zeros in its place, so that not one of them can change unnoticed.
    """
    write(path, {**value, "files": dict(sorted(files.items())), "sha256": ZEROS})
    text = path.read_bytes()
    path.write_bytes(text.replace(ZEROS.encode(), hashlib.sha256(text).hexdigest().encode()))


def unseal(value: Mapping[str, Any], path: Path, remedy: str) -> dict[str, Any]:
    """What was read from a sealed `path`, with its `files`. Raises PipelineError if it is not as it was written."""
    own, text = str(value.get("sha256")), path.read_bytes()
    if hashlib.sha256(text.replace(own.encode(), ZEROS.encode())).hexdigest() != own or "files" not in value:
        raise PipelineError(f"{path} is damaged or was changed since it was written: {remedy}")
    return {key: entry for key, entry in value.items() if key != "sha256"}


def open_sealed(path: Path, read: Callable[[Path], Mapping[str, Any]], remedy: str) -> dict[str, Any]:
    """What `read` gives of a sealed `path`, with its `files`. Raises PipelineError if it is damaged or was changed."""
    try:
        return unseal(read(path), path, remedy)
    except ModelError as error:  # whose own remedy is for fits
        raise PipelineError(f"{path} is damaged or unreadable: {remedy}") from error


def check_file(path: Path, name: str, files: Mapping[str, str], remedy: str) -> Path:
    """`path`, if it holds what the seal says of `name`. Raises PipelineError if not."""
    if name not in files:
        raise PipelineError(f"{path} is not what this run wrote, its seal does not know it: {remedy}")
    if not path.is_file():
        raise PipelineError(f"{path} is missing: {remedy}")
    if checksum(path) != files[name]:
        raise PipelineError(f"{path} is damaged or was changed since it was written: {remedy}")
    return path
