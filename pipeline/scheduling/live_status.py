"""The status file of a running `train`, which `status` reads: how far it is, and which fits run where."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from models import ModelError
from models.store import read_json, write_json
from pipeline.display import format_duration
from pipeline.storage.files import write_atomically
from pipeline.storage.locks import is_locked
from pipeline.storage.run_directory import RunDirectory

STATUS_FILE = ".train.json"
WRITE_SECONDS = 5.0  # between two writes
MAX_FITS = 20  # that are named


@dataclass(frozen=True)
class FitStatus:
    """A running fit: the process or node it runs on, and its steps, None for a fit without steps."""

    title: str
    where: str
    taken: int
    steps: int | None


@dataclass(frozen=True)
class Snapshot:
    """The state of a call of `train`: the fits that ended of all it does, the restarts of lost fits, the `busy` ones.

    `running` holds the first of the busy fits; `nodes` says what each node has and how many fits run there.
    """

    ended: int
    total: int
    restarts: int
    busy: int
    seconds_left: float | None
    running: list[FitStatus]
    nodes: dict[str, str]

    def to_json(self) -> dict[str, object]:
        """Return the content of the status file, which calls the restarts `again`."""
        values = asdict(self)
        return {("again" if key == "restarts" else key): value for key, value in values.items()}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Snapshot":
        """Return the snapshot that a status file holds. Raises TypeError or KeyError for another content."""
        rest = {key: value for key, value in values.items() if key not in ("again", "running")}
        return cls(**rest, restarts=values["again"], running=[FitStatus(**fit) for fit in values["running"]])


class LiveStatusFile:
    """The file in a run directory that is written again every few seconds while `train` works there, then removed."""

    def __init__(self, root: Path, clock: Callable[[], float]) -> None:
        self._path = root / STATUS_FILE
        self._clock = clock
        self._written = -WRITE_SECONDS
        self.remove()  # it may be left from a killed process

    def write_if_due(self, take_snapshot: Callable[[], Snapshot]) -> None:
        """Write the state, if some seconds have passed since the last time."""
        if self._clock() - self._written < WRITE_SECONDS:
            return
        with suppress(OSError), write_atomically(self._path) as temporary:  # a full disk stops fits, but not for this
            write_json(temporary, take_snapshot().to_json())
        self._written = self._clock()

    def remove(self) -> None:
        """Remove the file."""
        with suppress(OSError):
            self._path.unlink(missing_ok=True)


def read_live_status(run: RunDirectory) -> Snapshot | None:
    """Return the state of the `train` that works on a run now; None if there is none, or it has not written it yet."""
    if not is_locked(run.root, "train"):
        return None
    with suppress(ModelError, TypeError, KeyError):
        return Snapshot.from_json(read_json(run.root / STATUS_FILE))
    return None


def describe_status(snapshot: Snapshot) -> list[str]:
    """Return a sentence on the whole call, and a line for each node and each of the first running fits."""
    parts = [f"train is running: {snapshot.ended} of {snapshot.total} fits ended", f"{snapshot.busy} running"]
    if snapshot.restarts:
        parts.append(f"{snapshot.restarts} restarted")
    if snapshot.seconds_left is not None:
        parts.append(f"about {format_duration(snapshot.seconds_left)} left")
    lines = [", ".join(parts)]
    lines += [f"  {name}: {content}" for name, content in snapshot.nodes.items()]
    for fit in snapshot.running:
        steps = "" if fit.steps is None else f", step {fit.taken} of {fit.steps}"
        lines.append(f"  {fit.title}{steps}" + (f", {fit.where}" if snapshot.nodes else ""))
    more = snapshot.busy - len(snapshot.running)
    return [*lines, f"  and {more} more"] if more > 0 else lines
