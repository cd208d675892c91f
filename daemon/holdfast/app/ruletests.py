"""Has a config prove itself before it takes over: its rule tests, in a process of their own.

Apart from the daemon they take no time from what happens meanwhile, and their logs, crashes and memory are
not the daemon's.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Final

import msgspec

from holdfast.config.papers import SITE
from holdfast.errors import ConfigError, Problem
from holdfast.model.snapshot import Snapshot

#: Seconds that all tests of a config may take together; systemd gives a reload a minute and a half.
PATIENCE: Final = 60.0
_PASSED, _FAILED = 0, 1
_STOPPING: Final = "the rule tests could not be run: the daemon is stopping"
#: What is meant for the daemon alone: its line to systemd, and the point at which a test has it die.
_NOT_PASSED_ON: Final = {"NOTIFY_SOCKET", "WATCHDOG_USEC", "HOLDFAST_CRASH_AT"}


class _Test(msgspec.Struct):
    """What is read of one result."""

    problems: tuple[Problem, ...]


class _Report(msgspec.Struct):
    """What is read of `holdfast test --json`."""

    commit: str
    tests: tuple[_Test, ...]


class RuleTests:
    """Runs the tests of what stands in the config repository; one run at a time."""

    def __init__(self, config: Path, *, patience: float = PATIENCE) -> None:
        self._argv = [sys.executable, "-P", "-m", "holdfast", "--config", str(config), "test", "--json"]
        self._patience = patience
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = False

    def prove(self, snapshot: Snapshot) -> None:
        """Run the tests of a config. Raises ConfigError with all that is not as expected, or why that
        cannot be said."""
        if not snapshot.tests:
            return
        try:
            # what is killed leaves its databases behind: they lie where they are taken away
            with tempfile.TemporaryDirectory(prefix="holdfast-tests-") as room:
                code, said, complaint = self._run(room)
        except OSError as error:
            raise _refusal(f"the rule tests could not be run: {error}") from error
        if self._stopped:
            raise _refusal(_STOPPING)
        if code not in {_PASSED, _FAILED}:
            raise _refusal(f"the rule tests could not be run: {complaint or f'exit code {code}'}")
        try:
            report = msgspec.json.decode(said, type=_Report)
        except msgspec.MsgspecError as error:
            raise _refusal(f"the rule tests could not be run: {complaint or error}") from error
        if report.commit != snapshot.commit:
            raise _refusal("the config changed while its rule tests ran (it is loaded again)")
        problems = [problem for test in report.tests for problem in test.problems]
        if problems or code == _FAILED:
            raise ConfigError(problems)

    def stop(self) -> None:
        """End what is running; nothing is proven any more."""
        with self._lock:
            self._stopped = True
            if self._process is not None:
                self._process.kill()

    def _run(self, room: str) -> tuple[int, bytes, str]:
        """Exit code, what was printed, and the last line of the complaint."""
        environment = {name: value for name, value in os.environ.items() if name not in _NOT_PASSED_ON}
        with self._lock:
            if self._stopped:
                raise _refusal(_STOPPING)
            self._process = subprocess.Popen(
                self._argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**environment, "TMPDIR": room},
            )
        with self._process as process:
            try:
                said, complaint = process.communicate(timeout=self._patience)
            except subprocess.TimeoutExpired as error:
                process.kill()
                raise _refusal(
                    f"the rule tests take more than {self._patience:g} s (make them shorter)"
                ) from error
            finally:
                with self._lock:
                    self._process = None
        return process.returncode, said, complaint.decode(errors="replace").strip().rpartition("\n")[2]


def _refusal(message: str) -> ConfigError:
    return ConfigError([Problem(SITE, 1, 1, "", message)])
