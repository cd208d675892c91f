"""Who works on what: one job per target, pauses without sleeping threads."""

from __future__ import annotations

import heapq
import itertools
import math
import threading
import time
from collections import deque
from collections.abc import Iterable
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
        return place_of(self.order)


def place_of(order: AttemptOrder) -> tuple[Connector, str]:
    """What only one job at a time may act on."""
    return order.step.connector, order.step.target


class Look:
    """Somebody has to look at what is ready."""


class Desk:
    """Hands out jobs to workers: at most one per place, each attempt once.

    Behind the job of a place stand up to `line` others, in the order in which they came; what comes when
    a line is full stays where it is, until `free` says that there is room for it.
    """

    def __init__(self, line: int = 100) -> None:
        self._changed = threading.Condition()
        self._now: deque[Job] = deque()
        self._later: list[tuple[float, int, Job]] = []
        self._order = itertools.count()
        self._busy: dict[tuple[Connector, str], set[str]] = {}
        self._line = line
        self._lines: dict[tuple[Connector, str], dict[str, AttemptOrder]] = {}
        self._more: set[tuple[Connector, str]] = set()
        self._look_at = math.inf
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

    def line_up(self, order: AttemptOrder) -> None:
        """Take an attempt that is ready, now or when its turn comes; the caller asks for `next` soon."""
        place = place_of(order)
        with self._changed:
            here, line = self._busy.get(place), self._lines.get(place, {})
            if (here and order.id in here) or order.id in line or place in self._more:
                return
            if not here and not line:
                self._hand_out(order)
            elif len(line) < self._line:
                self._lines.setdefault(place, line)[order.id] = order
            else:
                self._more.add(place)

    def offer(self, orders: Iterable[AttemptOrder]) -> None:
        """Take attempts that are ready, and see to it that somebody makes them."""
        with self._changed:
            for order in orders:
                self.line_up(order)
            if self._now:
                self._changed.notify()

    def look(self, after_s: float = 0.0) -> None:
        """Have one of the workers look at what is ready, at once or in a while."""
        with self._changed:
            self._look_at = min(self._look_at, time.monotonic() + after_s)
            self._changed.notify()

    def next(self) -> Job | Look | None:
        """The next job whose time has come, or a wish to look; waits for it. None once the desk is closed."""
        with self._changed:
            while not self._closed:
                now = time.monotonic()
                if self._look_at <= now:
                    self._look_at = math.inf
                    return Look()
                while self._later and self._later[0][0] <= now:
                    self._now.append(heapq.heappop(self._later)[2])
                if self._now:
                    return self._now.popleft()
                until = min(self._look_at, self._later[0][0] if self._later else math.inf)
                self._changed.wait(None if until == math.inf else until - now)
            return None

    def put_back(self, job: Job) -> None:
        """Keep a job for after its pause; its place stays busy."""
        with self._changed:
            heapq.heappush(self._later, (time.monotonic() + job.pause, next(self._order), job))
            self._changed.notify()

    def free(self, job: Job) -> bool:
        """A job is done: the next in line has its turn. True when more than the line held wait elsewhere.

        The caller asks for `next` soon.
        """
        place = job.place
        with self._changed:
            here = self._busy.get(place, set())
            here.discard(job.order.id)
            if here:
                return False
            self._busy.pop(place, None)
            line = self._lines.get(place, {})
            if line:
                self._hand_out(line.pop(next(iter(line))))
            if line:
                return False
            self._lines.pop(place, None)
            if place in self._more:
                self._more.discard(place)
                return True
            return False

    def close(self) -> None:
        """Hand out nothing more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _hand_out(self, order: AttemptOrder) -> None:
        job = Job(order)
        self._busy.setdefault(job.place, set()).add(order.id)
        self._now.append(job)
        if len(self._now) > 1:  # the first is for the caller itself
            self._changed.notify()
