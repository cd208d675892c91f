"""The real door on a real port, with a real journal behind it."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
import uvloop

from holdfast.config.schemas import openapi
from holdfast.effects import crash_point
from holdfast.journal import Ack, Journal
from holdfast.model.actions import Service
from holdfast.model.events import Entry
from holdfast.model.records import Reading
from holdfast.model.snapshot import (
    AuthScheme,
    Cast,
    FieldType,
    Mapped,
    Operator,
    Snapshot,
    Source,
    SourceKind,
)
from holdfast.model.values import Secret
from holdfast.store import journal as rows
from holdfast.store.database import Database
from holdfast.web.guard import Limits
from holdfast.web.ingest import Ingest, IngestDoors, ingest_app
from holdfast.web.serve import LIMITS, Served, serve_tcp

DEADLINE = 20
HOLD = crash_point("tests.integration.web")
TOKEN = "s3cret-token"

T = TypeVar("T")

SNAPSHOT = Snapshot(
    "c0ffee",
    services={"shop": Service("shop")},
    operators={"jo": Operator("jo", ("mail",))},
    events={"disk.full": {"data.percent": FieldType("int")}},
    sources={
        "open": Source("open", SourceKind.WEBHOOK),
        "token": Source("token", SourceKind.WEBHOOK, scheme=AuthScheme.BEARER, secret=Secret("token")),
        "signed": Source("signed", SourceKind.WEBHOOK, scheme=AuthScheme.HMAC, secret=Secret("token")),
        "mapped": Source(
            "mapped",
            SourceKind.WEBHOOK,
            service="shop",
            map=(
                Mapped("id", ("evt", "id")),
                Mapped("type", constant="charge.failed"),
                Mapped("data.amount", ("evt", "amount"), cast=Cast.INT),
            ),
        ),
        "probe": Source("probe", SourceKind.HTTP_PROBE, url="http://127.0.0.1:1/"),
    },
)


def clock() -> int:
    return int(time.time() * 1000)


class Loop:
    """An event loop on a thread of its own, as the daemon has one."""

    def __init__(self) -> None:
        self.loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(DEADLINE)

    def close(self) -> None:
        self.run(self.loop.shutdown_default_executor())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(DEADLINE)
        self.loop.close()


class _Joined(http.client.HTTPConnection):
    """Sends a head and its body at once."""

    kept = b""

    def send(self, data: Any) -> None:
        self.kept += bytes(data)

    def getresponse(self) -> http.client.HTTPResponse:
        super().send(self.kept)
        return super().getresponse()


class AtOnce(httpx.HTTPTransport):
    """What httpx sends in two parts goes out in one, on a connection of its own."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if "transfer-encoding" in request.headers:
            return super().handle_request(request)
        url = request.url
        connection = _Joined(url.host, url.port, timeout=request.extensions["timeout"]["read"])
        with contextlib.closing(connection):
            target = url.raw_path.decode("ascii")
            connection.putrequest(request.method, target, skip_host=True, skip_accept_encoding=True)
            for name, value in request.headers.raw:
                connection.putheader(name, value)
            connection.endheaders(request.read())
            try:
                answer = connection.getresponse()
                return httpx.Response(answer.status, headers=answer.getheaders(), content=answer.read())
            except TimeoutError as error:
                raise httpx.ReadTimeout("", request=request) from error


@dataclass
class Door:
    """A door that is open, and what is behind it."""

    loop: Loop
    app: Ingest
    served: Served
    database: Database
    journal: Journal
    snapshot: Snapshot = SNAPSHOT
    readings: Callable[[], Iterable[Reading]] = tuple
    at_once: bool = False
    checks: dict[str, str] = field(default_factory=lambda: {"store": "ok"})

    @property
    def url(self) -> str:
        return self.served.address

    @property
    def port(self) -> int:
        return self.served.port

    def client(self, **options: Any) -> httpx.Client:
        if self.at_once:
            options["transport"] = AtOnce()
        return httpx.Client(base_url=self.url, timeout=DEADLINE, trust_env=False, **options)

    def entries(self) -> list[Entry]:
        with self.database.read() as tx:
            return rows.after(tx, 0, 1_000_000)

    @contextlib.contextmanager
    def held_disk(self) -> Iterator[Callable[[], None]]:
        """Somebody else writes for as long as the test wants; the given callable ends it."""
        held, free = threading.Event(), threading.Event()

        def hold() -> None:
            with self.database.begin(HOLD):
                held.set()
                free.wait(DEADLINE)

        thread = threading.Thread(target=hold)
        thread.start()
        assert held.wait(DEADLINE)

        def let_go() -> None:
            free.set()
            thread.join()

        try:
            yield let_go
        finally:
            let_go()


@pytest.fixture
def loop() -> Iterator[Loop]:
    running = Loop()
    yield running
    running.close()


@pytest.fixture
def at_once() -> bool:
    """Whether requests are sent in one part, which is what lets them come the short way."""
    return False


@pytest.fixture
def open_door(loop: Loop, tmp_path: Path, at_once: bool) -> Iterator[Callable[..., Door]]:
    opened: list[Door] = []

    def _open(
        *,
        limits: Limits = LIMITS,
        secret: Callable[[Secret], str] = lambda _: TOKEN,
        append: Callable[[Sequence[Entry]], Awaitable[list[Ack]]] | None = None,
        **options: Any,
    ) -> Door:
        database = Database.open(tmp_path / f"{len(opened)}.db")
        journal = Journal(database, clock, on_commit=lambda _: None, **options)
        journal.start()
        box: list[Door] = []

        def checks() -> Mapping[str, str]:
            return box[0].checks

        def readings() -> Iterable[Reading]:
            return box[0].readings()

        doors = IngestDoors(
            lambda: box[0].snapshot,
            secret,
            append or journal.append_async,
            clock,
            checks,
            openapi(),
            readings,
        )
        app = ingest_app(doors)
        served = loop.run(serve_tcp(app, "127.0.0.1", 0, limits=limits))
        door = Door(loop, app, served, database, journal, at_once=at_once)
        box.append(door)
        opened.append(door)
        return door

    yield _open
    for door in opened:
        loop.run(door.served.stop())
        door.journal.stop()
        door.database.close()


@pytest.fixture
def door(open_door: Callable[..., Door]) -> Door:
    return open_door()


@pytest.fixture
def client(door: Door) -> Iterator[httpx.Client]:
    with door.client() as opened:
        yield opened


@pytest.fixture
def until() -> Callable[[Callable[[], bool]], bool]:
    """Whether a condition becomes true before the deadline."""
    pause = threading.Event()

    def _until(condition: Callable[[], bool]) -> bool:
        for _ in range(DEADLINE * 100):
            if condition():
                return True
            pause.wait(0.01)
        return False

    return _until
