"""A wall clock outside of the thread that waits: no library call can hang longer than its limit."""

from __future__ import annotations

import contextlib
import heapq
import itertools
import threading
import time
from collections.abc import Callable, Iterator

import structlog

log = structlog.get_logger(__name__)


class Watchdog:
    """One thread for any number of limits, started with the first one."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._limits: list[tuple[float, int, Callable[[], object]]] = []
        self._kept: set[int] = set()
        self._numbers = itertools.count()
        self._thread: threading.Thread | None = None
        self._closed = False

    @contextlib.contextmanager
    def limit(self, seconds: float, act: Callable[[], object]) -> Iterator[None]:
        """Call `act` from another thread when the body takes longer than `seconds`."""
        number = next(self._numbers)
        with self._changed:
            self._kept.add(number)
            heapq.heappush(self._limits, (time.monotonic() + seconds, number, act))
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._watch, name="execute-watchdog", daemon=True)
                self._thread.start()
            if self._limits[0][1] == number:
                self._changed.notify()
        try:
            yield
        finally:
            with self._changed:
                self._kept.discard(number)
                while self._limits and self._limits[0][1] not in self._kept:
                    heapq.heappop(self._limits)

    def close(self) -> None:
        """End the thread; limits that are set now are no longer kept."""
        with self._changed:
            self._closed = True
            self._changed.notify()
            thread = self._thread
        if thread is not None:
            thread.join()

    def _watch(self) -> None:
        while True:
            with self._changed:
                if self._closed:
                    return
                now = time.monotonic()
                if not self._limits or self._limits[0][0] > now:
                    self._changed.wait(self._limits[0][0] - now if self._limits else None)
                    continue
                _, number, act = heapq.heappop(self._limits)
                if number not in self._kept:
                    continue
                self._kept.discard(number)
            try:
                act()
            except Exception:
                log.exception("execute.watchdog")
