"""The door for events: limits, authentication, parsing, journal, and only then 202."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, NamedTuple

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from holdfast.errors import InputError, StoreError
from holdfast.journal import Ack
from holdfast.model.events import Entry
from holdfast.model.records import Reading
from holdfast.model.snapshot import AuthScheme, Snapshot, Source
from holdfast.model.values import Json, Millis, Secret
from holdfast.sense.auth import STRANGER, authenticate, is_local
from holdfast.sense.draft import Sender
from holdfast.web.answer import Answer, answer, answer_for, no_page, page, wrong_method
from holdfast.web.complaints import Complaints
from holdfast.web.metrics import metrics_page
from holdfast.web.reading import body_limit, entries_of
from holdfast.web.request import Budget, Disconnected, headers_of, read_body, source_name, too_large

#: A commit that takes longer is not waited for: the sender tries again, and finds a duplicate.
COMMIT_WITHIN: Final = 30.0

_ONE: Final = answer(202, {"accepted": 1, "duplicates": 0})
_EVENTS: Final = "/events"
_GENERIC: Final = "/in/generic/"


@dataclass(frozen=True, slots=True)
class IngestDoors:
    """What the door needs. `append` resolves after the commit; `ready` gives each check's name and
    `ok`, or what is wrong; `openapi` describes the door; `readings` are the numbers of this moment."""

    snapshot: Callable[[], Snapshot]
    secret: Callable[[Secret], str]
    append: Callable[[Sequence[Entry]], Awaitable[list[Ack]]]
    clock: Callable[[], Millis]
    ready: Callable[[], Mapping[str, str]]
    openapi: bytes
    readings: Callable[[], Iterable[Reading]] = tuple


class _Asker(NamedTuple):
    """Who a request says it comes from, and whether this very machine sent it."""

    snapshot: Snapshot
    source: Source
    local: bool


class Ingest:
    """An ASGI application. Events take a road of their own, past the framework; `complaints.counts`
    tells what was refused, by source and kind."""

    def __init__(self, doors: IngestDoors) -> None:
        self._doors = doors
        self._budget = Budget()
        self.complaints = Complaints()
        self._pages = _pages(doors)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        path = scope.get("path", "")
        if scope["type"] != "http" or not (path == _EVENTS or path.startswith(_GENERIC)):
            await self._pages(scope, receive, send)
            return
        try:
            reply = await self._take(scope, receive)
        except Disconnected:
            return
        except Exception as error:  # noqa: BLE001 - this is the place where errors become statuses
            reply = self._refusal(scope, error)
        await reply.send(send)

    @property
    def quick_path(self) -> bytes:
        """Where single events are sent, one after the other."""
        return _EVENTS.encode()

    @property
    def patience(self) -> float:
        """How long a commit may take, in seconds."""
        return COMMIT_WITHIN

    def take(
        self, scope: Scope, headers: Mapping[str, str], body: bytes, reply: Callable[[Answer], None]
    ) -> Callable[[], object]:
        """Answer one request whose body is there; what is returned gives its commit up."""

        def committed(future: asyncio.Future[list[Ack]]) -> None:
            try:
                if future.cancelled():
                    raise _not_committed()
                said = _acknowledged(future.result())
            except Exception as error:  # noqa: BLE001 - see above
                said = self._refusal(scope, error)
            reply(said)

        try:
            asker = self._asker(scope, headers)
            if len(body) > body_limit(headers):
                raise too_large(body_limit(headers))
            entries = self._entries(asker, headers, body, self._proof(asker, headers, body))
            future = self._append(entries)
        except Exception as error:  # noqa: BLE001 - this is a place where errors become statuses
            reply(self._refusal(scope, error))
            return lambda: None
        future.add_done_callback(committed)
        return future.cancel

    async def _take(self, scope: Scope, receive: Receive) -> Answer:
        if scope["method"] != "POST":
            return wrong_method("POST")
        headers = headers_of(scope)
        asker = self._asker(scope, headers)
        limit = body_limit(headers)
        # a signature needs the body first; nobody else is given memory before having proven anything
        signed = asker.source.scheme is AuthScheme.HMAC
        how = "" if signed else self._proof(asker, headers, b"")
        body = await read_body(receive, headers, limit, self._budget)
        if signed:
            how = self._proof(asker, headers, body)
        future = self._append(self._entries(asker, headers, body, how))
        done, _ = await asyncio.wait([future], timeout=COMMIT_WITHIN)
        if not done:
            future.cancel()
            raise _not_committed()
        return _acknowledged(future.result())

    def _asker(self, scope: Scope, headers: Mapping[str, str]) -> _Asker:
        name = source_name(scope, None if scope["path"] == _EVENTS else _GENERIC)
        snapshot = self._doors.snapshot()
        client = scope.get("client")
        local = is_local(client[0] if client else None, headers)
        return _Asker(snapshot, snapshot.sources.get(name, STRANGER), local)

    def _proof(self, asker: _Asker, headers: Mapping[str, str], body: bytes) -> str:
        return authenticate(asker.source, headers, body, asker.local, self._doors.secret)

    def _entries(self, asker: _Asker, headers: Mapping[str, str], body: bytes, how: str) -> list[Entry]:
        source = asker.source
        unknown = partial(self._unknown, source.name)
        return entries_of(Sender(source, asker.snapshot, self._doors.clock(), how, unknown), headers, body)

    def _append(self, entries: Sequence[Entry]) -> asyncio.Future[list[Ack]]:
        if not entries:
            nothing: asyncio.Future[list[Ack]] = asyncio.get_running_loop().create_future()
            nothing.set_result([])
            return nothing
        return asyncio.ensure_future(self._doors.append(entries))

    def _unknown(self, source: str, name: str) -> None:
        self.complaints.add(source, "unknown-name", f"the estate has no {name!r}: event kept without it")

    def _refusal(self, scope: Scope, error: Exception) -> Answer:
        reply = answer_for(error)
        try:
            name = source_name(scope, None if scope["path"] == _EVENTS else _GENERIC)
        except InputError:
            name = ""
        known = name if name in self._doors.snapshot().sources else ""
        self.complaints.add(known, str(reply.status), str(error))
        return reply


def ingest_app(doors: IngestDoors) -> Ingest:
    """What schemas/openapi.json describes, and nothing else."""
    return Ingest(doors)


def _not_committed() -> StoreError:
    return StoreError(f"no commit within {COMMIT_WITHIN:g} s: look at the disk")


def _acknowledged(acks: Sequence[Ack]) -> Answer:
    duplicates = sum(ack.duplicate for ack in acks)
    if len(acks) == 1 and not duplicates:
        return _ONE
    return answer(202, {"accepted": len(acks) - duplicates, "duplicates": duplicates})


def _pages(doors: IngestDoors) -> Starlette:
    async def healthz(_: Request) -> Answer:
        return answer(200, {"status": "alive"})

    async def readyz(_: Request) -> Answer:
        checks: dict[str, Json] = dict(doors.ready())
        ready = all(said == "ok" for said in checks.values())
        return answer(200 if ready else 503, {"ready": ready, "checks": checks})

    async def openapi(_: Request) -> Answer:
        return Answer(200, doors.openapi)

    pages = Starlette(
        routes=[
            Route("/healthz", page(healthz)),
            Route("/readyz", page(readyz)),
            Route("/metrics", page(metrics_page(doors.readings))),
            Route("/openapi.json", page(openapi)),
        ],
        exception_handlers={HTTPException: no_page},
    )
    pages.router.redirect_slashes = False  # it would repeat whatever host the request names
    return pages
