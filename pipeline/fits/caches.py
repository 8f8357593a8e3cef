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
from models.tokens import Tokens, encode_texts
from models.training.frozen_cache import FrozenStateCache
from pipeline.data.competition import TextTable
from pipeline.fits.inputs import FitInputs


@dataclass
class Caches:
    """Tokens by table and tokenizer, saved backbones by folder, and the output of frozen layers.

    The output of frozen layers is in files without a name in `folder`. `backbone_folders` holds the folders of
    backbones that this machine does not find by their names.
    """

    folder: Path
    tokens: dict[str, Tokens] = field(default_factory=dict)
    backbone_folders: dict[str, Path] = field(default_factory=dict)
    saved_backbones: dict[Path, Backbone] = field(default_factory=dict)
    frozen_states: FrozenStateCache = field(init=False)

    def __post_init__(self) -> None:
        self.frozen_states = FrozenStateCache(self.folder)

    def open_backbone(self, settings: TrainingSettings) -> Backbone:
        """Return the backbone that a neural variant starts from. Raises ModelError if it cannot be used."""
        name = settings.backbone
        if name not in self.backbone_folders:
            return open_backbone_of(settings)
        backbone = open_backbone(str(self.backbone_folders[name]), settings.extra_tokens)
        return dataclasses.replace(backbone, name=name)

    def read_saved_backbone(self, folder: Path, name: str) -> Backbone:
        """Return configuration and tokenizer from a recipe's folder. Raises ModelError if they are not there."""
        if folder not in self.saved_backbones:
            self.saved_backbones[folder] = read_backbone(folder, name)
        return self.saved_backbones[folder]

    def encode_table(self, backbone: Backbone, settings: TrainingSettings, table: TextTable) -> Tokens:
        """Return the tokens of a table, which are computed once for its hash."""
        key = make_tokens_key(settings, table)
        if key not in self.tokens:
            self.tokens[key] = encode_texts(
                backbone.tokenizer,
                table.texts,
                max_length=settings.max_length,
                keep=settings.keep,
                names=table.ids,
            )
        return self.tokens[key]


def open_backbone_of(settings: TrainingSettings) -> Backbone:
    """Return the backbone that a neural variant starts from, opened by its name."""
    return open_backbone(settings.backbone, settings.extra_tokens)


def make_tokens_key(settings: TrainingSettings, table: TextTable) -> str:
    """Return the key of a table's tokens in the caches."""
    return digest([settings.backbone, settings.max_length, settings.keep, settings.extra_tokens, table.sha256])


def list_token_tables(settings: TrainingSettings, inputs: FitInputs, caches: Caches) -> dict[str, Callable[[], Tokens]]:
    """Return functions that encode the training and the test table, by the keys of their tokens."""
    backbone = caches.open_backbone(settings)
    return {
        make_tokens_key(settings, table): partial(caches.encode_table, backbone, settings, table)
        for table in (inputs.train, inputs.test)
    }
