"""The pace of a running fit: its steps timed, and what they say of the rest of it."""

from dataclasses import dataclass, replace

from pipeline.fits.timing import Load, Timed

STEPS, SECONDS = 20, 60.0  # enough steps to tell from; where they are slow, three that took so long


@dataclass
class Pace:
    """Steps of a fit with this load that began at `began`; times are a clock's seconds."""

    load: Load
    steps: int | None  # of the whole fit; None for a fit without steps
    began: float
    taken: int = 0
    first: float = 0.0
    last: float = 0.0

    def step(self, now: float) -> None:
        """A step ended now. The first one only starts the measurement: it warms up, and may be the longest."""
        self.taken += 1
        self.last = now
        if self.taken == 1:
            self.first = now

    @property
    def telling(self) -> bool:
        """Whether enough is timed to judge the rest by."""
        return self.taken > STEPS or (self.taken > 3 and self.last - self.first >= SECONDS)

    @property
    def start(self) -> float:
        """Seconds from the beginning to the first step, as far as known."""
        return max(self.first - self.began - self._step, 0.0) if self.taken else 0.0

    @property
    def part(self) -> Timed:
        """The part of the load between the first step's end and the last one's."""
        share = (self.taken - 1) / self.steps if self.steps and self.taken else 0.0
        return Timed(replace(self.load, train=self.load.train * share, valid=0.0, test=0.0), self.last - self.first)

    @property
    def closing(self) -> float:
        """Seconds from the last step to the end, in which the test table is predicted; 0 while unknown."""
        part = self.part
        return part.seconds / part.load.work * self.load.test if part.load.work else 0.0

    @property
    def rest(self) -> float:
        """Seconds from the last step to the end of the fit."""
        return ((self.steps or 0) - self.taken) * self._step + self.closing

    @property
    def _step(self) -> float:
        return (self.last - self.first) / (self.taken - 1) if self.taken > 1 else 0.0
