"""One transaction for all who wait, and what each of them is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import islice
from typing import Final

import msgspec
import structlog

from holdfast.effects import crash_point
from holdfast.errors import HoldfastError, StoreError
from holdfast.journal.queue import Loads
from holdfast.journal.tail import Tail
from holdfast.model.events import Entry
from holdfast.model.values import Millis
from holdfast.store import journal as rows
from holdfast.store.database import Busy, Database

POINT: Final = crash_point("journal.append")

_log: Final = structlog.get_logger()


class Ack(msgspec.Struct, frozen=True, gc=False):
    """An entry is on disk: `seq` is its place in the order. A duplicate was there already; its
    `seq` is 0."""

    seq: int
    duplicate: bool


@dataclass(frozen=True, slots=True)
class Group:
    """Entries that were handed over together, and who waits for them."""

    entries: Sequence[Entry]
    loads: Loads
    future: Future[list[Ack]] | asyncio.Future[list[Ack]]


#: What became of a group: where its entries are, or why they are nowhere.
Result = list[Ack] | HoldfastError


class Committer:
    """Writes groups, each of them all or none; used by one thread at a time."""

    def __init__(self, db: Database, clock: Callable[[], Millis], tail: Tail) -> None:
        self._db = db
        self._clock = clock
        self._tail = tail
        self._received: Millis = 0
        self._lost = 0

    def start(self) -> None:
        """Go on from what is there; raises StoreError when the journal cannot be read."""
        with self._db.read() as tx:
            self._received = rows.last_received(tx)

    def write(self, groups: Sequence[Group], *, wait: bool) -> list[Result]:
        """What became of each group, in one transaction if that can be; nothing is to be promised before
        `sync`. Busy, and nothing was done, when another thread writes and this one is not to wait."""
        entries = [entry for group in groups for entry in group.entries]
        try:
            seqs = self._store(entries, wait)
        except Busy:
            raise
        except StoreError as error:
            return self._failed(groups, error)
        except Exception as error:  # noqa: BLE001 - told to whoever waits; the writer must live on
            return self._separately(groups, error)
        self._tail.add(
            [_placed(entry, self._received, seq) for entry, seq in zip(entries, seqs, strict=True) if seq]
        )
        acks = iter([Ack(seq, seq == 0) for seq in seqs])
        return [list(islice(acks, len(group.entries))) for group in groups]

    def sync(self, groups: Sequence[Group], results: list[Result]) -> list[Result]:
        """The same results once they are on disk. What the disk refuses to keep is not acknowledged, though
        it may be there: whoever sends it again is told so when it is."""
        if all(isinstance(result, Exception) for result in results):
            return results
        try:
            self._db.sync()
        except StoreError as error:
            return self._failed(groups, error)
        if self._lost:
            _log.info("the journal is written again", not_stored=self._lost)
            self._lost = 0
        return results

    def _store(self, entries: Sequence[Entry], wait: bool) -> list[int]:
        self._received = max(self._received, self._clock())
        with self._db.begin(POINT, wait=wait, derived=True) as tx:
            return rows.append(tx, entries, self._received)

    def _failed(self, groups: Sequence[Group], error: StoreError) -> list[Result]:
        if not self._lost:
            _log.error("the journal cannot be written; nothing is acknowledged", why=str(error))
        self._lost += sum(len(group.entries) for group in groups)
        return [error] * len(groups)

    def _separately(self, groups: Sequence[Group], error: Exception) -> list[Result]:
        """An entry that cannot be written must not take its neighbours with it."""
        if len(groups) > 1:
            return [result for group in groups for result in self.write([group], wait=True)]
        _log.error("an entry cannot be stored", source=groups[0].entries[0].source, exc_info=error)
        return [StoreError(f"the entry cannot be stored ({type(error).__name__}): see the log")]


def _placed(entry: Entry, received: Millis, seq: int) -> Entry:
    return Entry(entry.kind, entry.source, entry.id, entry.commit, entry.body, received, seq, entry.event)
