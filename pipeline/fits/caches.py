"""What all fits of a process share: texts encoded once, tokenizers read once, states of frozen layers."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from models.encoder.backbone import Backbone, open_backbone
from models.saved import read_backbone
from models.store import digest
from models.tokens import Tokens, encode
from models.training.frozen_cache import TrunkCache
from pipeline.data.competition import Table
from pipeline.fits.inputs import Shared


@dataclass
class Caches:
    """Tokens by table and tokenizer. What frozen layers give lies in files in `folder`, which have no name and vanish
    with the process. `folders` says where backbones lie that are not found by their names here."""

    folder: Path
    kept: dict[str, Tokens] = field(default_factory=dict)
    folders: dict[str, Path] = field(default_factory=dict)
    backbones: dict[Path, Backbone] = field(default_factory=dict)
    trunks: TrunkCache = field(init=False)

    def __post_init__(self) -> None:
        self.trunks = TrunkCache(self.folder)

    def backbone(self, settings: dict[str, Any]) -> Backbone:
        """The backbone that a neural variant starts from. Raises ModelError if it cannot be used."""
        name = settings["backbone"]
        if name not in self.folders:
            return backbone_of(settings)
        return replace(backbone_of({**settings, "backbone": str(self.folders[name])}), name=name)

    def saved_backbone(self, folder: Path, name: str) -> Backbone:
        """Configuration and tokenizer that finished fits were left with; raises ModelError if they are not there."""
        if folder not in self.backbones:
            self.backbones[folder] = read_backbone(folder, name)
        return self.backbones[folder]

    def tokens(self, backbone: Backbone, settings: dict[str, Any], table: Table) -> Tokens:
        """Tokens of a table, whose hash identifies it."""
        key = tokens_key(settings, table)
        if key not in self.kept:
            self.kept[key] = encode(
                backbone.tokenizer,
                table.texts,
                max_length=settings["max_length"],
                keep=settings["keep"],
                names=table.ids,
            )
        return self.kept[key]


def backbone_of(settings: dict[str, Any]) -> Backbone:
    """The backbone that a neural variant starts from, opened by its name."""
    return open_backbone(settings["backbone"], tuple(settings["extra_tokens"]))


def tokens_key(settings: dict[str, Any], table: Table) -> str:
    """What tokens of a table are kept under."""
    return digest([{key: settings[key] for key in ("backbone", "max_length", "keep", "extra_tokens")}, table.sha256])


def tables_of(settings: dict[str, Any], shared: Shared, caches: Caches) -> dict[str, Callable[[], Tokens]]:
    """What a neural fit reads: the tokens of the training and of the test table, by their keys, made when called."""
    backbone, tables = caches.backbone(settings), (shared.train, shared.test)
    return {tokens_key(settings, table): partial(caches.tokens, backbone, settings, table) for table in tables}
