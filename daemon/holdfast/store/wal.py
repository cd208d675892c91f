"""Until when a SQLite file's write-ahead log is on disk, and waiting for it together.

SQLite can wait for the disk within a commit (synchronous=FULL), and then nobody else writes meanwhile: on an
idle disk that is a millisecond. Here a commit ends before that, others go on, and only who makes a promise of
it waits. A log is on disk up to a point or not, so whoever waits for a later commit has waited for all
earlier ones; a checkpoint, which SQLite makes as ever (synchronous=NORMAL), brings both in the right order.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path


class Wal:
    """Counts commits, and knows how many of them are on disk. Thread-safe."""

    def __init__(self, database: Path, checkpoint: Callable[[], None]) -> None:
        """`checkpoint` writes everything from the log into the database and begins it anew, or raises."""
        self._path = database.with_name(f"{database.name}-wal")
        self._checkpoint = checkpoint
        self._file: int | None = None
        self._syncing = threading.Lock()
        self._committed = self._synced = 0
        self._doubtful = False

    def committed(self) -> None:
        """One more transaction is in the log; said by the one that writes, before the next writes."""
        self._committed += 1

    def sync(self) -> None:
        """Wait until every transaction that was committed before is on disk. Raises what the disk says.

        What the disk refused once, the kernel may hold for written: then the log is not trusted any more,
        and from there everything goes into the database itself before this returns again.
        """
        wanted = self._committed
        if self._synced >= wanted:
            return
        with self._syncing:
            if self._synced >= wanted:
                return  # whoever was before us waited for ours, too
            reached = self._committed
            if self._doubtful:
                self._checkpoint()
            else:
                self._doubtful = True
                self._flush()
            self._doubtful = False
            self._synced = reached

    def close(self) -> None:
        """Give the file back."""
        with self._syncing:
            if self._file is not None:
                os.close(self._file)
                self._file = None

    def _flush(self) -> None:
        if self._file is None:
            self._file = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        os.fdatasync(self._file)
