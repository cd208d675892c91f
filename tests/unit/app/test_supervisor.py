"""What is said to systemd, and when nothing is."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.app.supervisor import Supervisor


@pytest.fixture
def heard(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.settimeout(5)
        yield sock


@pytest.fixture
def supervisor(heard: socket.socket) -> Supervisor:
    return Supervisor(str(heard.getsockname()), "")


def test_each_word_is_one_datagram(supervisor: Supervisor, heard: socket.socket) -> None:
    supervisor.ready("3 rules")
    supervisor.status("well")
    supervisor.alive()
    supervisor.stopping()

    assert [heard.recv(100).decode() for _ in range(4)] == [
        "READY=1\nSTATUS=3 rules",
        "STATUS=well",
        "WATCHDOG=1",
        "STOPPING=1",
    ]


def test_a_reload_says_when_it_began(supervisor: Supervisor, heard: socket.socket) -> None:
    before = time.monotonic_ns() // 1000
    supervisor.reloading()
    said = dict(line.split("=") for line in heard.recv(100).decode().splitlines())

    assert said["RELOADING"] == "1"
    assert before <= int(said["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000


def test_the_environment_names_socket_and_watchdog(
    heard: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(heard.getsockname()))
    monkeypatch.setenv("WATCHDOG_USEC", "30000000")
    supervisor = Supervisor()
    supervisor.alive()

    assert heard.recv(100) == b"WATCHDOG=1"
    assert supervisor.beat == 15.0


@pytest.mark.parametrize("wanted", ["", "soon", "-5", "1.5"])
def test_no_watchdog_wants_no_beat(wanted: str) -> None:
    assert Supervisor("", wanted).beat is None


def test_nobody_there_is_no_error(tmp_path: Path) -> None:
    Supervisor("", "").ready("alone")
    Supervisor(str(tmp_path / "nobody"), "").ready("alone")
    Supervisor(f"@{tmp_path}", "").ready("alone")
