"""What a running `train` leaves for `status` to read: how far it is, and which fits run where."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from models import ModelError
from models.store import read_json, write_json
from pipeline.display import format_duration
from pipeline.storage.files import write_atomically
from pipeline.storage.locks import is_locked
from pipeline.storage.run_directory import RunDirectory

LIVE = ".train.json"
EVERY = 5.0  # seconds between two writings
MOST = 20  # running fits that are named


@dataclass(frozen=True)
class Running:
    """A fit that runs somewhere; `steps` is None for a fit without steps."""

    title: str
    where: str
    taken: int
    steps: int | None


@dataclass(frozen=True)
class Snapshot:
    """Of a call of `train`: fits ended of all it does, how many were lost and handed out `again`, how many are `busy`.

    Of those, `running` are the first; `nodes` says what each node has and how many run there.
    """

    ended: int
    total: int
    again: int
    busy: int
    seconds_left: float | None
    running: list[Running]
    nodes: dict[str, str]


class Live:
    """The file in a run that is written anew while `train` works there, and gone afterwards."""

    def __init__(self, root: Path, clock: Callable[[], float]) -> None:
        self._path, self._clock, self._written = root / LIVE, clock, -EVERY
        self.close()  # of a process that was killed

    def note(self, snapshot: Callable[[], Snapshot]) -> None:
        """Write down how it stands, if some seconds have gone by since the last time."""
        if self._clock() - self._written >= EVERY:
            with (
                suppress(OSError),
                write_atomically(self._path) as temporary,
            ):  # a full disk ends what matters, not this
                write_json(temporary, asdict(snapshot()))
            self._written = self._clock()

    def close(self) -> None:
        """Remove it."""
        with suppress(OSError):
            self._path.unlink(missing_ok=True)


def read_live(run: RunDirectory) -> Snapshot | None:
    """How the `train` stands that works on a run now; None if there is none, or it has not said so yet."""
    if not is_locked(run.root, "train"):
        return None
    with suppress(ModelError, TypeError, KeyError):
        found = read_json(run.root / LIVE)
        return Snapshot(**{**found, "running": [Running(**fit) for fit in found["running"]]})
    return None


def sentences(snapshot: Snapshot) -> list[str]:
    """How it stands, and a line for each node and each of the first fits that run."""
    again = f", {snapshot.again} handed out again" if snapshot.again else ""
    left = "" if snapshot.seconds_left is None else f", about {format_duration(snapshot.seconds_left)} left"
    busy = f"{snapshot.busy} running"
    lines = [f"train is at work: {snapshot.ended} of {snapshot.total} fits ended, {busy}{again}{left}"]
    lines += [f"  {name}: {has}" for name, has in snapshot.nodes.items()]
    for fit in snapshot.running:
        taken = "" if fit.steps is None else f", step {fit.taken} of {fit.steps}"
        lines.append(f"  {fit.title}{taken}" + (f", {fit.where}" if snapshot.nodes else ""))
    more = snapshot.busy - len(snapshot.running)
    return [*lines, f"  and {more} more"] if more > 0 else lines
