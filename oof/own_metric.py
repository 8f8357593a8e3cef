"""A metric of the user's own: a function in a Python file, and each thing that may be wrong with it as one sentence.

The file is run anew each time and leaves no trace, neither in sys.modules nor as bytecode beside it. The function gets
copies, so one that sorts in place harms nobody.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from numbers import Real
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from oof import OOFError
from oof.decide import judged
from oof.metrics import METRICS, Array, Metric, Needs, Truth


def own_metric(path: Path, function: str, *, higher_is_better: bool, needs: Needs | None, task: str) -> Metric:
    """The metric that `function(truth, predictions)` in the file at `path` computes, under the function's name.

    It gets arrays in the package's shapes; for `needs` labels, predictions are labels shaped as the truth. Raises
    OOFError if the file or the function cannot be used; so does the metric if the function raises or gives no finite
    number.
    """
    if function in METRICS:
        raise OOFError(f"metric file {path}: {function} is the name of a known metric; give the function another name")
    found, where = _function(path, function), f"metric file {path}, function {function}"

    def guarded(truth: Truth, predictions: Any) -> float:
        with _told(where):
            value = found(truth.copy(), predictions.copy())
        if not isinstance(value, Real):
            raise OOFError(f"{where}: returned {type(value).__name__}; it must return a number")
        if not math.isfinite(value):
            raise OOFError(f"{where}: returned {value}; it must return a finite number")
        return float(value)

    return Metric(function, guarded, higher_is_better, needs_of(needs, task), frozenset({task}))


def needs_of(needs: Needs | None, task: str) -> Needs:
    """What a metric of one's own gets; None is values for a regression, else probabilities.

    Raises OOFError for what a task does not give.
    """
    allowed: tuple[Needs, ...] = ("values", "ranks") if task == "regression" else ("probabilities", "labels", "ranks")
    if needs is not None and needs not in allowed:
        raise OOFError(f"a metric of task {task} cannot need {needs}; it gets {' or '.join(allowed)}")
    return needs or allowed[0]


def rehearse(metric: Metric, task: str, truth: Truth, columns: int) -> None:
    """Call a metric once, on predictions that are neither perfect nor constant: the truth of the row before.

    A function that fails must not cost a night of training. Raises its OOFError.
    """
    before = np.roll(truth, 1, axis=0)
    predictions: Array = np.asarray(before.reshape(len(truth), -1), np.float64)
    if task in ("multiclass", "ordinal"):
        predictions = np.eye(columns)[before]
    if task != "regression":  # halfway to knowing nothing
        predictions = predictions / 2 + 1 / (2 * columns if task in ("multiclass", "ordinal") else 4)
    metric.function(truth, judged(metric, task, predictions))


def _function(path: Path, name: str) -> Callable[[Truth, Any], Any]:
    if not path.is_file():
        raise OOFError(f"metric file {path} does not exist")
    module = _module(path)
    found: Any = getattr(module, name, None)
    if not callable(found):
        own = [key for key, value in vars(module).items() if getattr(value, "__module__", None) == module.__name__]
        raise OOFError(f"metric file {path} has no function {name!r}; it has {', '.join(own) or 'none'}")
    return found  # type: ignore[no-any-return]


def _module(path: Path) -> ModuleType:
    loader = SourceFileLoader("own_metric", str(path))
    spec = spec_from_file_location("own_metric", path, loader=loader)
    assert spec is not None
    module = module_from_spec(spec)
    with _told(f"metric file {path}"):
        # not loader.exec_module: it writes bytecode, and takes old one for a file edited twice within a second
        exec(loader.source_to_code(path.read_bytes(), str(path)), vars(module))
    return module


@contextmanager
def _told(where: str) -> Iterator[None]:
    """What the user's code raises, as a sentence."""
    try:
        yield
    except (Exception, SystemExit) as error:
        said = " ".join(f"{type(error).__name__}: {error}".split())
        raise OOFError(f"{where}: raised {said}") from error
