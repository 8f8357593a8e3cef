"""A custom metric: a function in a Python file of the user, whose errors become one sentence each.

The file is executed at each load and leaves no trace, neither in sys.modules nor as bytecode beside it. The function
gets copies of the arrays, so it may change them.
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
from oof.types import Array, Decided, Truth

MODULE = "own_metric"  # its name inside the file


def load_custom_metric(path: Path, function: str, *, higher_is_better: bool, needs: Needs | None, task: str) -> Metric:
    """Return the metric `function(truth, predictions)` of the file at `path`, under the function's name.

    The function gets arrays in the shapes of the package; if it `needs` labels, predictions are labels shaped as the
    truth. Raises OOFError if the file or the function cannot be used; so does the metric if the function raises or
    does not return a finite number.
    """
    if function in METRICS:
        raise OOFError(f"metric file {path}: {function} is the name of a known metric; give the function another name")
    if not path.is_file():
        raise OOFError(f"metric file {path} does not exist")
    loaded = CustomFunction(str(path), path.read_bytes(), function)
    return Metric(function, loaded, higher_is_better, resolve_needs(needs, task), frozenset({task}))


def resolve_needs(needs: Needs | None, task: str) -> Needs:
    """Return what a custom metric gets; None is values for a regression, else probabilities.

    Raises OOFError for predictions that the task does not have.
    """
    allowed: tuple[Needs, ...] = ("values", "ranks") if task == "regression" else ("probabilities", "labels", "ranks")
    if needs is not None and needs not in allowed:
        raise OOFError(f"a metric of task {task} cannot need {needs}; it gets {' or '.join(allowed)}")
    return needs or allowed[0]


def rehearse_metric(metric: Metric, task: str, truth: Truth, columns: int) -> None:
    """Call a metric once before training, on predictions made of the truth of the row before.

    They are neither perfect nor constant. Raises the OOFError of a function that fails.
    """
    before = np.roll(truth, 1, axis=0)
    predictions: Array = np.asarray(before.reshape(len(truth), -1), np.float64)
    is_classes = task in ("multiclass", "ordinal")
    if is_classes:
        predictions = np.eye(columns)[before]
    if task != "regression":  # halfway to equal probabilities
        predictions = predictions / 2 + 1 / (2 * columns if is_classes else 4)
    metric.function(truth, prepare_for_metric(metric, task, predictions))


class CustomFunction:
    """A function of a Python file, called as metrics are. It is pickled as its source.

    Raises OOFError if the file cannot be executed or has no such function.
    """

    def __init__(self, path: str, source: bytes, name: str) -> None:
        self._path, self._source, self._name = path, source, name
        self._function = self._load()

    def __reduce__(self) -> tuple[type["CustomFunction"], tuple[str, bytes, str]]:
        return CustomFunction, (self._path, self._source, self._name)

    def __call__(self, truth: Truth, predictions: Decided) -> float:
        """Return the metric of copies. Raises OOFError if the function raises or returns no finite number."""
        where = f"metric file {self._path}, function {self._name}"
        with _raise_as_oof_error(where):
            value = self._function(truth.copy(), predictions.copy())
        if not isinstance(value, Real):
            raise OOFError(f"{where}: returned {type(value).__name__}; it must return a number")
        if not math.isfinite(value):
            raise OOFError(f"{where}: returned {value}; it must return a finite number")
        return float(value)

    def _load(self) -> Callable[[Truth, Decided], Any]:
        module = ModuleType(MODULE)
        module.__file__ = self._path
        with _raise_as_oof_error(f"metric file {self._path}"):
            # a loader would write bytecode, and use old bytecode of a file edited twice within a second
            exec(SourceFileLoader(MODULE, self._path).source_to_code(self._source, self._path), vars(module))
        function: Any = getattr(module, self._name, None)
        if not callable(function):
            defined = [name for name, value in vars(module).items() if getattr(value, "__module__", None) == MODULE]
            names = ", ".join(defined) or "none"
            raise OOFError(f"metric file {self._path} has no function {self._name!r}; it has {names}")
        return function  # type: ignore[no-any-return]


@contextmanager
def _raise_as_oof_error(where: str) -> Iterator[None]:
    """Turn any exception of the user's code into an OOFError of one line."""
    try:
        yield
    except (Exception, SystemExit) as error:
        message = " ".join(f"{type(error).__name__}: {error}".split())
        raise OOFError(f"{where}: raised {message}") from error
