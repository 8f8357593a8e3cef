"""Caches of a process: texts encoded once, tokenizers read once, states of frozen layers computed once."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from models.encoder.backbone import Backbone, open_backbone
from models.saved import read_backbone
from models.settings import TrainingSettings
from models.store import digest
from models.tokens import Tokens, encode
from models.training.frozen_cache import TrunkCache
from pipeline.data.competition import TextTable
from pipeline.fits.inputs import FitInputs


@dataclass
class Caches:
    """Tokens by table and tokenizer, backbones, and the states of frozen layers, whose files in `folder` have no name.

    `folders` says where a backbone lies that is not found by its name on this machine.
    """

    folder: Path
    kept: dict[str, Tokens] = field(default_factory=dict)
    folders: dict[str, Path] = field(default_factory=dict)
    backbones: dict[Path, Backbone] = field(default_factory=dict)
    trunks: TrunkCache = field(init=False)

    def __post_init__(self) -> None:
        self.trunks = TrunkCache(self.folder)

    def backbone(self, settings: TrainingSettings) -> Backbone:
        """Return the backbone that a neural variant starts from. Raises ModelError if it cannot be used."""
        name = settings.backbone
        if name not in self.folders:
            return open_backbone_of(settings)
        return dataclasses.replace(open_backbone(str(self.folders[name]), settings.extra_tokens), name=name)

    def saved_backbone(self, folder: Path, name: str) -> Backbone:
        """Return configuration and tokenizer that fits left in a folder. Raises ModelError if they are not there."""
        if folder not in self.backbones:
            self.backbones[folder] = read_backbone(folder, name)
        return self.backbones[folder]

    def tokens(self, backbone: Backbone, settings: TrainingSettings, table: TextTable) -> Tokens:
        """Return the tokens of a table, which is known by its hash."""
        key = make_tokens_key(settings, table)
        if key not in self.kept:
            self.kept[key] = encode(
                backbone.tokenizer,
                table.texts,
                max_length=settings.max_length,
                keep=settings.keep,
                names=table.ids,
            )
        return self.kept[key]


def open_backbone_of(settings: TrainingSettings) -> Backbone:
    """Return the backbone that a neural variant starts from, opened by its name."""
    return open_backbone(settings.backbone, settings.extra_tokens)


def make_tokens_key(settings: TrainingSettings, table: TextTable) -> str:
    """Return the key of a table's tokens in the caches."""
    return digest([settings.backbone, settings.max_length, settings.keep, settings.extra_tokens, table.sha256])


def list_token_tables(settings: TrainingSettings, inputs: FitInputs, caches: Caches) -> dict[str, Callable[[], Tokens]]:
    """Return functions that make the tokens of the training and of the test table, by their keys."""
    backbone = caches.backbone(settings)
    tables = (inputs.train, inputs.test)
    return {make_tokens_key(settings, table): partial(caches.tokens, backbone, settings, table) for table in tables}
