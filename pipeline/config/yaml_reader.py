"""Untrusted YAML: plain values in bounded time and memory, or one sentence on what is wrong."""

import itertools
import warnings
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError, YAMLWarning
from ruamel.yaml.nodes import MappingNode, Node

from pipeline.config.messages import SURROGATE, quote, shorten_to_line
from pipeline.errors import PipelineError

MOST_VALUES, DEEPEST = 100_000, 50  # with every alias written out


def parse_yaml(text: str, where: str) -> Any:
    """Return the value of a document, which `where` names. Raises PipelineError for invalid or too much YAML."""
    yaml = YAML(typ="safe", pure=True)  # YAML 1.2: 2e-5 is a number, `no` a string, a duplicate key an error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", YAMLWarning)  # an anchor twice
            node = yaml.compose(text)
            if _count_values(node, {}) > MOST_VALUES:  # before it is made: a bomb of merges goes off there
                raise ValueError(f"it holds more than {MOST_VALUES:,} values")
            return _copy_without_aliases(None if node is None else yaml.constructor.construct_document(node))
    except RecursionError as error:
        raise PipelineError(f"{where} is nested too deeply") from error
    except LookupError as error:  # of the reader's tables, for `!!bool maybe`
        raise PipelineError(f"{where} is not valid YAML: a value does not fit its tag") from error
    except (YAMLError, YAMLWarning, ValueError, TypeError, AttributeError, OverflowError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error)
        raise PipelineError(f"{where}{line} is not valid YAML: {shorten_to_line(problem)}") from error


def _count_values(node: Node | None, sizes: dict[int, int]) -> int:
    """Return the number of values under a node with every alias expanded; a cycle counts as too many."""
    if id(node) not in sizes:
        sizes[id(node)] = MOST_VALUES + 1
        inner = itertools.chain(*node.value) if isinstance(node, MappingNode) else getattr(node, "value", None)
        parts = [] if isinstance(inner, str | None) else [_count_values(part, sizes) for part in inner]
        sizes[id(node)] = min(1 + sum(parts), MOST_VALUES + 1)
    return sizes[id(node)]


def _copy_without_aliases(value: Any, depth: int = 0) -> Any:
    """Return a copy in which every alias is a value of its own, so that an override changes one place only."""
    if depth > DEEPEST:
        raise ValueError(f"it holds more than {DEEPEST} levels")
    if isinstance(value, dict):
        return {
            _copy_without_aliases(key, depth): _copy_without_aliases(inner, depth + 1) for key, inner in value.items()
        }
    if isinstance(value, list):
        return [_copy_without_aliases(inner, depth + 1) for inner in value]
    if isinstance(value, str) and SURROGATE.search(value):
        raise ValueError(f"{quote(value)} holds half a character")
    return value
