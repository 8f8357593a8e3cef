"""Seals: what files held when they were finished, so that a damaged or foreign one is named before it is used.

The JSON file that is written last in a folder lists the SHA-256 of the files it vouches for under `files`, and its own
under `sha256`.
"""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from models.recipe import digest
from pipeline.errors import PipelineError


def checksum(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def checksums(paths: Iterable[Path]) -> dict[str, str]:
    """The checksums of files by their names."""
    return {path.name: checksum(path) for path in paths}


def seal(value: Mapping[str, Any], files: Mapping[str, str]) -> dict[str, Any]:
    """A JSON object with the checksums of the `files` it vouches for, by name, and its own."""
    body = {**value, "files": dict(sorted(files.items()))}
    return {**body, "sha256": digest(body)}


def unseal(value: Mapping[str, Any], path: Path, remedy: str) -> dict[str, Any]:
    """The object that was sealed, with its `files`. Raises PipelineError if it is not as `path` was written."""
    body = {key: entry for key, entry in value.items() if key != "sha256"}
    if value.get("sha256") != digest(body) or not isinstance(body.get("files"), dict):
        raise PipelineError(f"{path} is damaged or was changed since it was written: {remedy}")
    return body


def check_file(path: Path, name: str, files: Mapping[str, str], remedy: str) -> Path:
    """`path`, if it holds what the seal says of `name`. Raises PipelineError if not."""
    if name not in files:
        raise PipelineError(f"{path} is not what this run wrote, its seal does not know it: {remedy}")
    if not path.is_file():
        raise PipelineError(f"{path} is missing: {remedy}")
    if checksum(path) != files[name]:
        raise PipelineError(f"{path} is damaged or was changed since it was written: {remedy}")
    return path
