"""The newest entries, kept in memory, so that whoever follows the journal need not read them back."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import Final

from holdfast.model.events import Entry

#: What an entry costs in memory beside its body, roughly: itself, and the event that it carries.
_OVERHEAD: Final = 1024


class Tail:
    """Entries that are on disk, without gaps, within bounds; the oldest go first. Thread-safe."""

    def __init__(self, max_entries: int = 20_000, max_bytes: int = 32 * 1024 * 1024) -> None:
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._entries: deque[Entry] = deque()
        self._bytes = 0
        self._newest = 0  # the sequence number of the last entry, whether it is held or not
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, entries: Sequence[Entry]) -> None:
        """Keep what was just committed, in its order; what does not follow on the rest replaces it."""
        with self._lock:
            for entry in entries:
                if entry.seq != self._newest + 1:
                    self._clear()
                self._newest = entry.seq
                self._entries.append(entry)
                self._bytes += _OVERHEAD + len(entry.body)
            while len(self._entries) > self._max_entries or self._bytes > self._max_bytes:
                self._drop()

    def take(self, after: int, limit: int) -> Sequence[Entry] | None:
        """The next entries after a sequence number, which is done with: it and what came before are
        forgotten. Empty where there are none; None where only the disk knows."""
        with self._lock:
            while self._entries and self._entries[0].seq <= after:
                self._drop()
            if not self._entries:
                return () if after == self._newest != 0 else None
            if self._entries[0].seq != after + 1:
                return None
            return tuple(islice(self._entries, limit))

    def _drop(self) -> None:
        self._bytes -= _OVERHEAD + len(self._entries.popleft().body)

    def _clear(self) -> None:
        self._entries.clear()
        self._bytes = 0
