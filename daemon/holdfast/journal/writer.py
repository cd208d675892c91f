"""One thread writes the journal: whatever waits goes into one transaction, then all are told."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import islice
from typing import Final

import structlog

from holdfast.effects import crash_point
from holdfast.errors import Overloaded, StoreError
from holdfast.journal.queue import Loads, Waiting, weigh
from holdfast.model.events import Entry
from holdfast.model.values import Millis
from holdfast.store import journal as rows
from holdfast.store.database import Database

POINT: Final = crash_point("journal.append")
#: One transaction holds at most this much, so that a flood delays nobody for long.
BATCH_ENTRIES: Final = 2000
BATCH_BYTES: Final = 8 * 1024 * 1024
WAITING_BYTES: Final = 64 * 1024 * 1024

_log: Final = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Ack:
    """An entry is on disk: `seq` is its place in the order. A duplicate was there already; its
    `seq` is 0."""

    seq: int
    duplicate: bool


@dataclass(frozen=True, slots=True)
class _Group:
    """Entries that were handed over together, and who waits for them."""

    entries: Sequence[Entry]
    loads: Loads
    future: Future[list[Ack]] | asyncio.Future[list[Ack]]


_Result = list[Ack] | StoreError


class Journal:
    """The only writer of the journal.

    A future is resolved only after the commit that holds all its entries; with StoreError when the
    disk refused them, and then none of them is stored. Later entries are tried again. `received`
    is the clock, and never goes back, over restarts too. `on_commit` is called on the writer's
    thread with the newest sequence number; it must not wait for the journal.
    """

    def __init__(
        self,
        db: Database,
        clock: Callable[[], Millis],
        *,
        on_commit: Callable[[int], None],
        max_waiting: int = 20_000,
        max_bytes: int = WAITING_BYTES,
    ) -> None:
        self._db = db
        self._clock = clock
        self._on_commit = on_commit
        self._waiting: Waiting[_Group] = Waiting(max_waiting, max_bytes)
        self._changed = threading.Condition(threading.Lock())
        self._open = False
        self._received: Millis = 0
        self._lost = 0
        self._thread = threading.Thread(target=self._write, name="journal", daemon=True)

    def start(self) -> None:
        """Begin to write; raises StoreError when the journal cannot be read."""
        with self._db.read() as tx:
            self._received = rows.last_received(tx)
        self._open = True
        self._thread.start()

    def stop(self) -> None:
        """Take nothing more, write what waits, and end."""
        with self._changed:
            self._open = False
            self._changed.notify()
        if self._thread.ident is not None:
            self._thread.join()

    def append(self, entries: Sequence[Entry]) -> Future[list[Ack]]:
        """Hand entries over, all or none. Raises Overloaded (SourceFull for one source) at a bound."""
        future: Future[list[Ack]] = Future()
        future.set_running_or_notify_cancel()  # nobody can take back what may be on disk already
        self._add(_Group(entries, weigh(entries), future))
        return future

    def append_async(self, entries: Sequence[Entry]) -> asyncio.Future[list[Ack]]:
        """The same for a caller on an event loop, which is woken once per commit."""
        future: asyncio.Future[list[Ack]] = asyncio.get_running_loop().create_future()
        self._add(_Group(entries, weigh(entries), future))
        return future

    def put(self, entries: Sequence[Entry]) -> list[Ack]:
        """Hand entries over and wait until they are on disk. Raises Overloaded or StoreError."""
        return self.append(entries).result()

    def waiting(self) -> int:
        """How many entries wait for their commit now."""
        return len(self._waiting)

    def refused(self) -> Mapping[str, int]:
        """How many entries of each source were refused at a bound since the start."""
        with self._changed:
            return dict(self._waiting.refused)

    def _add(self, group: _Group) -> None:
        with self._changed:
            if not self._open:
                raise Overloaded("the daemon is starting or stopping and takes nothing: try again soon")
            self._waiting.add(group)
            self._changed.notify()

    def _write(self) -> None:
        while groups := self._next():
            self._commit(groups)

    def _next(self) -> list[_Group]:
        """The next groups to commit; none when the journal is closed and all is written."""
        with self._changed:
            while self._open and not self._waiting:
                self._changed.wait()
            return self._waiting.take(BATCH_ENTRIES, BATCH_BYTES)

    def _commit(self, groups: Sequence[_Group]) -> None:
        entries = [entry for group in groups for entry in group.entries]
        try:
            seqs = self._store(entries)
        except StoreError as error:
            self._fail(groups, error)
        except Exception as error:  # noqa: BLE001 - told to whoever waits; the writer must live on
            self._separate(groups, error)
        else:
            self._succeed(groups, seqs)

    def _store(self, entries: Sequence[Entry]) -> list[int]:
        self._received = max(self._received, self._clock())
        with self._db.begin(POINT) as tx:
            return rows.append(tx, entries, self._received)

    def _separate(self, groups: Sequence[_Group], error: Exception) -> None:
        """An entry that cannot be written must not take its neighbours with it."""
        if len(groups) > 1:
            for group in groups:
                self._commit([group])
            return
        _log.error("an entry cannot be stored", source=groups[0].entries[0].source, exc_info=error)
        self._settle(
            groups, [StoreError(f"the entry cannot be stored ({type(error).__name__}): see the log")]
        )

    def _fail(self, groups: Sequence[_Group], error: StoreError) -> None:
        if not self._lost:
            _log.error("the journal cannot be written; nothing is acknowledged", why=str(error))
        self._lost += sum(len(group.entries) for group in groups)
        self._settle(groups, [error] * len(groups))

    def _succeed(self, groups: Sequence[_Group], seqs: Sequence[int]) -> None:
        if self._lost:
            _log.info("the journal is written again", not_stored=self._lost)
            self._lost = 0
        acks = iter([Ack(seq, seq == 0) for seq in seqs])
        self._settle(groups, [list(islice(acks, len(group.entries))) for group in groups])
        newest = max(seqs, default=0)
        if newest:
            try:
                self._on_commit(newest)
            except Exception:  # noqa: BLE001 - what is on disk stays, whoever is told of it
                _log.exception("nobody was told of a commit", seq=newest)

    def _settle(self, groups: Sequence[_Group], results: Sequence[_Result]) -> None:
        with self._changed:
            self._waiting.release(groups)
        loops: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[list[Ack]], _Result]]] = {}
        for group, result in zip(groups, results, strict=True):
            if isinstance(group.future, asyncio.Future):
                loops.setdefault(group.future.get_loop(), []).append((group.future, result))
            else:
                _resolve(group.future, result)
        for loop, settled in loops.items():
            with contextlib.suppress(RuntimeError):  # a loop that is closed waits for nothing
                loop.call_soon_threadsafe(_resolve_all, settled)


def _resolve_all(settled: Sequence[tuple[asyncio.Future[list[Ack]], _Result]]) -> None:
    for future, result in settled:
        if not future.done():  # its waiter may have gone away
            _resolve(future, result)


def _resolve(future: Future[list[Ack]] | asyncio.Future[list[Ack]], result: _Result) -> None:
    if isinstance(result, StoreError):
        future.set_exception(result)
    else:
        future.set_result(result)
