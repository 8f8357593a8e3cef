"""The config: one strict YAML file, whose parts are described beside the code they belong to.

Every problem is reported at once, each with its path and, for a misspelt name, the nearest known one.
"""

import io
import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, PrivateAttr, Tag, ValidationError, model_validator
from ruamel.yaml import YAML

from folds.spec import FoldSpec
from models.settings import Variant
from models.spec import LinearVariantSpec, Name, NeuralVariantSpec, TrainingSpec, build_variant, list_effective_values
from oof.spec import BlendSpec
from pipeline.config.competition_spec import CompetitionSpec
from pipeline.config.messages import MOST_PROBLEMS, SURROGATE, describe_problems, quote, quote_if_needed
from pipeline.config.yaml_reader import DEEPEST, parse_yaml
from pipeline.errors import PipelineError
from submissions.spec import SubmissionSpec

MOST_BYTES = 300_000  # no config written by hand is longer
RESERVED = re.compile(
    r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?|.*\.", re.IGNORECASE
)  # not allowed as file names on Windows


def _get_variant_kind(value: Any) -> str:
    linear = "model" in value if isinstance(value, dict) else isinstance(value, LinearVariantSpec)
    return "linear" if linear else "neural"


VariantSpec = Annotated[
    Annotated[NeuralVariantSpec, Tag("neural")] | Annotated[LinearVariantSpec, Tag("linear")],
    Discriminator(_get_variant_kind),
]


@dataclass(frozen=True)
class CommandLine:
    """The options of a call that its next commands repeat: the config file and the overrides."""

    options: str = ""

    def format(self, verb: str, more: str = "") -> str:
        """Return the command line of a verb for the same file and overrides, with `more` options behind."""
        return f"python run.py {verb}{self.options}{more}"


class RunConfig(BaseModel):
    """A whole config, as it was read; `open_run` hands its typed parts on."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    run: Name = Field(description="name of the run: its directory is runs/<run>")
    competition: CompetitionSpec
    folds: FoldSpec = FoldSpec()
    training: TrainingSpec = TrainingSpec()
    variants: dict[Name, VariantSpec] = Field(min_length=1, description="named recipes, each trained over all folds")
    blend: BlendSpec = BlendSpec()
    submission: SubmissionSpec = SubmissionSpec()
    _command_line: CommandLine = PrivateAttr(CommandLine())

    @property
    def command_line(self) -> CommandLine:
        """The options that select this file and its overrides."""
        return self._command_line

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        # a member's name becomes a file's, and some file systems do not tell A from a
        own = {name.lower(): name for name in [*self.variants, *self._list_members()]}
        if taken := [name for name in self.blend.extra if name.lower() in own]:
            raise ValueError(f"blend.extra and variants both name {taken[0]!r}; choose another name")
        for names in (self.variants, self.blend.extra):
            alike = {name.lower(): name for name in names}
            if twice := [name for name in names if alike[name.lower()] != name]:
                both = f"{twice[0]!r} and {alike[twice[0].lower()]!r}"
                raise ValueError(f"{both} differ in case alone; choose another name")
        for name in [*self.variants, *self._list_members(), *self.blend.extra]:
            if name.lower() == "blend" or name.lower().endswith(".test") or RESERVED.fullmatch(name):
                raise ValueError(f"{name!r} cannot name a member; choose another name")
            if f"{name}.csv".lower() == self.submission.file.lower():
                raise ValueError(
                    f"{name!r} cannot name a member, because submission.file is {self.submission.file!r}; choose "
                    "another name"
                )
        for key, name in (("run", self.run), ("submission.file", self.submission.file)):
            if RESERVED.fullmatch(name):
                raise ValueError(f"{key} is {name!r}, which cannot name a file; choose another name")
        return self

    def _list_members(self) -> list[str]:
        """Return the members of variants with several poolings."""
        several = {name: spec.poolings for name, spec in self.variants.items() if isinstance(spec, NeuralVariantSpec)}
        return [f"{name}.{pooling}" for name, poolings in several.items() for pooling in poolings or {}]

    @model_validator(mode="after")
    def _check_effective_settings(self) -> Self:
        # a variant's own keys and the defaults of `training` may each be right and contradict each other together
        for name, spec in self.variants.items():
            values = spec.model_dump()
            if isinstance(spec, NeuralVariantSpec):
                values = list_effective_values(spec, self.training)
            for key in ("label_smoothing", "class_weights"):
                if self.competition.task == "regression" and values.get(key):
                    raise ValueError(f"variants.{name}: {key} has no meaning for a regression")
            if isinstance(spec, NeuralVariantSpec):
                try:
                    TrainingSpec.model_validate(values)
                except ValidationError as error:
                    raise ValueError(
                        f"variants.{name} with the defaults of training: {error.errors()[0]['ctx']['error']}"
                    ) from error
        return self

    def build_variants(self) -> dict[str, Variant]:
        """Return the variants by name, each with its effective settings."""
        return {name: build_variant(name, spec, self.training) for name, spec in self.variants.items()}


def read_config(path: Path, overrides: Sequence[str] = ()) -> RunConfig:
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
        _apply_override(raw, override)
    try:
        config = RunConfig.model_validate(raw)
    except ValidationError as error:
        problems = describe_problems(error, raw, RunConfig.model_json_schema())
        lines = "\n".join(f"  {where or 'config'}: {', or '.join(said)}" for where, said in problems.items())
        more = " or more" if error.error_count() > MOST_PROBLEMS else ""
        raise PipelineError(f"config {path} has {len(problems)}{more} problem(s):\n{lines}") from error
    named = [] if path == Path("config.yaml") else ["--config", str(path)]
    config._command_line = CommandLine("".join(f" {shlex.quote(word)}" for word in [*named, *overrides]))
    return config


def write_effective_yaml(config: RunConfig) -> str:
    """Return the effective config, defaults included, as YAML."""
    buffer = io.StringIO()
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style, yaml.sort_base_mapping_type_on_output = False, False  # type: ignore[assignment]
    yaml.dump(json.loads(json.dumps(_list_effective(config))), buffer)
    return buffer.getvalue()


def build_schema() -> str:
    """Return the JSON schema of a config, for editors that complete and check."""
    return json.dumps(RunConfig.model_json_schema(), indent=1)


def _list_effective(config: RunConfig) -> dict[str, Any]:
    """Return the config as plain values; a variant shows its own keys only, `training` the defaults."""
    plain = config.model_dump()
    for name, spec in config.variants.items():
        plain["variants"][name] = spec.model_dump(include=spec.model_fields_set)
    return plain


def _apply_override(raw: dict[str, object], override: str) -> None:
    path, equals, text = override.partition("=")
    keys, named = path.split("."), f"override {quote(override)}"
    if not equals or not all(keys) or len(keys) > DEEPEST or SURROGATE.search(path):
        raise PipelineError(f"{named} must have the form key.path=value")
    place: Any = raw
    for key in keys[:-1]:
        place = place.setdefault(key, {})
        if not isinstance(place, dict):
            raise PipelineError(f"{named}: {quote_if_needed(key)} holds no keys in this config")
    place[keys[-1]] = parse_yaml(text, named)
