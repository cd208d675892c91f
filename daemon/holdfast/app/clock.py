"""The only clock: it journals timers that are due, and watches for the stop file."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec
import structlog

from holdfast.errors import HoldfastError
from holdfast.model.events import Entry, Switch, Tick
from holdfast.model.kinds import EntryKind
from holdfast.model.values import Millis
from holdfast.pipeline.work import STOPPED
from holdfast.store import facts, timers
from holdfast.store.database import Database

#: While nothing is due, this often is looked at the stop file, in seconds.
_LOOK_EVERY: Final = 0.5
_BATCH: Final = 200
BY_FILE: Final = "file"

log = structlog.get_logger(__name__)


def wall() -> Millis:
    """The wall clock, in milliseconds since the Unix epoch."""
    return time.time_ns() // 1_000_000


def _elapsed() -> Millis:
    return time.monotonic_ns() // 1_000_000


class Onward:
    """The wall clock, but where that is set back, time goes on from where it was: nothing that is due
    waits until the wall clock has caught up."""

    def __init__(self, read: Callable[[], Millis] = wall, elapsed: Callable[[], Millis] = _elapsed) -> None:
        self._read, self._elapsed = read, elapsed
        self._lock = threading.Lock()
        self._last, self._at = read(), elapsed()

    def __call__(self) -> Millis:
        """Milliseconds since the Unix epoch."""
        with self._lock:
            read, at = self._read(), self._elapsed()
            if read < self._last:
                read = self._last + at - self._at
            self._last, self._at = read, at
            return read

    def not_before(self, at: Millis) -> None:
        """Begin no earlier than where the last life ended."""
        with self._lock:
            self._last = max(self._last, at)


now: Final = Onward()


class Clock:
    """Turns time into journal entries, so that time too has its place in the one order."""

    def __init__(self, database: Database, put: Callable[[Sequence[Entry]], object], stop_file: Path) -> None:
        self._db = database
        self._put = put
        self._stop_file = stop_file
        self._wake = threading.Event()
        self._stopping = False
        self._ticked: dict[str, Millis] = {}
        self._file_said: bool | None = None
        self._thread = threading.Thread(target=self._run, name="clock", daemon=True)

    def start(self) -> None:
        """Begin to tick."""
        self._thread.start()

    def wake(self) -> None:
        """A timer may have been set."""
        self._wake.set()

    def stop(self, timeout: float) -> None:
        """Stop ticking; what is due stays due."""
        self._stopping = True
        self._wake.set()
        self._thread.join(timeout)

    def _run(self) -> None:
        while not self._stopping:
            try:
                self._look_at_file()
                pause = self._tick()
            except Exception as error:
                foreseen = isinstance(error, HoldfastError)
                log.error("clock.waiting", why=str(error), exc_info=not foreseen)  # noqa: TRY400
                pause = 1.0
            self._wake.wait(pause)
            self._wake.clear()

    def _tick(self) -> float:
        with self._db.read() as tx:
            at = now()
            due = timers.due(tx, at, _BATCH)
            soonest = timers.next_due(tx) if not due else None
        fresh = [timer for timer in due if self._ticked.get(timer.id) != timer.due]
        if fresh:
            self._put([_entry(timer.id, timer.due) for timer in fresh])
        # only what is still due can be told twice, so only that is remembered
        self._ticked = {timer.id: timer.due for timer in due}
        if due:
            return 0.05
        return _LOOK_EVERY if soonest is None else min(_LOOK_EVERY, max(0.001, (soonest - at) / 1000))

    def _look_at_file(self) -> None:
        there = self._stop_file.exists()
        if there == self._file_said:
            return
        if self._file_said is None and not there:
            self._file_said = there
            return
        with self._db.read() as tx:
            stopped = facts.get(tx, STOPPED) == "1"
        if stopped != there:
            switch = Switch(there, BY_FILE, f"{self._stop_file} {'appeared' if there else 'is gone'}")
            self._put(
                [Entry(EntryKind.SWITCH, BY_FILE, f"{BY_FILE}-{now()}", "", msgspec.json.encode(switch))]
            )
        self._file_said = there


def _entry(timer: str, due: Millis) -> Entry:
    return Entry(EntryKind.TICK, "clock", f"{timer}@{due}", "", msgspec.json.encode(Tick(timer)))
