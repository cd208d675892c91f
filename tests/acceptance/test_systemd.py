"""What systemd is told: on a real datagram socket, as `Type=notify` has it."""

from __future__ import annotations

import os
import re
import signal
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from holdfast.store import facts

if TYPE_CHECKING:
    from conftest import Process

WATCHDOG_S = 3.0
BEATS = 4


@dataclass
class Supervisor:
    """Hears what the daemon tells; every message with the instant when it was heard."""

    sock: socket.socket
    heard: list[tuple[float, dict[str, str]]] = field(default_factory=list)

    def wait_for(self, name: str, value: str | None = None, seconds: float = 30.0) -> dict[str, str]:
        """The next message that says this, and everything before it is heard too."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.sock.settimeout(max(0.01, until - time.monotonic()))
            said = dict(line.split("=", 1) for line in self.sock.recv(4096).decode().splitlines())
            self.heard.append((time.monotonic(), said))
            if name in said and value in {None, said[name]}:
                return said
        raise AssertionError(f"no {name}={value} within {seconds} s, but {self.heard}")

    def order(self) -> list[str]:
        """What was said, without signs of life and plain status lines."""
        names = ("READY", "RELOADING", "STOPPING")
        return [name for _, said in self.heard for name in names if name in said]


@pytest.fixture
def supervisor(request: pytest.FixtureRequest, daemon: Process, tmp_path: Path) -> Iterator[Supervisor]:
    """A socket in the file system, or with the parameter `abstract` one that is only a name."""
    abstract = getattr(request, "param", "") == "abstract"
    name = f"@holdfast-{os.getpid()}-{id(daemon)}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(name.replace("@", "\0"))
        daemon.env["NOTIFY_SOCKET"] = name
        yield Supervisor(sock)


def fault(number: int) -> dict[str, object]:
    return {"id": f"n{number}", "type": "lab.fault", "data": {"n": number}}


def micros() -> int:
    return time.monotonic_ns() // 1000


@pytest.mark.parametrize("supervisor", ["file", "abstract"], indirect=True)
def test_ready_is_said_once_events_are_taken_and_not_before(
    daemon: Process, push_target: str, supervisor: Supervisor
) -> None:
    daemon.lab(push_target)
    daemon.spawn()
    said = supervisor.wait_for("READY", "1")
    port = re.search(r"http://127\.0\.0\.1:(\d+)", said["STATUS"])
    assert port is not None, said
    daemon.port = int(port[1])
    first = daemon.post(fault(1))

    assert first.status_code == 202
    assert daemon.get("/readyz").status_code == 200
    assert daemon.status()["port"] == daemon.port
    assert supervisor.order() == ["READY"]


def test_a_reload_is_framed_and_a_stop_is_said(
    daemon: Process, push_target: str, supervisor: Supervisor
) -> None:
    daemon.lab(push_target)
    daemon.spawn()
    supervisor.wait_for("READY", "1")
    assert daemon.process is not None
    before = micros()
    daemon.process.send_signal(signal.SIGHUP)
    reloading = supervisor.wait_for("RELOADING", "1")
    ready = supervisor.wait_for("READY", "1")
    after = micros()
    daemon.process.send_signal(signal.SIGTERM)
    supervisor.wait_for("STOPPING", "1")
    code = daemon.wait_dead()

    assert before <= int(reloading["MONOTONIC_USEC"]) <= after
    assert daemon.read(lambda tx: facts.get(tx, "commit"))[:12] in ready["STATUS"]
    assert supervisor.order() == ["READY", "RELOADING", "READY", "STOPPING"]
    assert code == 0


def test_a_refused_reload_ends_with_ready_too_and_says_so(
    daemon: Process, push_target: str, supervisor: Supervisor
) -> None:
    daemon.lab(push_target)
    daemon.spawn()
    supervisor.wait_for("READY", "1")
    assert daemon.process is not None
    daemon.write("rules/lab.yaml", "rule: fault\n")
    supervisor.wait_for("RELOADING", "1")
    ready = supervisor.wait_for("READY", "1")

    assert "refused" in ready["STATUS"]


def test_a_config_that_is_not_valid_is_never_called_ready(
    daemon: Process, push_target: str, supervisor: Supervisor
) -> None:
    daemon.lab(push_target, {"rules/lab.yaml": "rule: fault\n"})
    daemon.spawn()
    code = daemon.wait_dead()
    supervisor.sock.setblocking(False)
    with pytest.raises(BlockingIOError):
        supervisor.sock.recv(4096)

    assert code == 2


def test_signs_of_life_come_in_half_of_the_time_that_systemd_allows(
    daemon: Process, push_target: str, supervisor: Supervisor
) -> None:
    daemon.lab(push_target)
    daemon.env["WATCHDOG_USEC"] = str(int(WATCHDOG_S * 1_000_000))
    daemon.spawn()
    for _ in range(BEATS):
        supervisor.wait_for("WATCHDOG", "1")
    beats = [at for at, said in supervisor.heard if "WATCHDOG" in said]
    gaps = [later - earlier for earlier, later in pairwise(beats)]

    assert max(gaps) < WATCHDOG_S
    # on a loaded machine a beat may come late: half is the aim, and most of them meet it
    assert sorted(gaps)[len(gaps) // 2] <= WATCHDOG_S / 2 * 1.2


def test_without_a_supervisor_nothing_is_missed(daemon: Process, push_target: str) -> None:
    daemon.lab(push_target)
    daemon.env["NOTIFY_SOCKET"] = str(daemon.state / "nobody-listens-here")
    assert daemon.start()

    assert daemon.post(fault(1)).status_code == 202
    assert daemon.stop() == 0
