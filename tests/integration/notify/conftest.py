"""Real servers and a real store for the voice and the ear."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import pytest

from holdfast.effects import crash_point
from holdfast.errors import Overloaded
from holdfast.model.events import Entry
from holdfast.model.records import Delivery
from holdfast.notify.courier import Courier
from holdfast.rehearsal.mail import MailServers, start_mail
from holdfast.store import journal
from holdfast.store.database import Database

JOURNAL = crash_point("test.notify.journal")


def wait_until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait until the condition holds; fail with its last value when it does not in time."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {value!r}"
        pause.wait(0.02)


@dataclass(slots=True)
class Journal:
    """The journal's table, written at once instead of by a thread of its own."""

    db: Database
    refuse: int = 0
    arrived: list[float] = field(default_factory=list)

    def put(self, entries: Sequence[Entry]) -> list[int]:
        if self.refuse:
            self.refuse -= 1
            raise Overloaded("the journal is full")
        with self.db.begin(JOURNAL) as tx:
            numbers = journal.append(tx, entries, 1)
        self.arrived.append(time.monotonic())
        return numbers

    def entries(self) -> list[Entry]:
        with self.db.read() as tx:
            return journal.after(tx, 0, 1000)

    def deliveries(self) -> list[Delivery]:
        return [msgspec.json.decode(entry.body, type=Delivery) for entry in self.entries()]


@pytest.fixture
def until() -> Callable[..., None]:
    """`until(condition, seconds=20.0)`: wait for a condition with a deadline."""
    return wait_until


@pytest.fixture
def mail(tmp_path: Path) -> Iterator[MailServers]:
    """A mail provider with the accounts `holdfast` and `founder`."""
    with start_mail(tmp_path) as servers:
        yield servers


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    """A fresh store."""
    database = Database.open(tmp_path / "holdfast.db")
    yield database
    database.close()


@pytest.fixture
def book(db: Database) -> Journal:
    """A journal in that store."""
    return Journal(db)


@pytest.fixture
def journal_of() -> Callable[[Database], Journal]:
    """`journal_of(db)`: a journal in a store of the test's own."""
    return Journal


@pytest.fixture
def courier() -> Iterator[Courier]:
    """A courier with the real process."""
    courier = Courier()
    yield courier
    courier.stop(0.1)


@pytest.fixture
def hung() -> Iterator[int]:
    """The port of a server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield int(server.getsockname()[1])


@pytest.fixture
def closed() -> Iterator[int]:
    """A port on which nobody listens, and nobody else can begin to."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        yield int(server.getsockname()[1])


@dataclass(slots=True)
class Web:
    """An HTTP service that answers with the given codes, then 200, and keeps what it was sent."""

    port: int = 0
    codes: list[int] = field(default_factory=list)
    bodies: list[dict[str, object]] = field(default_factory=list)


@pytest.fixture
def web() -> Iterator[Web]:
    """A real HTTP server of which a test says how it answers (code 0: it hangs up without a word)."""
    state = Web()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            state.bodies.append(msgspec.json.decode(body, type=dict[str, object]))
            code = state.codes.pop(0) if state.codes else 200
            if code:
                self.send_response(code)
                self.send_header("Content-Length", "0")
                self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield state
    server.shutdown()
    thread.join()
    server.server_close()
