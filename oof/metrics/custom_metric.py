"""A custom metric: a function in a Python file of the user, whose errors become one sentence each.

The file is executed at each load and leaves no trace, neither in sys.modules nor as bytecode beside it. The function
gets copies of the arrays, so it may change them.
"""

import inspect
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from numbers import Real
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd

from oof import OOFError
from oof.metrics.metric_registry import METRICS, Metric, Needs
from oof.metrics.thresholds import prepare_for_metric
from oof.types import Array, Decided, Truth

MODULE = "own_metric"  # its name inside the file
ROW_ID = "id"  # the id column of the tables of a host's metric


@dataclass(frozen=True)
class TableNames:
    """Names for the tables of a host's metric: the target column, the output columns, and the classes in code order."""

    target: str
    columns: tuple[str, ...]
    classes: tuple[str, ...] = ()


def load_custom_metric(
    path: Path,
    function: str,
    *,
    higher_is_better: bool,
    needs: Needs | None,
    task: str,
    tables: TableNames | None = None,
) -> Metric:
    """Return the metric `function(truth, predictions)` of the file at `path`, under the function's name.

    The function gets arrays in the shapes of the package; if it `needs` labels, predictions are labels shaped as the
    truth. One of `solution, submission, row_id_column_name` gets frames, whose columns `tables` names. Raises OOFError
    if the file or the function cannot be used; so does the metric if the function raises or does not return a finite
    number.
    """
    if function in METRICS:
        raise OOFError(f"metric file {path}: {function} is the name of a known metric; give the function another name")
    if not path.is_file():
        raise OOFError(f"metric file {path} does not exist")
    loaded = CustomFunction(str(path), path.read_bytes(), function, tables)
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
    """A function of a Python file, called as metrics are. It is pickled as its source, with that of its neighbours.

    The function takes `truth` and `predictions`; or `solution`, `submission` and the name of the id column, two frames,
    as hosts publish theirs. Raises OOFError if the file cannot be executed or has no such function.
    """

    def __init__(
        self,
        path: str,
        source: bytes,
        name: str,
        tables: TableNames | None = None,
        neighbours: Mapping[str, bytes] | None = None,
    ) -> None:
        self._path, self._source, self._name, self._tables = path, source, name, tables
        self._neighbours = NeighbourFinder(Path(path).parent, dict(neighbours or {}))
        self._function = self._load()
        self._takes_tables = _takes_tables(self._function)

    def __reduce__(self) -> tuple[type["CustomFunction"], tuple[Any, ...]]:
        return CustomFunction, (self._path, self._source, self._name, self._tables, self._neighbours.sources)

    def __call__(self, truth: Truth, predictions: Decided) -> float:
        """Return the metric of copies. Raises OOFError if the function raises or returns no finite number."""
        where = f"metric file {self._path}, function {self._name}"
        with _raise_as_oof_error(where), self._neighbours.importable():
            if self._takes_tables:
                value = self._function(*self._build_tables(truth, predictions))
            else:
                value = self._function(truth.copy(), predictions.copy())
        if not isinstance(value, Real):
            raise OOFError(f"{where}: returned {type(value).__name__}; it must return a number")
        if not math.isfinite(value):
            raise OOFError(f"{where}: returned {value}; it must return a finite number")
        return float(value)

    def _build_tables(self, truth: Truth, predictions: Decided) -> tuple[pd.DataFrame, pd.DataFrame, str]:
        """Return a host's two tables: ids, with the truth as the training table has it, and with the predictions."""
        names = self._tables or TableNames("target", ("target",))
        ids = {ROW_ID: np.arange(len(truth))}
        if names.classes:
            solution = {names.target: _spell_codes(truth, names.classes)}
        else:
            solution = dict(zip(names.columns, truth.reshape(len(truth), -1).T.copy(), strict=True))
        if predictions.ndim == 1 and names.classes:  # labels
            submission = {names.target: _spell_codes(predictions, names.classes)}
        else:
            submission = dict(zip(names.columns, predictions.reshape(len(truth), -1).T.copy(), strict=True))
        return pd.DataFrame(ids | solution), pd.DataFrame(ids | submission), ROW_ID

    def _load(self) -> Callable[..., Any]:
        module = ModuleType(MODULE)
        module.__file__ = self._path
        with _raise_as_oof_error(f"metric file {self._path}"), self._neighbours.importable():
            # a loader would write bytecode, and use old bytecode of a file edited twice within a second
            exec(SourceFileLoader(MODULE, self._path).source_to_code(self._source, self._path), vars(module))
        function: Any = getattr(module, self._name, None)
        if not callable(function):
            defined = [name for name, value in vars(module).items() if getattr(value, "__module__", None) == MODULE]
            names = ", ".join(defined) or "none"
            raise OOFError(f"metric file {self._path} has no function {self._name!r}; it has {names}")
        return function  # type: ignore[no-any-return]


class NeighbourFinder(MetaPathFinder, Loader):
    """Imports the modules beside a metric's file, from their sources, and keeps them out of `sys.modules` afterwards.

    `sources` are those that were read, by module name: where the function is unpickled, the files may not be there.
    """

    def __init__(self, folder: Path, sources: dict[str, bytes]) -> None:
        self.folder, self.sources = folder, sources
        self._modules: dict[str, ModuleType] = {}

    @contextmanager
    def importable(self) -> Iterator[None]:
        """Let the neighbours be imported for a while."""
        sys.meta_path.insert(0, self)
        hidden = {name: sys.modules[name] for name in self._modules if name in sys.modules}
        sys.modules.update(self._modules)
        try:
            yield
        finally:
            sys.meta_path.remove(self)
            for name in self.sources:
                if name in sys.modules:
                    self._modules[name] = sys.modules.pop(name)
            sys.modules.update(hidden)

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Return the spec of a neighbour; a library of that name goes first."""
        if "." in name or self._is_library(name):
            return None
        if name not in self.sources:
            file = self.folder / f"{name}.py"
            if not file.is_file():
                return None
            self.sources[name] = file.read_bytes()
        return ModuleSpec(name, self, origin=str(self.folder / f"{name}.py"))

    def exec_module(self, module: ModuleType) -> None:
        """Execute a neighbour's source."""
        path = str(self.folder / f"{module.__name__}.py")
        loader = SourceFileLoader(module.__name__, path)
        exec(loader.source_to_code(self.sources[module.__name__], path), vars(module))

    def _is_library(self, name: str) -> bool:
        finders = [finder for finder in sys.meta_path if not isinstance(finder, NeighbourFinder)]
        return any(getattr(finder, "find_spec", lambda *_: None)(name, None) for finder in finders)


def _takes_tables(function: Callable[..., Any]) -> bool:
    """Return True for the signature of a host's metric: solution, submission and the name of the id column."""
    try:
        names = list(inspect.signature(function).parameters)
    except (TypeError, ValueError):  # a function of C has no signature
        return False
    return names[:2] == ["solution", "submission"]


def _spell_codes(codes: Any, classes: Sequence[str]) -> Any:
    """Return classes (rows,) as a solution has them: numbers where all are numbers."""
    names = pd.Series(list(classes), dtype=object)
    numbers = pd.to_numeric(names, errors="coerce")
    return (names if numbers.isna().any() else numbers).to_numpy()[np.asarray(codes, dtype=np.int64)]


@contextmanager
def _raise_as_oof_error(where: str) -> Iterator[None]:
    """Turn any exception of the user's code into an OOFError of one line."""
    try:
        yield
    except (Exception, SystemExit) as error:
        message = " ".join(f"{type(error).__name__}: {error}".split())
        raise OOFError(f"{where}: raised {message}") from error
