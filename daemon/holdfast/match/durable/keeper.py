"""Keeps one engine process at hand: has it replaced when it fails, and gives up when that does not help."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol

from holdfast.match.durable.facts import Asked
from holdfast.match.durable.handle import Failed, Handle, Unavailable
from holdfast.match.durable.program import Program
from holdfast.match.engine import Figures
from holdfast.model.events import EngineMode, EngineNews, EngineTrouble

#: A process is replaced after so many facts, or when it has grown by so much (KiB).
FACTS: Final = 1_000_000
GROWTH_KIB: Final = 256 * 1024
#: With more failures than this within the span, native takes over until the next config or start.
FAILURES: Final = 5
FAILURE_SPAN_S: Final = 600.0
#: Facts that are not shown to any process again; with more of them native takes over.
QUARANTINE: Final = 64
#: Facts that were out when a process failed are tried again one by one, up to so many.
SUSPECTS: Final = 1024
#: Seconds before the second start in a row, twice as many before each further one, up to the most.
PAUSE_S: Final = 0.1
MOST_PAUSE_S: Final = 1.0


class Start(Protocol):
    """Starts a process for a program; raises Failed."""

    def __call__(self, program: Program, /) -> Handle:
        """The process, which has not been given its program yet."""


class Keeper:
    """Owns the process. `take`, `failed` and `differed` are for the thread that matches; a second
    thread starts the next process, shows it its smoke facts and the facts that may have ended the last.

    Nothing is reported before `announce`, nor after `close`; in between everything is, in order. What
    `report` does not take (False) is reported again until it takes it, or there are newer news.
    """

    def __init__(self, program: Program, report: Callable[[EngineNews], bool], start: Start) -> None:
        self._program = program
        self._report = report
        self._started_by = start
        self._lock = threading.RLock()
        self._handle: Handle | None = None
        self._next: Handle | None = None
        self._coming: Handle | None = None
        self._news = EngineNews(EngineMode.STARTING, None, "")
        self._announced = self._untold = False
        self._closed = threading.Event()
        self._settled = threading.Event()
        self._failures: deque[float] = deque(maxlen=FAILURES + 1)
        self._troubles = dict.fromkeys(EngineTrouble, 0)
        self._quarantined: frozenset[Asked] = frozenset()
        self._facts = self._started = self._peak = 0
        self._thread: threading.Thread | None = None

    def start(self, seconds: float) -> None:
        """Start the first process, and wait that long until it is there, or none will come."""
        self._replace(())
        self._settled.wait(seconds)

    def announce(self) -> None:
        """Report how it is now, and from now on what becomes of it."""
        with self._lock:
            self._announced = True
            if self._news.mode is not EngineMode.STARTING:
                self._untold = not self._report(self._news)

    def remind(self) -> None:
        """Report once more what was not taken."""
        if self._untold:
            self.announce()

    def take(self) -> Handle | None:
        """The process to ask, or None while native stands in."""
        if self._next is not None:
            with self._lock:
                retired, self._handle, self._next = self._handle, self._next, None
            if retired is not None:
                self._let_go(retired)
        handle = self._handle
        if handle is not None and self._thread is None and _is_used_up(handle):
            self._replace(())
        return handle

    def is_quarantined(self, asked: Iterable[Asked]) -> bool:
        """Whether one of these facts has ended a process twice."""
        return bool(self._quarantined) and not self._quarantined.isdisjoint(asked)

    def failed(self, handle: Handle, failure: Failed, suspects: Sequence[Asked]) -> None:
        """A process failed while it was asked about these facts; it has ended."""
        with self._lock:
            if self._handle is not handle:
                return  # it was ended: this is closed, or given up
            self._handle = None
        self._let_go(handle)
        if self._counted(failure):
            self._tell(EngineMode.RECOVERING, failure.trouble, str(failure))
            self._replace(tuple(dict.fromkeys(suspects))[:SUSPECTS])

    def differed(self, keys: Sequence[str]) -> None:
        """The process answered other than native: it is not believed again."""
        self._troubles[EngineTrouble.DIFFERENCE] += 1
        self._give_up(EngineTrouble.DIFFERENCE, f"it was wrong about {', '.join(keys[:3])}")

    def figures(self, **counted: int) -> Figures:
        """How the process is, beside what was counted elsewhere."""
        with self._lock:
            handle = self._handle or self._next
            troubles = self._troubles
            return Figures(
                mode=self._news.mode,
                why=self._news.why,
                pid=0 if handle is None else handle.pid,
                facts=self._facts + (0 if handle is None else handle.facts),
                deaths=troubles[EngineTrouble.DEATH],
                late=troubles[EngineTrouble.LATE],
                nonsense=troubles[EngineTrouble.NONSENSE],
                quarantined=len(self._quarantined),
                started=self._started,
                peak=max(self._peak, 0 if handle is None else handle.peak),
                **counted,
            )

    def close(self) -> None:
        """End the process and the thread that may be starting one; at once, whatever they do."""
        with self._lock:
            self._closed.set()
            handles = [one for one in (self._handle, self._next, self._coming) if one is not None]
            self._handle = self._next = None
            thread = self._thread
        for handle in handles:
            handle.end()
        if thread is not None:
            thread.join()
        for handle in handles:
            handle.kill()

    # -- replacing ----------------------------------------------------------------------------------

    def _replace(self, suspects: Sequence[Asked]) -> None:
        with self._lock:
            if self._closed.is_set() or self._news.mode is EngineMode.NATIVE:
                self._settled.set()
            elif self._thread is None:
                thread = threading.Thread(
                    target=self._begin_anew, args=(list(suspects),), name="engine", daemon=True
                )
                try:
                    thread.start()
                except RuntimeError as error:
                    self._give_up(EngineTrouble.DEATH, f"it cannot be started: {error}")
                    self._settled.set()
                else:
                    self._thread = thread

    def _begin_anew(self, suspects: list[Asked]) -> None:
        """Start processes until one has passed; facts that end it are set aside."""
        pause = PAUSE_S
        try:
            while not self._closed.is_set() and self._news.mode is not EngineMode.NATIVE:
                try:
                    handle = self._passed(suspects)
                except Unavailable as failure:
                    self._give_up(failure.trouble, str(failure))
                except Failed as failure:
                    self._counted(failure)
                    self._closed.wait(pause)
                    pause = min(2 * pause, MOST_PAUSE_S)
                else:
                    self._put_to_use(handle)
                    return
        except Exception as error:  # noqa: BLE001 - a defect here must not leave the daemon without a word
            self._give_up(EngineTrouble.DEATH, f"it cannot be started ({type(error).__name__})")
        finally:
            with self._lock:
                if self._thread is threading.current_thread():
                    self._thread = None
            self._settled.set()

    def _passed(self, suspects: list[Asked]) -> Handle:
        """A process that has passed its smoke facts, and every suspect that is not set aside for it."""
        handle = self._started_by(self._program)
        with self._lock:
            self._coming = handle
            if self._closed.is_set():
                handle.end()
        self._started += 1
        try:
            handle.load()
            handle.smoke()
            while suspects:
                self._try(handle, suspects.pop())
        except BaseException:
            handle.kill()
            raise
        finally:
            with self._lock:
                self._coming = None
        return handle

    def _try(self, handle: Handle, suspect: Asked) -> None:
        try:
            handle.ask([suspect])
        except Failed as failure:
            self._quarantine(suspect, failure)
            raise

    def _put_to_use(self, handle: Handle) -> None:
        with self._lock:
            # all at once: whoever takes it and fails at once finds the place of this thread free, and
            # its news comes after this one
            self._thread = None
            if self._closed.is_set() or self._news.mode is EngineMode.NATIVE:
                handle.kill()
                return
            self._next = handle
            if self._news.mode is not EngineMode.DURABLE:
                self._tell(EngineMode.DURABLE, None, "a process has passed its smoke facts")

    def _quarantine(self, suspect: Asked, failure: Failed) -> None:
        if self._closed.is_set():
            return  # it did not end it: it was ended
        self._quarantined |= {suspect}
        self._troubles[EngineTrouble.QUARANTINE] += 1
        why = f"a fact of ruleset {suspect.ruleset} ended it twice ({failure}): matched natively from now on"
        if len(self._quarantined) > QUARANTINE:
            self._give_up(EngineTrouble.QUARANTINE, why)
        else:
            self._tell(self._news.mode, EngineTrouble.QUARANTINE, why)

    def _counted(self, failure: Failed) -> bool:
        """Count a failure; False when it was one too many."""
        if self._closed.is_set():
            return False
        self._troubles[failure.trouble] += 1
        now = time.monotonic()
        self._failures.append(now)
        if len(self._failures) > FAILURES and now - self._failures[0] < FAILURE_SPAN_S:
            why = f"it failed {len(self._failures)} times, the last time: {failure}"
            self._give_up(failure.trouble, why)
            return False
        return True

    def _give_up(self, trouble: EngineTrouble, why: str) -> None:
        with self._lock:
            handles = [one for one in (self._handle, self._next) if one is not None]
            self._handle = self._next = None
            for handle in handles:
                handle.end()  # another thread may be asking it
            if self._news.mode is not EngineMode.NATIVE:
                self._tell(EngineMode.NATIVE, trouble, why)
        for handle in handles:
            self._let_go(handle)

    def _let_go(self, handle: Handle) -> None:
        handle.kill()
        with self._lock:
            self._facts += handle.facts
            self._peak = max(self._peak, handle.peak)

    def _tell(self, mode: EngineMode, trouble: EngineTrouble | None, why: str) -> None:
        with self._lock:
            self._news = EngineNews(mode, trouble, why)
            if self._announced and not self._closed.is_set():
                self._untold = not self._report(self._news)


def _is_used_up(handle: Handle) -> bool:
    return handle.facts > FACTS or handle.peak - handle.base > GROWTH_KIB
