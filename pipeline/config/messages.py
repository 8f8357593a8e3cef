"""Messages about bad input: quoted values, nearest known names, and the problems of a config with their paths."""

import difflib
import re
from collections.abc import Mapping, Sequence
from reprlib import Repr
from typing import Any

from pydantic import ValidationError
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import ErrorDetails

CONTROL = r"[\x00-\x1f\x7f-\x9f]"  # refused in ids
SURROGATE = re.compile("[\ud800-\udfff]")  # half a character, which no file can hold
MOST_PROBLEMS = 100
_quoting = Repr()
_quoting.maxstring = _quoting.maxother = _quoting.maxlong = 100


def quote(value: object) -> str:
    """Return untrusted text in quotes: escaped, and cut in the middle where it is long."""
    return _quoting.repr(value)


def suggest_nearest(name: str, known: Sequence[str]) -> str:
    """Return '; did you mean X?' for a misspelt name, or an empty text."""
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def quote_if_needed(name: str) -> str:
    """Return a name unchanged, or in quotes if it is long, invisible or would break the line."""
    return name if name.isprintable() and 0 < len(name) < 60 else quote(name)


def join_names(names: Sequence[str], most: int = 30) -> str:
    """Return names separated by commas, the first `most` of them."""
    return ", ".join(map(quote_if_needed, names[:most])) + (
        f" and {len(names) - most} more" if len(names) > most else ""
    )


def shorten_to_line(error: object) -> str:
    """Return another library's message on one line of at most 200 characters."""
    words = " ".join(str(error).split())[:200]
    return "".join(letter if letter.isprintable() else "?" for letter in words)


def describe_problems(
    error: ValidationError, raw: Mapping[str, object], whole: JsonSchemaValue
) -> dict[str, list[str]]:
    """Return the problems of a config by the path as the user wrote it in `raw`; `whole` is the JSON schema."""
    found: dict[str, list[str]] = {}
    for problem in error.errors(include_url=False)[:MOST_PROBLEMS]:
        found.setdefault(_rebuild_path(problem, raw), []).append(_describe_problem(problem, whole))
    # a value that may be of several types is refused by each; the one that read furthest into it speaks
    return {path: said for path, said in found.items() if not any(other.startswith(f"{path}.") for other in found)}


def _rebuild_path(problem: ErrorDetails, raw: Mapping[str, object]) -> str:
    """Return the path of a problem without the parts that pydantic adds: names of alternatives, keys of a long form."""
    path, last = list[str](), len(problem["loc"]) - 1
    place: Any = raw
    for depth, part in enumerate(problem["loc"]):
        inside = part in place if isinstance(place, dict) else isinstance(place, list) and isinstance(part, int)
        if inside or (problem["type"] == "missing" and depth == last):
            path.append(quote_if_needed(str(part)))
        if inside:
            place = place[part]
    return ".".join(path)


def _describe_problem(problem: ErrorDetails, whole: JsonSchemaValue) -> str:
    value, context, kind = problem["input"], problem.get("ctx", {}), problem["type"]
    if kind == "extra_forbidden":
        known = sorted(_list_known_keys(whole, problem["loc"][:-1]))
        return f"unknown key{suggest_nearest(str(problem['loc'][-1]), known)}; known ones: {', '.join(known)}"
    if kind in {"literal_error", "union_tag_invalid"}:
        got = str(context.get("tag", value))
        known = [name.strip("' ") for name in _list_expected(context)]
        return f"{quote(got)} is unknown{suggest_nearest(got, known)}; known ones: {', '.join(known)}"
    if kind == "missing":
        return "this key is required"
    if kind == "value_error":
        return str(context["error"])
    got = "" if isinstance(value, (dict, list)) else f", got {quote(value)}"
    return f"{problem['msg'][0].lower()}{problem['msg'][1:]}{got}"


def _list_expected(context: Mapping[str, object]) -> list[str]:
    return str(context.get("expected_tags") or context.get("expected")).replace(" or ", ", ").split(", ")


def _list_known_keys(whole: JsonSchemaValue, loc: Sequence[Any]) -> set[str]:
    """Return the keys that the schema, in any of its alternatives, allows at a place of the config."""
    places = _expand_alternatives(whole, whole)
    for key in loc:
        inner = [p["properties"][key] for p in places if key in p.get("properties", {})]
        inner += [p["additionalProperties"] for p in places if isinstance(p.get("additionalProperties"), dict)]
        inner += [form for p in places for form in p.get("patternProperties", {}).values()]
        inner += [p["items"] for p in places if isinstance(key, int) and "items" in p]
        if inner:
            places = [a for place in inner for a in _expand_alternatives(place, whole)]
        else:  # this part of the path names an alternative
            places = [p for p in places if _matches_title(p, key)] or places
    return {key for place in places for key in place.get("properties", {})}


def _matches_title(place: JsonSchemaValue, tag: Any) -> bool:
    kind = place.get("properties", {}).get("kind", {})
    return tag in {kind.get("const"), *kind.get("enum", [])} or place.get("title", "").lower().startswith(str(tag))


def _expand_alternatives(place: JsonSchemaValue, whole: JsonSchemaValue) -> list[JsonSchemaValue]:
    if "$ref" in place:
        return _expand_alternatives(whole["$defs"][place["$ref"].split("/")[-1]], whole)
    branches = place.get("anyOf", []) + place.get("oneOf", [])
    return [a for branch in branches for a in _expand_alternatives(branch, whole)] if branches else [place]
