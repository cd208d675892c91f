"""The shop: a service that crashes, is deployed, rolled back and covered by a page."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from holdfast.rehearsal import shop
from holdfast.rehearsal.dovecot import free_ports


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    (port,) = free_ports(1)
    shop.prepare(tmp_path, port)
    yield tmp_path
    shop.stop(tmp_path)


def on_host(place: Path, *words: str) -> int:
    argv = [sys.executable, "-m", "holdfast.rehearsal.shop", str(place), *words]
    return subprocess.run(argv, check=False, capture_output=True).returncode


def asks(place: Path, path: str = "/health") -> tuple[int, str]:
    port = (place / "port").read_text()
    answer = httpx.get(f"http://127.0.0.1:{port}{path}", timeout=5, trust_env=False)
    return answer.status_code, answer.text.strip()


def test_a_bad_release_is_rolled_back_and_not_healed_by_a_restart(place: Path) -> None:
    codes = [on_host(place, "restart")]
    first = asks(place)
    codes.append(on_host(place, "deploy", "v2"))
    second = asks(place)
    codes.append(on_host(place, "restart"))
    third = asks(place)
    codes.append(on_host(place, "previous"))

    assert codes == [0, 0, 0, 0]
    assert (first, second, third, asks(place)) == ((200, "v1"), (500, "v2"), (500, "v2"), (200, "v1"))


def test_a_crash_ends_it_and_a_second_one_is_no_error(place: Path) -> None:
    on_host(place, "restart")
    pid = int((place / "pid").read_text())
    codes = on_host(place, "crash"), on_host(place, "crash")
    with pytest.raises(httpx.ConnectError):
        asks(place)

    assert codes == (0, 0)
    assert gone(pid)


def gone(pid: int) -> bool:
    """Whether a process has ended, if nobody has waited for it yet too."""
    deadline, pause = time.monotonic() + 5, threading.Event()
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        pause.wait(0.01)
    os.kill(pid, signal.SIGKILL)
    return False


def test_the_page_is_for_customers_and_not_for_the_probe(place: Path) -> None:
    on_host(place, "restart")
    on_host(place, "page", "on")
    covered = asks(place, "/"), asks(place)
    on_host(place, "page", "off")
    on_host(place, "page", "off")

    assert covered == ((503, "back soon"), (200, "v1"))
    assert asks(place, "/") == (200, "v1")


def test_a_release_that_is_not_there_is_refused(place: Path) -> None:
    assert on_host(place, "deploy", "v9") == 2
