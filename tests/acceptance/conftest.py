"""The daemon as a process: started, fed over HTTP, killed, started again."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import msgspec
import pytest

from holdfast.model.records import Incident, Run, TimelineItem
from holdfast.store import gates, incidents, journal, runs
from holdfast.store.database import Database

UP_WITHIN = 30.0
_PAUSE = threading.Event()

SITE = """
format: 1
listen: {host: 127.0.0.1, port: 0}
sources:
  lab: {kind: webhook, trust: high}
events:
  lab.fault: {data.n: int}
channels:
  push: {url: $secret.push-url, timeout: 3s}
operators:
  me: {channels: [push]}
"""

RULE = """
rule: fault
doc: Each fault is an incident of its own, and runs one command that may not run twice.
mode: auto
when: {e: {event: lab.fault}}
incident: {type: lab, severity: error, title: "fault $e.data.n", key: [$e.id]}
clears: {after: 1h}
per: [id]
contain:
  - {do: leave-a-mark, with: {n: $e.data.n}}
"""

ACTION = """
action: leave-a-mark
doc: Append one line.
local: {argv: [/bin/sh, -c, 'echo "$$1" >> "$$2"', mark, $n, "@EFFECTS@"]}
params: {n: {type: int, min: 0, max: 1000000}}
verify: none
undo: none
touches: [availability]
idempotent: false
risk: low
deadline: 20s
fresh: none
"""

POLICIES = """
policy: lab-envelope
doc: In the lab everything of low risk is allowed.
envelope: {incident_type: lab, allow: {risk: low, touches: [availability]}}
---
policy: lab-rate
doc: No rate in the lab.
limit: {per: [action, target], max: 100000, within: 1h}
replaces: builtin-rate
---
policy: lab-targets
doc: The lab acts on one machine all the time.
blast-radius: {of: service, at_once: 100000}
replaces: builtin-one-target
"""


class _ControlConnection(HTTPConnection):
    """HTTP over a Unix socket; httpx leaves its own open where nobody answers, and a warning fails a test."""

    def __init__(self, path: Path) -> None:
        super().__init__("control", timeout=15)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class Process:
    """One daemon on its config and state directory; what a new start finds is what the last one left."""

    def __init__(self, root: Path) -> None:
        self.config = root / "config"
        self.state = root / "state"
        self.effects = root / "effects"
        #: A command of a test that waits ends when this file appears.
        self.go = root / "go"
        self.env: dict[str, str] = {}
        root.mkdir(exist_ok=True)
        self.effects.touch()
        (self.state / "secrets").mkdir(parents=True, mode=0o700)
        self.state.chmod(0o700)
        self.process: subprocess.Popen[bytes] | None = None
        self.port = 0

    # -- what it is told ----------------------------------------------------------------------------

    def write(self, name: str, text: str) -> None:
        path = self.config / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.filled(text), encoding="utf-8")

    def filled(self, text: str) -> str:
        return text.replace("@EFFECTS@", str(self.effects)).replace("@GO@", str(self.go))

    def secret(self, name: str, value: str) -> None:
        path = self.state / "secrets" / name
        path.write_text(value, encoding="utf-8")
        path.chmod(0o600)

    def lab(self, push_url: str, files: Mapping[str, str] | None = None) -> None:
        """A config in which each event `lab.fault` leads to one mark; `files` replace or add to it."""
        for name, text in {**self.lab_files(), **(files or {})}.items():
            self.write(name, text)
        self.secret("push-url", push_url)

    @staticmethod
    def lab_files() -> dict[str, str]:
        return {
            "holdfast.yaml": SITE,
            "rules/lab.yaml": RULE,
            "rules/actions.yaml": ACTION,
            "policies/lab.yaml": POLICIES,
        }

    # -- its life -----------------------------------------------------------------------------------

    def argv(self, *words: str) -> list[str]:
        places = ["--config", str(self.config), "--state", str(self.state)]
        return [sys.executable, "-m", "holdfast", *places, *words]

    def spawn(self, *, crash_at: str = "") -> None:
        env = {**os.environ, "HOLDFAST_CRASH_AT": crash_at, **self.env}
        with (self.state / "daemon.log").open("ab") as log:
            self.process = subprocess.Popen(
                self.argv("run"),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=env,
                start_new_session=True,
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
                try:
                    self.port = self.control("GET", "/status")["port"]
                except (OSError, HTTPException):
                    # It died while it was asked; or the socket was the last life's, which can be connected to
                    # for a moment after a kill, and then hangs up.
                    continue
                return True
            _PAUSE.wait(0.02)
        raise AssertionError(f"the daemon is not up after {UP_WITHIN} s:\n{self.log()}")

    def listens(self) -> bool:
        """Whether somebody is behind the control socket; a killed daemon leaves its file behind."""
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(self.state / "control.sock")) == 0

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

    # -- talking to it ------------------------------------------------------------------------------

    def control(
        self, method: str, path: str, *, params: Mapping[str, str] | None = None, json: object = None
    ) -> Any:
        """Ask over the control socket. Raises OSError or HTTPException when the daemon is not there."""
        with closing(_ControlConnection(self.state / "control.sock")) as asked:
            body = None if json is None else msgspec.json.encode(json)
            media = {} if body is None else {"content-type": "application/json"}
            asked.request(method, f"{path}?{urlencode(params)}" if params else path, body, media)
            return msgspec.json.decode(asked.getresponse().read())

    def status(self) -> Any:
        return self.control("GET", "/status")

    def send(self, event: Mapping[str, object], source: str = "lab") -> Any:
        """Hand an event over and wait until it was decided on."""
        answer = self.control("POST", "/send", params={"source": source}, json=event)
        assert answer["handled"], answer
        return answer

    def post(
        self,
        event: Mapping[str, object],
        source: str = "lab",
        headers: Mapping[str, str] | None = None,
        timeout: float = 10.0,
    ) -> httpx.Response:
        """What a sender does."""
        return httpx.post(
            f"http://127.0.0.1:{self.port}/events?source={source}",
            json=event,
            headers=headers,
            timeout=timeout,
            trust_env=False,
        )

    def get(self, path: str) -> httpx.Response:
        return httpx.get(f"http://127.0.0.1:{self.port}{path}", timeout=10, trust_env=False)

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """A command of the operator."""
        return subprocess.run(
            self.argv(*words), check=False, text=True, capture_output=True, stdin=subprocess.DEVNULL
        )

    def look(self, *words: str, code: int = 0) -> Any:
        """What a command prints as JSON."""
        done = self.run(*words, "--json")
        assert done.returncode == code, (done.stdout, done.stderr)
        return msgspec.json.decode(done.stdout)

    # -- what came of it ----------------------------------------------------------------------------

    def marks(self) -> Counter[int]:
        """What was really done, as the target counts it."""
        return Counter(int(line) for line in self.effects.read_text(encoding="ascii").split())

    def database(self) -> Database:
        return Database.open(self.state / "holdfast.db", lock=False)

    def read(self, what: Callable[[Any], Any]) -> Any:
        """What the store holds, whether the daemon runs or not."""
        database = self.database()
        try:
            with database.read() as tx:
                return what(tx)
        finally:
            database.close()

    def incidents(self) -> list[Incident]:
        found: list[Incident] = self.read(lambda tx: incidents.listed(tx, limit=1000))
        return found

    def story(self, incident: str) -> list[TimelineItem]:
        found: list[TimelineItem] = self.read(lambda tx: incidents.story(tx, incident))
        return found

    def runs(self) -> list[Run]:
        found: list[Run] = self.read(lambda tx: runs.latest(tx, 1000))
        return found

    def questions(self) -> list[Any]:
        found: list[Any] = self.read(gates.pending)
        return found

    def behind(self) -> int:
        """How many entries of the journal are not decided on yet."""
        left: int = self.read(lambda tx: journal.head(tx) - journal.cursor(tx))
        return left

    def until(self, done: Callable[[], object], what: str, seconds: float = 30.0) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if done():
                return
            _PAUSE.wait(0.02)
        raise AssertionError(f"waited {seconds} s for {what}\n{self.log()}")

    def log(self) -> str:
        path = self.state / "daemon.log"
        return path.read_text(encoding="utf-8", errors="replace")[-6000:] if path.exists() else ""

    def logged(self, event: str) -> list[dict[str, Any]]:
        """Every log line of this name; one whose end is still being written comes with the next look."""
        whole, _, _ = (self.state / "daemon.log").read_bytes().rpartition(b"\n")
        lines = whole.decode().splitlines()
        found = [msgspec.json.decode(line) for line in lines if line.startswith("{")]
        return [line for line in found if line.get("event") == event]


@pytest.fixture
def make_daemon(tmp_path: Path) -> Iterator[Callable[[], Process]]:
    made: list[Process] = []

    def make() -> Process:
        made.append(Process(tmp_path / f"d{len(made)}"))
        return made[-1]

    yield make
    for process in made:
        process.kill()
        process.go.touch()


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
