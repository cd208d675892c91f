"""Sees the config change: a branch of a bare repository, or files of a plain directory."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog
from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer

from holdfast.config.git import is_server
from holdfast.config.load import counts
from holdfast.config.papers import FOLDERS

#: A change counts once nothing more has changed for so long, in seconds; and at the latest after so long.
QUIET: Final = 0.1
AT_MOST: Final = 1.0
#: Reading is no change: without this, our own look at the files would wake us again.
_CHANGES: Final[list[type[FileSystemEvent]]] = [
    FileCreatedEvent, FileModifiedEvent, FileMovedEvent, FileDeletedEvent,
    DirCreatedEvent, DirMovedEvent, DirDeletedEvent,
]  # fmt: skip

log = structlog.get_logger(__name__)


class Watcher(FileSystemEventHandler):
    """Calls `on_change`, in a thread of its own, soon after the config has changed and is quiet again."""

    def __init__(
        self, path: Path, on_change: Callable[[], object], *, quiet: float = QUIET, at_most: float = AT_MOST
    ) -> None:
        self._root = path.resolve()
        self._on_change = on_change
        self._quiet, self._at_most = quiet, at_most
        self._server = is_server(self._root)
        self._observer = Observer()
        self._changed = threading.Condition()
        self._first: float | None = None
        self._last = 0.0
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="config-watch", daemon=True)

    def start(self) -> None:
        """Begin to watch; changes from now on are seen."""
        if self._server:
            self._watch(self._root, recursive=False)
            for name in ("refs", "reftable"):
                if (self._root / name).is_dir():
                    self._watch(self._root / name, recursive=True)
        else:
            self._watch(self._root, recursive=True)
        self._observer.start()
        self._thread.start()

    def stop(self) -> None:
        """Stop watching; `on_change` is not called again once this has returned."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._observer.stop()
        self._observer.join()
        self._thread.join()

    def on_any_event(self, event: FileSystemEvent) -> None:
        """What watchdog calls for every change below the paths."""
        if type(event) not in _CHANGES:
            return
        paths = [Path(str(path)) for path in (event.src_path, event.dest_path) if path]
        if not any(self._matters(path, directory=event.is_directory) for path in paths):
            return
        with self._changed:
            self._last = time.monotonic()
            if self._first is None:
                self._first = self._last
            self._changed.notify_all()

    def _watch(self, path: Path, *, recursive: bool) -> None:
        self._observer.schedule(self, str(path), recursive=recursive, event_filter=_CHANGES)

    def _matters(self, path: Path, *, directory: bool) -> bool:
        if not path.is_relative_to(self._root):
            return False
        name = path.relative_to(self._root).as_posix()
        if self._server:
            return not name.endswith(".lock") and name.split("/")[0] in {"refs", "packed-refs", "reftable"}
        return counts(name) or (directory and name.split("/")[0] in FOLDERS)

    def _run(self) -> None:
        while self._wait():
            try:
                self._on_change()
            except Exception:  # the next change must be seen, whatever this one did
                log.exception("config.watch.failed")

    def _wait(self) -> bool:
        """Wait for a change and for quiet after it; False when it is time to stop."""
        with self._changed:
            while not self._stopping:
                if self._first is None:
                    self._changed.wait()
                    continue
                left = min(self._last + self._quiet, self._first + self._at_most) - time.monotonic()
                if left <= 0:
                    self._first = None
                    return True
                self._changed.wait(left)
            return False
