"""Caches of a process: texts encoded once, tokenizers read once, states of frozen layers computed once.

They are there for linear fits too, which import no torch: it is imported when a cache is first used.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from models.settings import TrainingSettings
from models.store import digest
from pipeline.data.competition import TextTable
from pipeline.fits.inputs import FitInputs

if TYPE_CHECKING:
    from models.encoder.backbone import Backbone
    from models.tokens import Tokens
    from models.training.frozen_cache import FrozenStateCache


@dataclass
class Caches:
    """Tokens by table and tokenizer, saved backbones by folder, and the output of frozen layers.

    The output of frozen layers is in files without a name in `folder`. `backbone_folders` holds the folders of
    backbones that this machine does not find by their names.
    """

    folder: Path
    tokens: dict[str, "Tokens"] = field(default_factory=dict)
    backbone_folders: dict[str, Path] = field(default_factory=dict)
    saved_backbones: dict[Path, "Backbone"] = field(default_factory=dict)

    @cached_property
    def frozen_states(self) -> "FrozenStateCache":
        """Return the cache of the output of frozen layers."""
        from models.training.frozen_cache import FrozenStateCache

        return FrozenStateCache(self.folder)

    def open_backbone(self, settings: TrainingSettings) -> "Backbone":
        """Return the backbone that a neural variant starts from. Raises ModelError if it cannot be used."""
        from models.encoder.backbone import open_backbone

        name = settings.backbone
        if name not in self.backbone_folders:
            return open_backbone_of(settings)
        backbone = open_backbone(str(self.backbone_folders[name]), settings.extra_tokens)
        return dataclasses.replace(backbone, name=name)

    def read_saved_backbone(self, folder: Path, name: str) -> "Backbone":
        """Return configuration and tokenizer from a recipe's folder. Raises ModelError if they are not there."""
        from models.saved import read_backbone

        if folder not in self.saved_backbones:
            self.saved_backbones[folder] = read_backbone(folder, name)
        return self.saved_backbones[folder]

    def encode_table(self, backbone: "Backbone", settings: TrainingSettings, table: TextTable) -> "Tokens":
        """Return the tokens of a table, which are computed once for its hash."""
        from models.tokens import encode_texts

        key = make_tokens_key(settings, table)
        if key not in self.tokens:
            self.tokens[key] = encode_texts(
                backbone.tokenizer,
                table.texts,
                max_length=settings.max_length,
                keep=settings.keep,
                separator=backbone.separator,
            )
        return self.tokens[key]


def open_backbone_of(settings: TrainingSettings) -> "Backbone":
    """Return the backbone that a neural variant starts from, opened by its name."""
    from models.encoder.backbone import open_backbone

    return open_backbone(settings.backbone, settings.extra_tokens)


def make_tokens_key(settings: TrainingSettings, table: TextTable) -> str:
    """Return the key of a table's tokens in the caches."""
    return digest([settings.backbone, settings.max_length, settings.keep, settings.extra_tokens, table.sha256])


def list_token_tables(
    settings: TrainingSettings, inputs: FitInputs, caches: Caches
) -> dict[str, Callable[[], "Tokens"]]:
    """Return functions that encode the training and the test table, by the keys of their tokens."""
    backbone = caches.open_backbone(settings)
    return {
        make_tokens_key(settings, table): partial(caches.encode_table, backbone, settings, table)
        for table in (inputs.train, inputs.test)
    }
