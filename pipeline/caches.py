"""What all fits of a process share: texts encoded once, tokenizers read once, states of frozen layers."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from models.backbone import Backbone
from models.recipe import digest
from models.saved import read_backbone
from models.tokens import Tokens, encode
from models.trunk_cache import TrunkCache


@dataclass
class Caches:
    """Tokens by table and tokenizer. What frozen layers give lies in files in `folder`, which have no name and vanish
    with the process."""

    folder: Path
    kept: dict[str, Tokens] = field(default_factory=dict)
    backbones: dict[Path, Backbone] = field(default_factory=dict)
    trunks: TrunkCache = field(init=False)

    def __post_init__(self) -> None:
        self.trunks = TrunkCache(self.folder)

    def saved_backbone(self, folder: Path, name: str) -> Backbone:
        """Configuration and tokenizer that finished fits were left with; raises ModelError if they are not there."""
        if folder not in self.backbones:
            self.backbones[folder] = read_backbone(folder, name)
        return self.backbones[folder]

    def tokens(
        self, backbone: Backbone, settings: dict[str, Any], texts: list[tuple[str, ...]], ids: list[str], name: str
    ) -> Tokens:
        """Tokens of the table that `name` (its hash) identifies."""
        how = {key: settings[key] for key in ("backbone", "max_length", "keep", "extra_tokens")}
        key = digest([how, name])
        if key not in self.kept:
            self.kept[key] = encode(
                backbone.tokenizer, texts, max_length=settings["max_length"], keep=settings["keep"], names=ids
            )
        return self.kept[key]
