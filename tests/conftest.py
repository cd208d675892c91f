"""House rules of every test session: nothing is skipped in secret, and nothing is left running.

- `HOLDFAST_NO_SKIPS=1` (set by .ci/run): a skipped or expected failure fails the session.
- Processes and listening sockets that outlive the session fail it. A process is known by an
  environment variable that its ancestors passed on, so that it is found after it was orphaned too.
  A test sshd gives its sessions a clean environment: pass it on with `SetEnv` in its sshd_config.
- What a proof looked at is printed at the end: `record_property("proof", "one line")`.
- `HYPOTHESIS_PROFILE` chooses `ci` (the same examples every time), `dev` or `thorough`.
"""

from __future__ import annotations

import os
import secrets
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Two cores carry every worker and every server: speed is measured in bench/, not here.
LOADED = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("ci", derandomize=True, database=None, print_blob=True, max_examples=100, **LOADED)
settings.register_profile("dev", max_examples=100, **LOADED)
settings.register_profile("thorough", max_examples=2000, **LOADED)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "dev"))

GRACE_S = 3.0
MARK = "HOLDFAST_TEST_SESSION"
LEFT = pytest.StashKey[list[str]]()
MINE = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    """Mark this process, so that everything it starts can be found again."""
    config.stash[LEFT] = []
    if hasattr(config, "workerinput") or not config.getoption("numprocesses", default=None):
        config.stash[MINE] = os.environ[MARK] = secrets.token_hex(8)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Judge what the session left; a worker tells the controller, which judges for all."""
    config = session.config
    if MINE in config.stash:
        config.stash[LEFT].extend(left_behind(config.stash[MINE]))
    if hasattr(config, "workeroutput"):
        config.workeroutput["left"] = config.stash[LEFT]
        return
    if config.stash[LEFT] or (os.environ.get("HOLDFAST_NO_SKIPS") == "1" and skipped(config)):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object, error: object) -> None:
    """Collect what one worker left."""
    del error
    node.config.stash[LEFT].extend(getattr(node, "workeroutput", {}).get("left", []))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say what the proofs looked at, how many tests were skipped, and what was left running."""
    report = terminalreporter
    for line in sorted(proofs(config)):
        report.write_line(line)
    count = len(skipped(config))
    if count and os.environ.get("HOLDFAST_NO_SKIPS") == "1":
        report.write_sep("=", f"FAILED: {count} skipped, and HOLDFAST_NO_SKIPS=1 allows none", red=True)
    else:
        report.write_line(f"skipped: {count}")
    if config.stash[LEFT]:
        report.write_sep("=", "FAILED: left behind by a test", red=True)
        report.write_line("\n".join(config.stash[LEFT]))


def proofs(config: pytest.Config) -> set[str]:
    """What tests and their fixtures recorded under the name `proof`: a line each, wherever they ran."""
    stats = config.pluginmanager.get_plugin("terminalreporter").stats
    reports = [report for name in ("passed", "failed", "") for report in stats.get(name, [])]
    return {line for report in reports for name, line in report.user_properties if name == "proof"}


def skipped(config: pytest.Config) -> list[object]:
    """Every report of a skipped or expected failure, whole modules included."""
    stats = config.pluginmanager.get_plugin("terminalreporter").stats
    return [*stats.get("skipped", []), *stats.get("xfailed", [])]


def left_behind(mark: str) -> list[str]:
    """What still runs or listens after a short grace; processes are ended here."""
    deadline = time.monotonic() + GRACE_S
    pause = threading.Event()
    while (found := [*marked(mark), *listening()]) and time.monotonic() < deadline:
        pause.wait(0.05)
    for pid, _ in marked_pids(mark):
        os.kill(pid, signal.SIGKILL)
    return found


def marked(mark: str) -> list[str]:
    """One line per process that carries the mark: its command, and the test that started it."""
    return [f"process {pid}: {line}" for pid, line in marked_pids(mark)]


def marked_pids(mark: str) -> Iterator[tuple[int, str]]:
    """Each process that inherited the mark, wherever its parents went; zombies do not count."""
    wanted = f"{MARK}={mark}".encode()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            words = (entry / "environ").read_bytes().split(b"\0")
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:  # it ended while we looked, or it is not ours to look at
            continue
        if wanted in words:
            test = [word for word in words if word.startswith(b"PYTEST_CURRENT_TEST=")]
            yield int(entry.name), f"{command}({test[0].decode(errors='replace') if test else 'no test'})"


def listening() -> list[str]:
    """One line per TCP socket that this process still listens on."""
    mine = set()
    for fd in Path("/proc/self/fd").iterdir():
        try:
            target = str(fd.readlink())
        except OSError:
            continue
        if target.startswith("socket:["):
            mine.add(target[8:-1])
    found = []
    for table in ("tcp", "tcp6"):
        for row in Path(f"/proc/self/net/{table}").read_text().splitlines()[1:]:
            words = row.split()
            if words[3] == "0A" and words[9] in mine:
                found.append(f"this process listens on {table} port {int(words[1].rsplit(':', 1)[1], 16)}")
    return found
