"""Problems of a config as sentences: the path as the user wrote it, what is wrong, and the nearest known name."""

import difflib
import re
from collections.abc import Sequence
from reprlib import Repr
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

__all__ = ["CONTROL", "SURROGATE", "described", "listed", "nearest", "one_line", "plain", "shown"]
CONTROL = r"[\x00-\x1f\x7f-\x9f]"  # no id holds such a character
SURROGATE = re.compile("[\ud800-\udfff]")  # half a character, which no file can hold
MOST_PROBLEMS = 100
_quoting = Repr()
_quoting.maxstring = _quoting.maxother = _quoting.maxlong = 100


def shown(value: object) -> str:
    """What a stranger wrote, quoted: escaped, and cut in the middle where it is long."""
    return _quoting.repr(value)


def nearest(name: str, known: Sequence[str]) -> str:
    """'; did you mean X?' for a misspelt name, or nothing."""
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def plain(name: str) -> str:
    """A name as it is; quoted if it would break the line, fill it or not be seen."""
    return name if name.isprintable() and 0 < len(name) < 60 else shown(name)


def listed(names: Sequence[str], most: int = 30) -> str:
    """Names in a row."""
    return ", ".join(map(plain, names[:most])) + (f" and {len(names) - most} more" if len(names) > most else "")


def one_line(error: object) -> str:
    """Another library's message on one line of at most 200 characters."""
    words = " ".join(str(error).split())[:200]
    return "".join(letter if letter.isprintable() else "?" for letter in words)


def described(error: ValidationError, raw: dict[str, Any], whole: dict[str, Any]) -> dict[str, list[str]]:
    """What is wrong, by the path as the user wrote it in `raw`; `whole` is the JSON schema that it should follow."""
    found: dict[str, list[str]] = {}
    for problem in error.errors(include_url=False)[:MOST_PROBLEMS]:
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
            path.append(plain(str(part)))
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
        return f"{shown(got)} is unknown{nearest(got, known)}; known ones: {', '.join(known)}"
    if kind == "missing":
        return "this key is required"
    if kind == "value_error":
        return str(context["error"])
    got = "" if isinstance(value, (dict, list)) else f", got {shown(value)}"
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
