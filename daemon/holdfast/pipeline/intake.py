"""What the pipeline takes from the journal at a time, and how soon after the last time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

from holdfast.model.events import Entry
from holdfast.store import journal
from holdfast.store.database import Database

BATCH: Final = 500
#: Seconds that a batch should take: what comes after it waits for so long.
BATCH_S: Final = 0.05
#: Where so many entries wait at each look, the next one comes after so many seconds.
CROWD: Final = 8
LINGER_S: Final = 0.02
#: For so many seconds it is believed that nothing follows on what is at hand.
TRUST_S: Final = 0.9

#: The next entries after a sequence number, at most so many, where they are at hand; None where only the
#: store has them.
Tail = Callable[[int, int], Sequence[Entry] | None]


def not_at_hand(after: int, limit: int) -> Sequence[Entry] | None:
    """Nobody keeps entries in memory."""
    del after, limit
    return None


class Intake:
    """Reads on; batches are as large as their time allows, and where much comes in, looks are few: each
    of them disturbs who writes it."""

    def __init__(self, database: Database, tail: Tail, elapsed: Callable[[], float] = time.monotonic) -> None:
        self._db = database
        self._tail = tail
        self._elapsed = elapsed
        self._batch = BATCH
        self._trusted = 0.0
        self._looked = 0.0
        self._crowded = False

    def next(self, cursor: int) -> Sequence[Entry]:
        """The next entries; none at the end of the journal."""
        entries = self._tail(cursor, self._batch)
        if entries is not None and (entries or self._elapsed() < self._trusted):
            return entries
        # at the end of what is at hand, the store has the last word now and then
        self._trusted = self._elapsed() + TRUST_S
        with self._db.read() as tx:
            return journal.after(tx, cursor, self._batch)

    def took(self, entries: int, seconds: float) -> None:
        """Events that lead to much make batches small, so that others do not wait for long."""
        if seconds > BATCH_S:
            self._batch = max(1, int(entries * BATCH_S / seconds))
        elif entries == self._batch:
            self._batch = min(BATCH, 2 * self._batch)

    def looked(self, handled: int) -> None:
        """The end of the journal was reached, after so many entries."""
        self._crowded = handled >= CROWD
        self._looked = self._elapsed()

    def pause(self) -> float:
        """Seconds until the next look."""
        return max(0.0, self._looked + LINGER_S - self._elapsed()) if self._crowded else 0.0
