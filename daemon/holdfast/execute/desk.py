"""Who works on what: one job per target, pauses without sleeping threads."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections import deque
from dataclasses import dataclass

from holdfast.execute.connector import Ending
from holdfast.model.actions import Connector
from holdfast.model.records import AttemptOrder


@dataclass(frozen=True, slots=True)
class Job:
    """One attempt on its way.

    `boot` None: not begun. `ending`: known, and still to be journalled. `until` is when nobody has
    to be asked any more (monotonic seconds), `pause` how long to wait before the next look.
    """

    order: AttemptOrder
    boot: str | None = None
    ending: Ending | None = None
    until: float = 0.0
    pause: float = 0.0

    @property
    def place(self) -> tuple[Connector, str]:
        """What only one job at a time may act on."""
        return self.order.step.connector, self.order.step.target


class Desk:
    """Hands out jobs to workers: at most one per place, each attempt once."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._now: deque[Job] = deque()
        self._later: list[tuple[float, int, Job]] = []
        self._order = itertools.count()
        self._busy: dict[tuple[Connector, str], set[str]] = {}
        self._closed = False

    def take(self, job: Job) -> bool:
        """Accept a job, unless its place is busy; one that has begun already is never refused."""
        with self._changed:
            here = self._busy.setdefault(job.place, set())
            if here and (job.boot is None or job.order.id in here):
                return False
            here.add(job.order.id)
            self._now.append(job)
            self._changed.notify()
            return True

    def next(self) -> Job | None:
        """The next job whose time has come; waits for it. None once the desk is closed."""
        with self._changed:
            while not self._closed:
                now = time.monotonic()
                while self._later and self._later[0][0] <= now:
                    self._now.append(heapq.heappop(self._later)[2])
                if self._now:
                    return self._now.popleft()
                self._changed.wait(self._later[0][0] - now if self._later else None)
            return None

    def put_back(self, job: Job) -> None:
        """Keep a job for after its pause; its place stays busy."""
        with self._changed:
            heapq.heappush(self._later, (time.monotonic() + job.pause, next(self._order), job))
            self._changed.notify()

    def free(self, job: Job) -> None:
        """A job is done: its place is free."""
        with self._changed:
            here = self._busy.get(job.place, set())
            here.discard(job.order.id)
            if not here:
                self._busy.pop(job.place, None)

    def close(self) -> None:
        """Hand out nothing more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
