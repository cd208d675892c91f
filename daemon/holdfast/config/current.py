"""The config that is good right now."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from holdfast.config.git import MAIN, head, is_server, load_commit
from holdfast.config.load import is_test, load
from holdfast.errors import ConfigError, HoldfastError, Problem
from holdfast.model.snapshot import Snapshot


class Current:
    """The last good snapshot of a directory, or of main of a bare repository."""

    def __init__(
        self,
        source: Path,
        prove: Callable[[Snapshot], object] = lambda _: None,
        *,
        starting: bool = False,
    ) -> None:
        """Load the first snapshot. Raises ConfigError: there is no earlier one to keep.

        `prove` tries a snapshot out before it counts, and raises ConfigError where it is no good. The first
        one has no rival and is not tried out until the first `reload`; a daemon that is `starting` takes it
        even where the tests cannot be read, and leaves them out: no mistake in a test keeps it down.
        """
        self._source = source
        self._prove = prove
        self._turn = threading.Lock()
        try:
            self._snapshot = self._load(None)
            self.proven = not self._snapshot.tests
        except ConfigError as error:
            if not starting or not all(is_test(problem.file) for problem in error.problems):
                raise
            self._snapshot = self._load(None, tests=False)
            self.proven = False

    @property
    def snapshot(self) -> Snapshot:
        """The last good one; replaced as a whole, never changed."""
        return self._snapshot

    def reload(self) -> Snapshot:
        """Load again and return what is good from now on; the same one where nothing changed.

        Raises ConfigError with every problem; the last good snapshot then stays.
        """
        with self._turn:
            found = self._load(self._snapshot if self.proven else None)
            if found is not self._snapshot:
                self._prove(found)
            self.proven = True
            if found.commit != self._snapshot.commit:
                self._snapshot = found
            return self._snapshot

    def _load(self, last: Snapshot | None, *, tests: bool = True) -> Snapshot:
        if not is_server(self._source):
            found = load(self._source, tests=tests)
            return last if last is not None and last.commit == found.commit else found
        try:
            return self._of_main(last, tests=tests)
        except ConfigError:
            raise
        except HoldfastError as error:  # git itself failed
            raise self._refusal(str(error)) from error

    def _of_main(self, last: Snapshot | None, *, tests: bool) -> Snapshot:
        commit = head(self._source)
        if commit is None:
            raise self._refusal(f"nothing has been pushed to {MAIN} yet (git push {self._source} {MAIN})")
        if last is not None and last.commit == commit:
            return last
        return load_commit(self._source, commit, tests=tests)

    def _refusal(self, message: str) -> ConfigError:
        return ConfigError([Problem(str(self._source), 1, 1, "", message)])
