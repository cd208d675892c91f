"""`holdfast rehearse`, as a new user runs it: it plays to the end, and leaves nothing behind."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

#: The whole play, on a loaded machine.
WHOLE_S = 240


class Rehearsal:
    """One rehearsal in a process group of its own, with its own home and place for temporary files."""

    def __init__(self, place: Path) -> None:
        self.home, self.temporary = place / "home", place / "tmp"
        for directory in (self.home, self.temporary):
            directory.mkdir(parents=True)
        self.lines: list[str] = []
        self._arrived = threading.Condition()

    def start(self, *words: str, code: str = "") -> None:
        env = {**os.environ, "HOME": str(self.home), "TMPDIR": str(self.temporary), "COLUMNS": "200"}
        argv = [sys.executable, "-c", code] if code else [sys.executable, "-m", "holdfast"]
        self.process = subprocess.Popen(
            [*argv, "rehearse", *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**env, "PYTHONUNBUFFERED": "1"},
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_for(self, words: str, seconds: float = 90.0) -> None:
        """Wait until these words were shown."""
        until = time.monotonic() + seconds
        with self._arrived:
            while not any(words in line for line in self.lines):
                assert self.process.poll() is None, self.shown()
                assert self._arrived.wait(max(0.0, until - time.monotonic())), self.shown()

    def ends(self, seconds: float = 40.0) -> int:
        code = self.process.wait(seconds)
        self._reader.join(10)
        return code

    def send(self, number: signal.Signals) -> None:
        """What a terminal does: the whole foreground group hears it."""
        os.killpg(self.process.pid, number)

    def shown(self) -> str:
        return "\n".join(self.lines)

    def left(self) -> list[str]:
        """Files and processes that are still there; a process is known by the place that it works in."""
        files = [str(path) for directory in (self.home, self.temporary) for path in directory.rglob("*")]
        return [*files, *(f"{pid}: {words}" for pid, words in self.processes())]

    def processes(self) -> Iterator[tuple[int, str]]:
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == self.process.pid:
                continue
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                environment = (entry / "environ").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if str(self.temporary) in command or f"TMPDIR={self.temporary}" in environment:
                yield int(entry.name), command

    def clean_up(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        for pid, _ in self.processes():
            os.kill(pid, signal.SIGKILL)

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as stdout:
            for line in stdout:
                with self._arrived:
                    self.lines.append(line.rstrip())
                    self._arrived.notify_all()


@pytest.fixture
def rehearsal() -> Iterator[Rehearsal]:
    # short: the paths of unix sockets end at 107 bytes
    place = Path("/tmp") / f"hf-test-{os.getpid()}-{time.monotonic_ns()}"
    made = Rehearsal(place)
    yield made
    made.clean_up()
    shutil.rmtree(place)


def receipts() -> list[Path]:
    """What attempts over SSH have left in the home of whoever runs this."""
    home = Path(pwd.getpwuid(os.geteuid()).pw_dir)
    return sorted((home / ".local/state/holdfast").rglob("*"))


@pytest.mark.timeout(WHOLE_S + 60)
def test_it_plays_three_outages_to_the_end_and_leaves_nothing_behind(rehearsal: Rehearsal) -> None:
    before = receipts()
    rehearsal.start("--leave")
    code = rehearsal.ends(WHOLE_S)
    shown = rehearsal.shown()

    assert code == 0, shown
    assert "Three outages, three endings" in shown
    assert "roll-back-shop on web1, attempt 1: exit code 0" in shown
    assert "refused, 1 problem" in shown
    assert rehearsal.left() == []
    assert receipts() == before


@pytest.mark.timeout(WHOLE_S + 60)
def test_it_stays_up_until_ctrl_c_and_leaves_nothing_behind_then(rehearsal: Rehearsal) -> None:
    rehearsal.start()
    rehearsal.wait_for("Ctrl-C ends it", WHOLE_S)
    (line,) = [line for line in rehearsal.lines if "HOLDFAST_STATE=" in line]
    place = dict(word.split("=", 1) for word in line.split() if "=" in word)
    command = [sys.executable, "-m", "holdfast", "status", "--json"]
    status = subprocess.run(command, env={**os.environ, **place}, capture_output=True, check=False)
    rehearsal.send(signal.SIGINT)
    code = rehearsal.ends()

    assert status.returncode == 0
    assert code == 0
    assert rehearsal.left() == []


MOMENTS = {
    "while the servers start": ("a mail server with two mailboxes", [signal.SIGHUP]),
    "while the daemon starts": ("· the daemon", [signal.SIGTERM]),
    "while the first outage is healed": ("verifying", [signal.SIGINT]),
    "twice by somebody impatient": ("1. The shop crashes", [signal.SIGINT] * 3),
}


@pytest.mark.timeout(240)
@pytest.mark.parametrize("moment", MOMENTS)
def test_ended_in_the_middle_it_leaves_nothing_behind(rehearsal: Rehearsal, moment: str) -> None:
    words, signals = MOMENTS[moment]
    rehearsal.start()
    rehearsal.wait_for(words)
    for number in signals:
        rehearsal.send(number)
    code = rehearsal.ends()

    assert code == 130, rehearsal.shown()
    assert "Everything was stopped and removed" in rehearsal.lines[-1]
    assert "Traceback" not in rehearsal.shown()
    assert rehearsal.left() == []


def missing(program: str) -> str:
    """A machine on which one program is not installed."""
    return (
        "import shutil, sys; which = shutil.which\n"
        f"shutil.which = lambda name, *a, **k: None if name == {program!r} else which(name, *a, **k)\n"
        "from holdfast.cli import main; sys.exit(main())"
    )


@pytest.mark.parametrize(
    ("program", "package"),
    [("sshd", "openssh-server"), ("dovecot", "dovecot-imapd dovecot-lmtpd")],
)
def test_without_a_server_it_names_the_package_in_one_line(
    rehearsal: Rehearsal, program: str, package: str
) -> None:
    rehearsal.start("--leave", code=missing(program))
    code = rehearsal.ends()
    said = rehearsal.lines[-1]

    assert code == 1
    assert said.lower().startswith(f"the rehearsal failed: {program} is missing: apt-get install")
    assert package in said
    assert rehearsal.left() == []
