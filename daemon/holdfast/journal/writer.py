"""The journal: whatever waits goes into one transaction, then all are told."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Final

import structlog

from holdfast.errors import Overloaded
from holdfast.journal.commit import Ack, Committer, Group, Result
from holdfast.journal.entrance import PATIENCE, Entrance, ahead
from holdfast.journal.pace import Pace
from holdfast.journal.queue import Waiting, weigh
from holdfast.journal.tail import Tail
from holdfast.model.events import Entry
from holdfast.model.values import Millis
from holdfast.store import journal as rows
from holdfast.store.database import Busy, Database

#: One transaction holds at most this much, so that a flood delays nobody for long.
BATCH_ENTRIES: Final = 2000
BATCH_BYTES: Final = 8 * 1024 * 1024
WAITING_BYTES: Final = 64 * 1024 * 1024
#: The same for a transaction on an event loop, which does nothing else meanwhile.
HERE_ENTRIES: Final = 500
HERE_BYTES: Final = 1024 * 1024
#: Under load a commit waits so many seconds for company: a commit costs more than that.
LINGER: Final = 50e-6
#: So often a loop comes back when another thread writes, before our own thread waits for its turn.
TRIES: Final = 4
#: What a loop was about to commit and has not after so many seconds, the thread takes.
PROMISED: Final = 1.0
#: A loop that committed within so many seconds is at it: what threads bring goes along with its next.
AT_IT: Final = 0.01
#: A commit that took longer, in seconds, is left to the thread for a while: the disk has hiccups.
SLOW: Final = 0.05
RECOVERY: Final = 1.0

#: Timers of a loop may be early by so many seconds.
_LATE: Final = 0.02
_CLOSED: Final = "the daemon is starting or stopping and takes nothing: try again soon"

_log: Final = structlog.get_logger()
_Future = Future[list[Ack]] | asyncio.Future[list[Ack]]


class Journal:
    """The only writer of the journal.

    A future is resolved only when the commit that holds all its entries is on disk; with StoreError when
    the disk refused them, and then none of them is promised. Later entries are tried again. `received`
    is the clock, and never goes back, over restarts too. `on_commit` is called by whoever committed
    with the newest sequence number, while the disk still takes its time: what is done about an entry
    comes behind it in the same log. It must not wait for the journal.

    An event loop commits what its callers handed over itself, which spares two changes of threads;
    the thread takes everything else, and whatever would keep a loop waiting: another thread writes,
    much is to be written, or the disk is slow.

    With a `pace` events are bounded until `decided` is told of them: a source that is ahead of the
    decisions is slowed down, and then refused. `elapsed` is its clock, in seconds.
    """

    def __init__(
        self,
        db: Database,
        clock: Callable[[], Millis],
        *,
        on_commit: Callable[[int], None],
        max_waiting: int = 20_000,
        max_bytes: int = WAITING_BYTES,
        pace: Pace | None = None,
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        self._db = db
        self._on_commit = on_commit
        self._waiting: Waiting[Group] = Waiting(max_waiting, max_bytes)
        self._entrance = Entrance(self._waiting, pace, elapsed)
        self._tail = Tail()
        self._committer = Committer(db, clock, self._tail)
        self._changed = threading.Condition(threading.Lock())
        self._open = False
        self._busy = False  # somebody commits
        self._next_on: asyncio.AbstractEventLoop | None = None  # the loop that will look what waits
        self._at_it: tuple[asyncio.AbstractEventLoop, float] | None = None  # which loop, and until when
        self._waits_since: float | None = None
        self._tries = 0  # how often in a row somebody else wrote when the loop wanted to
        self._crowd = 0  # how many groups to expect at once
        self._not_here_before = 0.0
        self._thread = threading.Thread(target=self._write, name="journal", daemon=True)

    def start(self) -> None:
        """Begin to write; raises StoreError when the journal cannot be read."""
        self._committer.start()
        with self._db.read() as tx:
            self._entrance.inherit(rows.cursor(tx), rows.head(tx))
        self._open = True
        self._thread.start()

    def stop(self) -> None:
        """Take nothing more, write what waits, and end."""
        with self._changed:
            self._open = False
            held = self._entrance.close()
            self._changed.notify()
        _settle(held, [Overloaded(_CLOSED)] * len(held), None)
        if self._thread.ident is not None:
            self._thread.join()

    def append(self, entries: Sequence[Entry]) -> Future[list[Ack]]:
        """Hand entries over, all or none. Raises Overloaded (SourceFull for one source) at a bound."""
        future: Future[list[Ack]] = Future()
        future.set_running_or_notify_cancel()  # nobody can take back what may be on disk already
        self._add(Group(entries, weigh(entries), future), None)
        return future

    def append_async(self, entries: Sequence[Entry]) -> asyncio.Future[list[Ack]]:
        """The same for a caller on an event loop, which may commit it itself, with what others bring."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[list[Ack]] = loop.create_future()
        if not self._add(Group(entries, weigh(entries), future), loop):
            loop.call_later(PATIENCE + _LATE, self._refuse_late)
        return future

    def put(self, entries: Sequence[Entry]) -> list[Ack]:
        """Hand entries over and wait until they are on disk. Raises Overloaded or StoreError."""
        return self.append(entries).result()

    def take(self, after: int, limit: int) -> Sequence[Entry] | None:
        """The next entries from memory for the one who follows the journal; None: read the store."""
        return self._tail.take(after, limit)

    def decided(self, cursor: int) -> None:
        """Everything up to this sequence number is decided on; called on any thread."""
        with self._changed:
            let_in = self._entrance.decided(cursor)
        for loop in {group.future.get_loop() for group in let_in if isinstance(group.future, asyncio.Future)}:
            with contextlib.suppress(RuntimeError):  # a loop that is closed waits for nothing
                loop.call_soon_threadsafe(self._turn, loop)

    def waiting(self) -> int:
        """How many entries wait for their commit now."""
        return len(self._waiting)

    def refused(self) -> Mapping[str, int]:
        """How many entries of each source were refused at a bound since the start."""
        with self._changed:
            return dict(self._waiting.refused)

    def _add(self, group: Group, loop: asyncio.AbstractEventLoop | None) -> bool:
        """Whether it waits for its commit; else it is held back."""
        with self._changed:
            if not self._open:
                raise Overloaded(_CLOSED)
            if not self._entrance.enter(group, patient=loop is not None):
                return False
            if loop is None:
                if self._next_on is None and not self._goes_along():  # else a loop takes it along
                    self._changed.notify()
            elif self._next_on is not loop:
                self._next_on = loop
                loop.call_soon(self._turn, loop)
            return True

    def _goes_along(self) -> bool:
        """Whether a loop that is at it will commit what a thread has brought: a commit less."""
        if self._at_it is None or time.monotonic() > self._at_it[1]:
            return False
        self._next_on = self._at_it[0]
        return self._call(self._next_on)

    def _call(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Have a loop look what waits; False when it has ended meanwhile."""
        try:
            loop.call_soon_threadsafe(self._turn, loop)
        except RuntimeError:
            self._next_on = self._at_it = None
            return False
        return True

    def _refuse_late(self) -> None:
        with self._changed:
            late = self._entrance.late()
        _settle(late, [ahead(group) for group in late], None)

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        """On a loop: commit what waits, or see to it that somebody does."""
        with self._changed:
            if self._busy:
                return  # whoever is busy calls when it is done
            if not self._waiting:
                self._next_on = None
                return
            now = time.monotonic()
            if self._lingers(now):
                loop.call_soon(self._turn, loop)
                return
            self._next_on = None
            if now < self._not_here_before or self._waiting.larger(HERE_ENTRIES, HERE_BYTES):
                self._changed.notify()
                return
            groups = self._take(HERE_ENTRIES, HERE_BYTES)
            self._at_it = loop, now + AT_IT
        try:
            self._commit(groups, loop)
        except Busy:
            self._try_again(groups, loop)
        else:
            self._tries = 0
        took = time.monotonic() - now
        if took > SLOW:
            self._not_here_before = now + took + RECOVERY

    def _try_again(self, groups: Sequence[Group], loop: asyncio.AbstractEventLoop) -> None:
        """Another thread writes: come back when it has ended, a few times; then let ours wait its turn."""
        with self._changed:
            self._waiting.put_back(groups)
            self._busy = False
            self._tries += 1
            if self._tries > TRIES:
                self._tries = 0
                self._changed.notify()
                return
            self._next_on = loop
        self._db.when_free(lambda: self._come_back(loop))

    def _come_back(self, loop: asyncio.AbstractEventLoop) -> None:
        with self._changed:
            if not self._call(loop):
                self._changed.notify()

    def _lingers(self, now: float) -> bool:
        if self._waits_since is None:
            self._waits_since = now
        return self._waiting.groups < self._crowd and now - self._waits_since < LINGER

    def _take(self, max_entries: int, max_bytes: int) -> list[Group]:
        groups = self._waiting.take(max_entries, max_bytes)
        self._busy = bool(groups)
        self._waits_since = None
        self._crowd = max(len(groups), self._crowd - 1)
        return groups

    def _write(self) -> None:
        while groups := self._next():
            self._commit(groups, None)

    def _next(self) -> list[Group]:
        """The next groups to commit on the thread; none when the journal is closed and all is written."""
        with self._changed:
            told = True
            while self._busy or (self._open and not (self._waiting and (self._next_on is None or not told))):
                told = self._changed.wait(PROMISED)
            self._next_on = None
            return self._take(BATCH_ENTRIES, BATCH_BYTES)

    def _commit(self, groups: Sequence[Group], here: asyncio.AbstractEventLoop | None) -> None:
        results = self._committer.write(groups, wait=here is None)
        newest = max((ack.seq for result in results if isinstance(result, list) for ack in result), default=0)
        if newest:
            try:
                self._on_commit(newest)
            except Exception:  # noqa: BLE001 - what is on disk stays, whoever is told of it
                _log.exception("nobody was told of a commit", seq=newest)
        results = self._committer.sync(groups, results)
        with self._changed:
            self._entrance.settled(groups, results)
            self._busy = False
            if self._next_on not in (None, here) and not self._call(self._next_on):
                self._next_on = None
            if not self._open or (self._waiting and self._next_on is None):
                self._changed.notify()
        _settle(groups, results, here)


def _settle(
    groups: Sequence[Group], results: Sequence[Result], here: asyncio.AbstractEventLoop | None
) -> None:
    """Tell everybody, each loop once."""
    loops: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[list[Ack]], Result]]] = {}
    for group, result in zip(groups, results, strict=True):
        if isinstance(group.future, asyncio.Future):
            loops.setdefault(group.future.get_loop(), []).append((group.future, result))
        else:
            _resolve(group.future, result)
    for loop, settled in loops.items():
        if loop is here:
            _resolve_all(settled)
            continue
        with contextlib.suppress(RuntimeError):  # a loop that is closed waits for nothing
            loop.call_soon_threadsafe(_resolve_all, settled)


def _resolve_all(settled: Sequence[tuple[asyncio.Future[list[Ack]], Result]]) -> None:
    for future, result in settled:
        if not future.done():  # its waiter may have gone away
            _resolve(future, result)


def _resolve(future: _Future, result: Result) -> None:
    if isinstance(result, Exception):
        future.set_exception(result)
    else:
        future.set_result(result)
