"""A metric of the user's own: a function in a Python file, and each thing that may be wrong with it as one sentence.

The file is run anew each time and leaves no trace, neither in sys.modules nor as bytecode beside it. The function gets
copies, so one that sorts in place harms nobody.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.machinery import SourceFileLoader
from numbers import Real
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from oof import OOFError
from oof.metrics.metric_registry import METRICS, Metric, Needs
from oof.metrics.thresholds import prepare_for_metric
from oof.types import Array, Truth


def load_custom_metric(path: Path, function: str, *, higher_is_better: bool, needs: Needs | None, task: str) -> Metric:
    """The metric that `function(truth, predictions)` in the file at `path` computes, under the function's name.

    It gets arrays in the package's shapes; for `needs` labels, predictions are labels shaped as the truth. Raises
    OOFError if the file or the function cannot be used; so does the metric if the function raises or gives no finite
    number.
    """
    if function in METRICS:
        raise OOFError(f"metric file {path}: {function} is the name of a known metric; give the function another name")
    if not path.is_file():
        raise OOFError(f"metric file {path} does not exist")
    found = CustomFunction(str(path), path.read_bytes(), function)
    return Metric(function, found, higher_is_better, resolve_needs(needs, task), frozenset({task}))


class CustomFunction:
    """A function of a Python file, called as metrics are. It travels to other processes and machines as its source.

    Raises OOFError if the file cannot be run or has no such function.
    """

    def __init__(self, path: str, source: bytes, name: str) -> None:
        self._path, self._source, self._name = path, source, name
        self._function = self._load()

    def __reduce__(self) -> tuple[type["CustomFunction"], tuple[str, bytes, str]]:
        return CustomFunction, (self._path, self._source, self._name)

    def __call__(self, truth: Truth, predictions: Any) -> float:
        """The metric of copies. Raises OOFError if the function raises or gives no finite number."""
        where = f"metric file {self._path}, function {self._name}"
        with _report_as_oof_error(where):
            value = self._function(truth.copy(), predictions.copy())
        if not isinstance(value, Real):
            raise OOFError(f"{where}: returned {type(value).__name__}; it must return a number")
        if not math.isfinite(value):
            raise OOFError(f"{where}: returned {value}; it must return a finite number")
        return float(value)

    def _load(self) -> Callable[[Truth, Any], Any]:
        module = ModuleType("own_metric")
        module.__file__ = self._path
        with _report_as_oof_error(f"metric file {self._path}"):
            # not by a loader: it writes bytecode, and takes old one for a file edited twice within a second
            exec(SourceFileLoader("own_metric", self._path).source_to_code(self._source, self._path), vars(module))
        found: Any = getattr(module, self._name, None)
        if not callable(found):
            own = [key for key, value in vars(module).items() if getattr(value, "__module__", None) == module.__name__]
            known = ", ".join(own) or "none"
            raise OOFError(f"metric file {self._path} has no function {self._name!r}; it has {known}")
        return found  # type: ignore[no-any-return]


def resolve_needs(needs: Needs | None, task: str) -> Needs:
    """What a metric of one's own gets; None is values for a regression, else probabilities.

    Raises OOFError for what a task does not give.
    """
    allowed: tuple[Needs, ...] = ("values", "ranks") if task == "regression" else ("probabilities", "labels", "ranks")
    if needs is not None and needs not in allowed:
        raise OOFError(f"a metric of task {task} cannot need {needs}; it gets {' or '.join(allowed)}")
    return needs or allowed[0]


def rehearse_metric(metric: Metric, task: str, truth: Truth, columns: int) -> None:
    """Call a metric once, on predictions that are neither perfect nor constant: the truth of the row before.

    A function that fails must not cost a night of training. Raises its OOFError.
    """
    before = np.roll(truth, 1, axis=0)
    predictions: Array = np.asarray(before.reshape(len(truth), -1), np.float64)
    if task in ("multiclass", "ordinal"):
        predictions = np.eye(columns)[before]
    if task != "regression":  # halfway to knowing nothing
        predictions = predictions / 2 + 1 / (2 * columns if task in ("multiclass", "ordinal") else 4)
    metric.function(truth, prepare_for_metric(metric, task, predictions))


@contextmanager
def _report_as_oof_error(where: str) -> Iterator[None]:
    """What the user's code raises, as a sentence."""
    try:
        yield
    except (Exception, SystemExit) as error:
        said = " ".join(f"{type(error).__name__}: {error}".split())
        raise OOFError(f"{where}: raised {said}") from error
