"""The real `holdfast run` for the drivers of the bench: started, asked, weighed and ended."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

HOLDFAST = Path(__file__).resolve().parents[1] / ".venv" / "bin" / "holdfast"
_TICKS = os.sysconf("SC_CLK_TCK")
_UP_WITHIN = 60.0


class Status(msgspec.Struct):
    """What the bench reads of `GET /status` on the control socket."""

    port: int
    journal: int
    cursor: int


@dataclass(frozen=True, slots=True)
class Daemon:
    """A running daemon; `up` is how many seconds it took until it answered."""

    pid: int
    port: int
    state: Path
    up: float

    def status(self) -> Status:
        """How far it is. Raises OSError when it is gone."""
        return _status(self.state)

    def settle(self, within: float) -> float:
        """Wait until all that is on disk was decided on; the seconds that took. Raises TimeoutError."""
        begun = time.perf_counter()
        while (now := self.status()).cursor < now.journal:
            if time.perf_counter() - begun > within:
                raise TimeoutError(
                    f"{now.journal - now.cursor:,} entries were not decided on in {within:g} s"
                )
            time.sleep(0.01)
        return time.perf_counter() - begun

    def cpu(self) -> float:
        """CPU seconds of all its processes, with those that have ended."""
        total = 0
        for pid in self.processes():
            with contextlib.suppress(OSError):
                fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
                total += sum(int(text) for text in fields.rpartition(") ")[2].split()[11:15])
        return total / _TICKS

    def ran(self) -> float:
        """CPU seconds of the threads that are there, by the scheduler's clock, which is finer than `cpu`."""
        total = 0
        for pid in self.processes():
            with contextlib.suppress(OSError):
                for task in Path(f"/proc/{pid}/task").iterdir():
                    total += int((task / "schedstat").read_text(encoding="ascii").split()[0])
        return total / 1e9

    def memory(self) -> float:
        """MiB of all its processes together, shared pages counted once (PSS)."""
        total = 0
        for pid in self.processes():
            with contextlib.suppress(OSError):
                lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
                total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        return total / 1024

    def kill(self) -> None:
        """Kill it and everything below it, as a crash of the machine's would, but for what is on disk."""
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def processes(self) -> list[int]:
        """The daemon and everything below it."""
        found = [self.pid]
        for pid in found:
            with contextlib.suppress(OSError):
                for task in Path(f"/proc/{pid}/task").iterdir():
                    found += [int(text) for text in (task / "children").read_text(encoding="ascii").split()]
        return found


@contextlib.contextmanager
def running(config: Path, state: Path) -> Iterator[Daemon]:
    """Check the config, start the daemon on a free port and what is in its state directory, and end it."""
    subprocess.run([HOLDFAST, "check", config], check=True, stdout=subprocess.DEVNULL)
    state.mkdir(mode=0o700, exist_ok=True)
    argv = [HOLDFAST, "run", "--config", config, "--state", state, "--listen", "127.0.0.1:0"]
    begun = time.perf_counter()
    with (state / "daemon.log").open("ab") as log:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        status = _wait_up(process, state)
        yield Daemon(process.pid, status.port, state, time.perf_counter() - begun)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def asked(state: Path) -> int:
    """How many questions the daemon of a state directory has put to a human."""
    with contextlib.closing(sqlite3.connect(f"file:{state}/holdfast.db?mode=ro", uri=True)) as database:
        return int(database.execute("SELECT count(*) FROM gates").fetchone()[0])


def _wait_up(process: subprocess.Popen[bytes], state: Path) -> Status:
    begun = time.perf_counter()
    while process.poll() is None and time.perf_counter() - begun < _UP_WITHIN:
        with contextlib.suppress(OSError):
            return _status(state)
        time.sleep(0.01)
    said = (state / "daemon.log").read_text(encoding="utf-8", errors="replace")[-500:]
    raise RuntimeError(f"the daemon does not start: {said or 'it said nothing'}")


def _status(state: Path) -> Status:
    with socket.socket(socket.AF_UNIX) as control:
        control.settimeout(30)
        control.connect(str(state / "control.sock"))
        control.sendall(b"GET /status HTTP/1.1\r\nHost: control\r\nConnection: close\r\n\r\n")
        pieces = []
        while piece := control.recv(65_536):
            pieces.append(piece)
    return msgspec.json.decode(b"".join(pieces).partition(b"\r\n\r\n")[2], type=Status)
