"""Checksums of finished files, so that a damaged or foreign file is named before it is used.

A sealed file is the JSON file that is written last in a folder: it lists the SHA-256 of the other files under `files`,
and its own under `sha256`. A checksum finds damage; it is no signature.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from models import ModelError
from pipeline.errors import PipelineError

ReadEntries = Callable[[Path], Mapping[str, Any]]

ZEROS = "0" * 64
# A listed file lies beside the list, or in the folder of a recipe's backbone; the report's page lies above its figures.
# A checksum is no signature: by a name that leads elsewhere a run of another origin could have any file removed.
LISTED = re.compile(r"(?:backbone/)?[^/\\\0:]+|\.\./report\.html")


def compute_checksum(path: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def compute_checksums(paths: Iterable[Path]) -> dict[str, str]:
    """Return the checksums of files by their names."""
    return {path.name: compute_checksum(path) for path in paths}


def write_sealed(
    path: Path, write: Callable[[Path, dict[str, object]], None], value: Mapping[str, object], files: Mapping[str, str]
) -> None:
    """Write a JSON object by `write`, with the checksums of other `files` by name, and its own.

    Its own checksum is that of its bytes with zeros in the place of the checksum, so that every bit is covered.
    """
    write(path, {**value, "files": dict(sorted(files.items())), "sha256": ZEROS})
    text = path.read_bytes()
    path.write_bytes(text.replace(ZEROS.encode(), hashlib.sha256(text).hexdigest().encode()))


def verify_sealed(value: Mapping[str, Any], path: Path, remedy: str) -> dict[str, Any]:
    """Return the content of a sealed `path`, with its `files`.

    Raises PipelineError if it is not as it was written, or lists a file of another folder.
    """
    own, text = str(value.get("sha256")), path.read_bytes()
    if hashlib.sha256(text.replace(own.encode(), ZEROS.encode())).hexdigest() != own or "files" not in value:
        raise PipelineError(f"{path} is damaged or was changed since it was written: {remedy}")
    for name in value["files"]:
        if not LISTED.fullmatch(name) or name.removeprefix("backbone/") in (".", ".."):
            raise PipelineError(f"{path} lists {name!r}, a file of another folder, so this program did not write it")
    return {key: entry for key, entry in value.items() if key != "sha256"}


def read_sealed(path: Path, read: ReadEntries, remedy: str) -> dict[str, Any]:
    """Read a sealed `path` by `read`; the result has its `files`. Raises PipelineError if it was damaged or changed."""
    try:
        return verify_sealed(read(path), path, remedy)
    except ModelError as error:  # its own advice is for fits
        raise PipelineError(f"{path} is damaged or unreadable: {remedy}") from error


def check_file(path: Path, name: str, files: Mapping[str, str], remedy: str) -> Path:
    """Return `path` if its checksum is that of `name` in `files`. Raises PipelineError if not."""
    if name not in files:
        raise PipelineError(f"{path} is not a file that this run wrote: {remedy}")
    if not path.is_file():
        raise PipelineError(f"{path} is missing: {remedy}")
    if compute_checksum(path) != files[name]:
        raise PipelineError(f"{path} is damaged or was changed since it was written: {remedy}")
    return path
