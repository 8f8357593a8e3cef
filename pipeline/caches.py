"""What all fits of a process share: texts encoded once, tokenizers read once, states of frozen layers."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from models.backbone import Backbone, open_backbone
from models.recipe import digest
from models.saved import read_backbone
from models.tokens import Tokens, encode
from models.trunk_cache import TrunkCache
from pipeline.shared import Shared


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
        name, extra = settings["backbone"], tuple(settings["extra_tokens"])
        if name not in self.folders:
            return open_backbone(name, extra)
        return replace(open_backbone(str(self.folders[name]), extra), name=name)

    def saved_backbone(self, folder: Path, name: str) -> Backbone:
        """Configuration and tokenizer that finished fits were left with; raises ModelError if they are not there."""
        if folder not in self.backbones:
            self.backbones[folder] = read_backbone(folder, name)
        return self.backbones[folder]

    def tokens(
        self, backbone: Backbone, settings: dict[str, Any], texts: list[tuple[str, ...]], ids: list[str], name: str
    ) -> Tokens:
        """Tokens of the table that `name` (its hash) identifies."""
        key = tokens_key(settings, name)
        if key not in self.kept:
            self.kept[key] = encode(
                backbone.tokenizer, texts, max_length=settings["max_length"], keep=settings["keep"], names=ids
            )
        return self.kept[key]


def tokens_key(settings: dict[str, Any], name: str) -> str:
    """What tokens of the table `name` are kept under."""
    return digest([{key: settings[key] for key in ("backbone", "max_length", "keep", "extra_tokens")}, name])


def tables_of(settings: dict[str, Any], shared: Shared, caches: Caches) -> dict[str, Callable[[], Tokens]]:
    """What a neural fit reads: the tokens of the training and of the test table, by their keys, made when called."""
    tables = (shared.texts, shared.ids, shared.sha256), (shared.test.texts, shared.test.ids, shared.test.sha256)
    backbone = caches.backbone(settings)
    return {tokens_key(settings, table[2]): partial(caches.tokens, backbone, settings, *table) for table in tables}
