"""The config: one strict YAML file, whose parts are described beside the code they belong to.

Every problem is reported at once, each with its path and, for a misspelt name, the nearest known one.
"""

import io
import json
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, PrivateAttr, Tag, ValidationError, model_validator
from ruamel.yaml import YAML

from folds.spec import FoldSpec
from models.spec import LinearVariantSpec, Name, NeuralVariantSpec, TrainingSpec
from oof.spec import BlendSpec
from pipeline.config.competition_spec import CompetitionSpec
from pipeline.config.messages import MOST_PROBLEMS, SURROGATE, described, plain, shown
from pipeline.config.yaml_reader import DEEPEST, parse_yaml
from pipeline.errors import PipelineError
from submissions.spec import SubmissionSpec

MOST_BYTES = 300_000  # what takes longer to read than to write
RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?|.*\.", re.IGNORECASE)  # no files' names on Windows


def _variant_kind(value: Any) -> str:
    linear = "model" in value if isinstance(value, dict) else isinstance(value, LinearVariantSpec)
    return "linear" if linear else "neural"


VariantSpec = Annotated[
    Annotated[NeuralVariantSpec, Tag("neural")] | Annotated[LinearVariantSpec, Tag("linear")],
    Discriminator(_variant_kind),
]


class Config(BaseModel):
    """A whole config. `folder` is where its relative paths start."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    run: Name = Field(description="name of the run: its directory is runs/<run>")
    competition: CompetitionSpec
    folds: FoldSpec = FoldSpec()
    training: TrainingSpec = TrainingSpec()
    variants: dict[Name, VariantSpec] = Field(min_length=1, description="named recipes, each trained over all folds")
    blend: BlendSpec = BlendSpec()
    submission: SubmissionSpec = SubmissionSpec()
    _words: str = PrivateAttr("")

    def command(self, verb: str) -> str:
        """The command line of another verb for the same file and overrides."""
        return f"python run.py {verb}{self._words}"

    @model_validator(mode="after")
    def _names_are_free(self) -> Self:
        # a member's name becomes a file's, and some file systems do not tell A from a
        own = {name.lower(): name for name in [*self.variants, *self._members()]}
        if taken := [name for name in self.blend.extra if name.lower() in own]:
            raise ValueError(f"blend.extra and variants both name {taken[0]!r}; choose another name")
        for names in (self.variants, self.blend.extra):
            alike = {name.lower(): name for name in names}
            if twice := [name for name in names if alike[name.lower()] != name]:
                both = f"{twice[0]!r} and {alike[twice[0].lower()]!r}"
                raise ValueError(f"{both} differ in case alone; choose another name")
        for name in [*self.variants, *self._members(), *self.blend.extra]:
            if name.lower() == "blend" or name.lower().endswith(".test") or RESERVED.fullmatch(name):
                raise ValueError(f"{name!r} cannot name a member; choose another name")
        for key, name in (("run", self.run), ("submission.file", self.submission.file)):
            if RESERVED.fullmatch(name):
                raise ValueError(f"{key} is {name!r}, which cannot name a file; choose another name")
        return self

    def _members(self) -> list[str]:
        """The members of variants with several poolings."""
        several = {name: spec.poolings for name, spec in self.variants.items() if isinstance(spec, NeuralVariantSpec)}
        return [f"{name}.{pooling}" for name, poolings in several.items() for pooling in poolings or {}]

    @model_validator(mode="after")
    def _effective_settings_agree(self) -> Self:
        # a variant's own keys and the defaults of `training` may each be right and contradict each other together
        for name, spec in self.variants.items():
            settings = self.settings(name)
            for key in ("label_smoothing", "class_weights"):
                if self.competition.task == "regression" and settings.get(key):
                    raise ValueError(f"variants.{name}: {key} has no meaning for a regression")
            if isinstance(spec, NeuralVariantSpec):
                try:
                    TrainingSpec.model_validate(settings)
                except ValidationError as error:
                    raise ValueError(
                        f"variants.{name} with the defaults of training: {error.errors()[0]['ctx']['error']}"
                    ) from error
        return self

    def settings(self, variant: str) -> dict[str, Any]:
        """The effective settings of a variant: the defaults of `training` under its own keys, as plain values."""
        spec = self.variants[variant]
        if isinstance(spec, LinearVariantSpec):
            return spec.model_dump()
        own = spec.model_dump(exclude={"pooling", "poolings"}, include=spec.model_fields_set)
        return {**self.training.model_dump(), **own}


def read_config(path: Path, overrides: Sequence[str] = ()) -> Config:
    """Read a config file and apply `key.path=value` overrides.

    Raises PipelineError that lists every problem, each with its path.
    """
    try:
        str(path.absolute()).encode()
    except UnicodeEncodeError as error:
        raise PipelineError(f"the path of {path} is not UTF-8: rename its folder") from error
    if path.is_dir():
        raise PipelineError(f"config {path} is a folder: name the file in it, {path / 'config.yaml'} for one")
    if not path.is_file():
        raise PipelineError(
            f"config {path} does not exist; `python run.py init FOLDER` writes one for a competition folder"
        )
    if path.stat().st_size > MOST_BYTES:
        raise PipelineError(f"config {path} is larger than {MOST_BYTES:,} bytes; is it the right file?")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise PipelineError(f"config {path} is not UTF-8 text (byte {error.start})") from error
    raw = parse_yaml(text, str(path))
    if not isinstance(raw, dict):
        raise PipelineError(f"config {path} must hold keys such as run, competition and variants")
    for override in overrides:
        _override(raw, override)
    try:
        config = Config.model_validate(raw)
    except ValidationError as error:
        problems = described(error, raw, Config.model_json_schema())
        lines = "\n".join(f"  {where or 'config'}: {', or '.join(said)}" for where, said in problems.items())
        more = " or more" if error.error_count() > MOST_PROBLEMS else ""
        raise PipelineError(f"config {path} has {len(problems)}{more} problem(s):\n{lines}") from error
    named = [] if path == Path("config.yaml") else ["--config", str(path)]
    config._words = "".join(f" {shlex.quote(word)}" for word in [*named, *overrides])
    return config


def effective_yaml(config: Config) -> str:
    """The effective config, defaults included, as YAML."""
    buffer = io.StringIO()
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style, yaml.sort_base_mapping_type_on_output = False, False  # type: ignore[assignment]
    yaml.dump(json.loads(json.dumps(_effective(config))), buffer)
    return buffer.getvalue()


def schema() -> str:
    """The JSON schema of a config, for editors that complete and check."""
    return json.dumps(Config.model_json_schema(), indent=1)


def _effective(config: Config) -> dict[str, Any]:
    """A variant shows its own keys only: the defaults of `training` stand there once."""
    plain = config.model_dump()
    for name, spec in config.variants.items():
        plain["variants"][name] = spec.model_dump(include=spec.model_fields_set)
    return plain


def _override(raw: dict[str, Any], override: str) -> None:
    path, equals, text = override.partition("=")
    keys, named = path.split("."), f"override {shown(override)}"
    if not equals or not all(keys) or len(keys) > DEEPEST or SURROGATE.search(path):
        raise PipelineError(f"{named} must have the form key.path=value")
    place: Any = raw
    for key in keys[:-1]:
        place = place.setdefault(key, {})
        if not isinstance(place, dict):
            raise PipelineError(f"{named}: {plain(key)} holds no keys in this config")
    place[keys[-1]] = parse_yaml(text, named)
