"""The config: one strict YAML file, whose parts are described beside the code they belong to.

Every problem is reported at once, each with its path and, for a misspelt name, the nearest known one.
"""

import difflib
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError, model_validator
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from folds.spec import FoldSpec
from models.spec import LinearVariantSpec, Name, NeuralVariantSpec, TrainingSpec
from oof.spec import BlendSpec
from pipeline.errors import PipelineError
from pipeline.spec import CompetitionSpec
from submissions.spec import SubmissionSpec


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

    @model_validator(mode="after")
    def _names_are_free(self) -> Self:
        if taken := set(self.blend.extra) & set(self.variants):
            raise ValueError(f"blend.extra and variants both name {sorted(taken)[0]!r}; choose another name")
        return self

    @model_validator(mode="after")
    def _effective_settings_agree(self) -> Self:
        # a variant's own keys and the defaults of `training` may each be right and contradict each other together
        for name, spec in self.variants.items():
            if isinstance(spec, NeuralVariantSpec):
                try:
                    TrainingSpec.model_validate(self.settings(name))
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
    if not path.is_file():
        raise PipelineError(
            f"config {path} does not exist; `python run.py init FOLDER` writes one for a competition folder"
        )
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise PipelineError(f"config {path} is not UTF-8 text (byte {error.start})") from error
    raw = _parse(text, str(path))
    if not isinstance(raw, dict):
        raise PipelineError(f"config {path} must hold keys such as run, competition and variants")
    for override in overrides:
        _override(raw, override)
    try:
        return Config.model_validate(raw)
    except ValidationError as error:
        problems = _problems(error, raw)
        lines = "\n".join(f"  {where or 'config'}: {', or '.join(said)}" for where, said in problems.items())
        raise PipelineError(f"config {path} has {len(problems)} problem(s):\n{lines}") from error


def write_config(path: Path, config: Config) -> None:
    """Write the effective config, defaults included."""
    buffer = io.StringIO()
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style, yaml.sort_base_mapping_type_on_output = False, False  # type: ignore[assignment]
    yaml.dump(json.loads(json.dumps(_effective(config))), buffer)
    path.write_text(buffer.getvalue(), encoding="utf-8")


def schema() -> str:
    """The JSON schema of a config, for editors that complete and check."""
    return json.dumps(Config.model_json_schema(), indent=1)


def nearest(name: str, known: Sequence[str]) -> str:
    """'; did you mean X?' for a misspelt name, or nothing."""
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _effective(config: Config) -> dict[str, Any]:
    """A variant shows its own keys only: the defaults of `training` stand there once."""
    plain = config.model_dump()
    for name, spec in config.variants.items():
        plain["variants"][name] = spec.model_dump(include=spec.model_fields_set)
    return plain


def _parse(text: str, where: str) -> Any:
    yaml = YAML(typ="safe", pure=True)  # YAML 1.2: 2e-5 is a number, `no` a string, a duplicate key an error
    try:
        return yaml.load(text)
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error)
        raise PipelineError(f"{where}{line} is not valid YAML: {' '.join(str(problem).split())}") from error


def _override(raw: dict[str, Any], override: str) -> None:
    path, equals, text = override.partition("=")
    keys = path.split(".")
    if not equals or not all(keys):
        raise PipelineError(f"override {override!r} must have the form key.path=value")
    place: Any = raw
    for key in keys[:-1]:
        place = place.setdefault(key, {})
        if not isinstance(place, dict):
            raise PipelineError(f"override {override!r}: {key} holds no keys in this config")
    place[keys[-1]] = _parse(text, f"override {override!r}")


def _problems(error: ValidationError, raw: dict[str, Any]) -> dict[str, list[str]]:
    """What is wrong, by the path as the user wrote it."""
    whole, found = Config.model_json_schema(), dict[str, list[str]]()
    for problem in error.errors():
        found.setdefault(_written(problem, raw), []).append(_sentence(problem, whole))
    # a value that may be of several types is refused by each; the one that read furthest into it speaks
    return {path: said for path, said in found.items() if not any(other.startswith(f"{path}.") for other in found)}


def _written(problem: ErrorDetails, raw: dict[str, Any]) -> str:
    """The path of a problem without what pydantic adds: the names of alternatives, and keys of a long form."""
    path, last = list[str](), len(problem["loc"]) - 1
    place: Any = raw
    for depth, part in enumerate(problem["loc"]):
        inside = part in place if isinstance(place, dict) else isinstance(place, list) and isinstance(part, int)
        if inside or (problem["type"] == "missing" and depth == last):
            path.append(str(part))
        if inside:
            place = place[part]
    return ".".join(path)


def _sentence(problem: ErrorDetails, whole: dict[str, Any]) -> str:
    value, context, kind = problem["input"], problem.get("ctx", {}), problem["type"]
    if kind == "extra_forbidden":
        known = sorted(_known_keys(whole, problem["loc"][:-1]))
        return f"unknown key{nearest(str(problem['loc'][-1]), known)}; known ones: {', '.join(known)}"
    if kind in {"literal_error", "union_tag_invalid"}:
        got = str(context.get("tag", value))
        known = [name.strip("' ") for name in _expected(context)]
        return f"{got!r} is unknown{nearest(got, known)}; known ones: {', '.join(known)}"
    if kind == "missing":
        return "this key is required"
    if kind == "value_error":
        return str(context["error"])
    got = "" if isinstance(value, (dict, list)) else f", got {value!r}"
    return f"{problem['msg'][0].lower()}{problem['msg'][1:]}{got}"


def _expected(context: dict[str, Any]) -> list[str]:
    return str(context.get("expected_tags") or context.get("expected")).replace(" or ", ", ").split(", ")


def _known_keys(whole: dict[str, Any], loc: Sequence[Any]) -> set[str]:
    """Keys that may stand at a place of the config: what its schema, in any of its alternatives, has."""
    places = _alternatives(whole, whole)
    for key in loc:
        inner = [p["properties"][key] for p in places if key in p.get("properties", {})]
        inner += [p["additionalProperties"] for p in places if isinstance(p.get("additionalProperties"), dict)]
        inner += [form for p in places for form in p.get("patternProperties", {}).values()]
        inner += [p["items"] for p in places if isinstance(key, int) and "items" in p]
        if inner:
            places = [a for place in inner for a in _alternatives(place, whole)]
        else:  # this part of the path names an alternative
            places = [p for p in places if _is_called(p, key)] or places
    return {key for place in places for key in place.get("properties", {})}


def _is_called(place: dict[str, Any], tag: Any) -> bool:
    kind = place.get("properties", {}).get("kind", {})
    return tag in {kind.get("const"), *kind.get("enum", [])} or place.get("title", "").lower().startswith(str(tag))


def _alternatives(place: dict[str, Any], whole: dict[str, Any]) -> list[dict[str, Any]]:
    if "$ref" in place:
        return _alternatives(whole["$defs"][place["$ref"].split("/")[-1]], whole)
    branches = place.get("anyOf", []) + place.get("oneOf", [])
    return [a for branch in branches for a in _alternatives(branch, whole)] if branches else [place]
