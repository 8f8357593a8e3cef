"""What a running `train` leaves for `status` to read: how far it is, and which fits run where."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from models import ModelError
from models.store import read_json, write_json
from pipeline.files import atomic
from pipeline.lock import held
from pipeline.run_directory import RunDirectory

LIVE = ".train.json"
EVERY = 5.0  # seconds between two writings


@dataclass(frozen=True)
class Running:
    """A fit that is handed out; `where` is empty until it has begun, `steps` None for a fit without steps."""

    title: str
    where: str
    taken: int
    steps: int | None


@dataclass(frozen=True)
class Snapshot:
    """Of a call of `train`: fits ended of all it does, those running, how many were `lost` and handed out again."""

    ended: int
    total: int
    lost: int
    seconds_left: float | None
    running: list[Running]


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
