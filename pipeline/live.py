"""What a running `train` leaves for `status` to read: how far it is, and which fits run where."""

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from models import ModelError
from models.store import read_json, write_json
from pipeline.display import duration
from pipeline.files import atomic
from pipeline.lock import held
from pipeline.run_directory import RunDirectory

LIVE = ".train.json"
EVERY = 5.0  # seconds between two writings
MOST = 20  # running fits that are listed


@dataclass(frozen=True)
class Running:
    """A fit that is handed out; `where` is empty until it has begun, `steps` None for a fit without steps."""

    title: str
    where: str
    taken: int
    steps: int | None


@dataclass(frozen=True)
class Snapshot:
    """Of a call of `train`: fits ended of all it does, how many were lost and handed out `again`, what runs where."""

    ended: int
    total: int
    again: int
    seconds_left: float | None
    running: list[Running]
    nodes: dict[str, str]  # what each has, by its name


class Live:
    """The file in a run that is written anew while `train` works there, and gone afterwards."""

    def __init__(self, root: Path, clock: Callable[[], float]) -> None:
        self._path, self._clock, self._written = root / LIVE, clock, -EVERY

    def note(self, snapshot: Callable[[], Snapshot]) -> None:
        """Write down how it stands, if some seconds have gone by since the last time."""
        if self._clock() - self._written >= EVERY:
            with atomic(self._path) as temporary:
                write_json(temporary, asdict(snapshot()))
            self._written = self._clock()

    def close(self) -> None:
        """Remove it."""
        self._path.unlink(missing_ok=True)


def read_live(run: RunDirectory) -> Snapshot | None:
    """How the `train` stands that works on a run now; None if there is none, or it has not said so yet."""
    if not held(run.root, "train"):
        return None
    with suppress(ModelError, TypeError, KeyError):
        found = read_json(run.root / LIVE)
        return Snapshot(**{**found, "running": [Running(**fit) for fit in found["running"]]})
    return None


def sentences(snapshot: Snapshot) -> list[str]:
    """How it stands, and a line for each node and each of the first fits that run."""
    again = f", {snapshot.again} handed out again" if snapshot.again else ""
    left = "" if snapshot.seconds_left is None else f", about {duration(snapshot.seconds_left)} left"
    running = f"{len(snapshot.running)} running"
    lines = [f"train is at work: {snapshot.ended} of {snapshot.total} fits ended, {running}{again}{left}"]
    busy = Counter(fit.where for fit in snapshot.running)
    lines += [f"  {name}: {has}, {busy[name]} running" for name, has in snapshot.nodes.items()]
    for fit in snapshot.running[:MOST]:
        taken = "" if fit.steps is None else f", step {fit.taken} of {fit.steps}"
        lines.append(f"  {fit.title}{taken}" + (f", {fit.where}" if len(snapshot.nodes) != 1 else ""))
    more = len(snapshot.running) - MOST
    return [*lines, f"  and {more} more"] if more > 0 else lines
