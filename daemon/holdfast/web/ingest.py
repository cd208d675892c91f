"""The door for events: limits, authentication, parsing, journal, and only then 202."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from holdfast.errors import InputError, StoreError
from holdfast.journal import Ack
from holdfast.model.events import Entry
from holdfast.model.records import Reading
from holdfast.model.snapshot import AuthScheme, Snapshot
from holdfast.model.values import Json, Millis, Secret
from holdfast.sense.auth import STRANGER, authenticate, is_local
from holdfast.sense.draft import Sender
from holdfast.web.answer import Answer, answer, answer_for, no_page, page, wrong_method
from holdfast.web.complaints import Complaints
from holdfast.web.metrics import metrics_page
from holdfast.web.reading import body_limit, entries_of
from holdfast.web.request import Budget, Disconnected, headers_of, read_body, source_name

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
            reply = answer_for(error)
            self._complain(scope, reply, error)
        await reply.send(send)

    async def _take(self, scope: Scope, receive: Receive) -> Answer:
        if scope["method"] != "POST":
            return wrong_method("POST")
        name = source_name(scope, None if scope["path"] == _EVENTS else _GENERIC)
        headers = headers_of(scope)
        limit = body_limit(headers)
        entries = await self._entries(
            name, scope, headers, partial(read_body, receive, headers, limit, self._budget)
        )
        return _acknowledged(await self._append(entries))

    async def _entries(
        self, name: str, scope: Scope, headers: Mapping[str, str], body: Callable[[], Awaitable[bytes]]
    ) -> list[Entry]:
        snapshot = self._doors.snapshot()
        source = snapshot.sources.get(name, STRANGER)
        client = scope.get("client")
        local = is_local(client[0] if client else None, headers)
        # a signature needs the body first; nobody else is given memory before having proven anything
        signed = source.scheme is AuthScheme.HMAC
        content = await body() if signed else b""
        auth = authenticate(source, headers, content, local, self._doors.secret)
        if not signed:
            content = await body()
        unknown = partial(self._unknown, source.name)
        return entries_of(Sender(source, snapshot, self._doors.clock(), auth, unknown), headers, content)

    async def _append(self, entries: Sequence[Entry]) -> list[Ack]:
        if not entries:
            return []
        future = asyncio.ensure_future(self._doors.append(entries))
        # a third of what asyncio.timeout costs, which is worth it at this place alone
        late = future.get_loop().call_later(COMMIT_WITHIN, future.cancel)
        try:
            return await future
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise StoreError(f"no commit within {COMMIT_WITHIN:g} s: look at the disk") from None
        finally:
            late.cancel()

    def _unknown(self, source: str, name: str) -> None:
        self.complaints.add(source, "unknown-name", f"the estate has no {name!r}: event kept without it")

    def _complain(self, scope: Scope, reply: Answer, error: Exception) -> None:
        try:
            name = source_name(scope, None if scope["path"] == _EVENTS else _GENERIC)
        except InputError:
            name = ""
        known = name if name in self._doors.snapshot().sources else ""
        self.complaints.add(known, str(reply.status), str(error))


def ingest_app(doors: IngestDoors) -> Ingest:
    """What schemas/openapi.json describes, and nothing else."""
    return Ingest(doors)


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
