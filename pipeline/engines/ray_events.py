"""Events of fits on a Ray cluster: the queue on the driver's node, and the channel from a fit to it.

A fit sends events to the queue, from which the driver collects them; each answer says if the fit is to stop. Every
start of a fit is an attempt with a number of its own, so a lost attempt that still sends something is ignored.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pipeline.fits.events import Event


@dataclass(frozen=True)
class CheckpointSent:
    """A checkpoint that lies in the object store under this reference. Inside an object Ray does not fetch it."""

    reference: Any


Message = Event | CheckpointSent


class EventQueue:
    """An actor that keeps events until the driver collects them.

    Only the newest checkpoint of an attempt is kept: if the driver is slower than the fits, they would fill the object
    store.
    """

    def __init__(self) -> None:
        self._messages: list[tuple[int, Message]] = []
        self._stopping: set[int] = set()

    def send(self, attempt: int, message: Message | None) -> bool:
        """Add a message of an attempt, or none; return True if the attempt is to stop."""
        if isinstance(message, CheckpointSent):
            self._messages = [
                (sender, earlier)
                for sender, earlier in self._messages
                if sender != attempt or not isinstance(earlier, CheckpointSent)
            ]
        if message is not None:
            self._messages.append((attempt, message))
        return attempt in self._stopping

    def collect(self, stopping: set[int]) -> list[tuple[int, Message]]:
        """Return the messages since the last call; from now on the attempts in `stopping` are to stop."""
        self._stopping = stopping
        messages = self._messages
        self._messages = []
        return messages


class EventChannel:
    """Sends the messages of one attempt to the queue, and remembers its last answer.

    `send` gives a message to the queue and returns its answer; the answer is at most `every` seconds old.
    """

    def __init__(self, send: Callable[[Message | None], bool], every: float) -> None:
        self._send = send
        self._every = every
        self._stop = False
        self._sent = time.monotonic()

    def send(self, message: Message | None) -> None:
        """Send a message; None only asks for an answer."""
        self._stop = self._send(message)
        self._sent = time.monotonic()

    def should_stop(self) -> bool:
        """Return True if the attempt is to stop."""
        if time.monotonic() - self._sent > self._every:
            self.send(None)
        return self._stop
