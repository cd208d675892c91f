"""The daemon as a process: started, fed over HTTP, killed, started again."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from holdfast.store.database import Database

UP_WITHIN = 30.0
_PAUSE = threading.Event()


class Process:
    """One daemon on its config and state directory; what a new start finds is what the last one left."""

    def __init__(self, root: Path) -> None:
        self.config = root / "config"
        self.state = root / "state"
        self.effects = root / "effects"
        self.effects.touch()
        (self.state / "secrets").mkdir(parents=True, mode=0o700)
        self.state.chmod(0o700)
        self.process: subprocess.Popen[bytes] | None = None
        self.port = 0

    def write(self, name: str, text: str) -> None:
        path = self.config / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def secret(self, name: str, value: str) -> None:
        path = self.state / "secrets" / name
        path.write_text(value, encoding="utf-8")
        path.chmod(0o600)

    def spawn(self, *, crash_at: str = "") -> None:
        argv = [
            sys.executable,
            "-m",
            "holdfast",
            "--config",
            str(self.config),
            "--state",
            str(self.state),
            "run",
        ]
        env = {**os.environ, "HOLDFAST_CRASH_AT": crash_at}
        with (self.state / "daemon.log").open("ab") as log:
            self.process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env, start_new_session=True
            )

    def start(self, *, crash_at: str = "") -> bool:
        """Start and wait until it is up; False when it died before that."""
        self.spawn(crash_at=crash_at)
        assert self.process is not None
        deadline = time.monotonic() + UP_WITHIN
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                return False
            if self.listens():
                self.port = self.control("GET", "/status")["port"]
                return True
            _PAUSE.wait(0.02)
        raise AssertionError(f"the daemon is not up after {UP_WITHIN} s:\n{self.log()}")

    def listens(self) -> bool:
        """Whether somebody is behind the control socket; a killed daemon leaves its file behind."""
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(self.state / "control.sock")) == 0

    def control(self, method: str, path: str, **arguments: Any) -> Any:
        transport = httpx.HTTPTransport(uds=str(self.state / "control.sock"))
        with httpx.Client(
            transport=transport, base_url="http://control", trust_env=False, timeout=15
        ) as client:
            return client.request(method, path, **arguments).json()

    def wait_dead(self, seconds: float = 30.0) -> int:
        assert self.process is not None
        return self.process.wait(seconds)

    def kill(self) -> None:
        if self.process is not None and self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def stop(self, seconds: float = 15.0) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def database(self) -> Database:
        return Database.open(self.state / "holdfast.db", lock=False)

    def until(self, done: Callable[[], bool], what: str, seconds: float = 30.0) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if done():
                return
            _PAUSE.wait(0.02)
        raise AssertionError(f"waited {seconds} s for {what}\n{self.log()}")

    def log(self) -> str:
        path = self.state / "daemon.log"
        return path.read_text(encoding="utf-8", errors="replace")[-6000:] if path.exists() else ""


@pytest.fixture
def make_daemon(tmp_path: Path) -> Iterator[Callable[[], Process]]:
    made: list[Process] = []

    def make() -> Process:
        made.append(Process(tmp_path / f"d{len(made)}"))
        return made[-1]

    (tmp_path / "d0").mkdir()
    (tmp_path / "d1").mkdir()
    yield make
    for process in made:
        process.kill()


@pytest.fixture
def daemon(make_daemon: Callable[[], Process]) -> Process:
    return make_daemon()


@pytest.fixture
def push_target() -> Iterator[str]:
    """A real HTTP server that takes notifications, as an Apprise URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"json://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    thread.join()
    server.server_close()
