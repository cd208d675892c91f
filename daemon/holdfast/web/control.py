"""The command line's door: a Unix socket whose file permission (0600) is the authentication."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Final, TypeVar

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import Route
from starlette.types import ASGIApp

from holdfast.errors import ConfigError
from holdfast.journal import Ack
from holdfast.model.events import Close, Entry, Switch
from holdfast.model.kinds import EntryKind
from holdfast.model.records import AuthLevel, InboundReply
from holdfast.model.snapshot import Snapshot
from holdfast.model.values import Json, Millis
from holdfast.sense.draft import Sender, nobody
from holdfast.sense.refusal import Refused
from holdfast.web.answer import Answer, answer, no_page, page, refusal
from holdfast.web.reading import body_limit, entries_of
from holdfast.web.request import Budget, headers_of, read_body, source_name

#: The source of what the operator does by command, in the journal.
CLI: Final = "cli"
MAX_REQUEST: Final = 64 * 1024
MAX_TEXT: Final = 500
HANDLED_WITHIN: Final = 10.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ControlDoors:
    """What the door needs.

    `handled` waits until the pipeline has decided on that sequence number, and gives what came of
    it; `reload` loads the config again and raises ConfigError; `status` is what `holdfast status`
    shows.
    """

    snapshot: Callable[[], Snapshot]
    append: Callable[[Sequence[Entry]], Awaitable[list[Ack]]]
    clock: Callable[[], Millis]
    handled: Callable[[int], Awaitable[Json]]
    reload: Callable[[], Awaitable[Json]]
    status: Callable[[], Json]
    wait: float = HANDLED_WITHIN


@dataclass(frozen=True, slots=True)
class Reply:
    """`POST /reply`: the operator answers a gate."""

    text: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_TEXT)]
    gate: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_TEXT)]
    operator: str


@dataclass(frozen=True, slots=True)
class Throw:
    """`POST /switch`: the kill switch."""

    stopped: bool
    by: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_TEXT)]
    reason: Annotated[str, msgspec.Meta(max_length=MAX_TEXT)] = ""


@dataclass(frozen=True, slots=True)
class Over:
    """`POST /close`: an incident is over."""

    incident: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_TEXT)]
    by: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_TEXT)]
    reason: Annotated[str, msgspec.Meta(max_length=MAX_TEXT)] = ""


def control_app(doors: ControlDoors) -> ASGIApp:
    """`POST /send /reply /switch /close /reload`, `GET /status`; each waits for what came of it."""
    control = _Control(doors)
    return Starlette(
        routes=[
            Route("/send", page(control.send), methods=["POST"]),
            Route("/reply", page(control.reply), methods=["POST"]),
            Route("/switch", page(control.switch), methods=["POST"]),
            Route("/close", page(control.close), methods=["POST"]),
            Route("/reload", page(control.reload), methods=["POST"]),
            Route("/status", page(control.status)),
        ],
        exception_handlers={HTTPException: no_page},
    )


class _Control:
    """The handlers; what they journal says that the operator did it."""

    def __init__(self, doors: ControlDoors) -> None:
        self._doors = doors
        self._budget = Budget()

    async def send(self, request: Request) -> Answer:
        """Events, as if they came from a source that is declared."""
        headers, name = headers_of(request.scope), source_name(request.scope)
        snapshot = self._doors.snapshot()
        source = snapshot.sources.get(name)
        if source is None:
            known = ", ".join(sorted(snapshot.sources)) or "none is declared"
            return refusal(404, f"There is no source {name!r}.", f"Name one of the config: {known}.")
        body = await read_body(request.receive, headers, body_limit(headers), self._budget)
        sender = Sender(source, snapshot, self._doors.clock(), "operator", nobody)
        return await self._journal(entries_of(sender, headers, body))

    async def reply(self, request: Request) -> Answer:
        """The operator's answer to a gate, proven by the permission of the socket."""
        asked = _decode(await self._body(request), Reply)
        known = self._doors.snapshot().operators
        if asked.operator not in known:
            return refusal(
                422,
                f"There is no operator {asked.operator!r}.",
                f"Name one of the config: {', '.join(sorted(known)) or 'none is declared'}.",
            )
        reply = InboundReply(
            channel=CLI,
            sender=asked.operator,
            message_id=f"cli-{secrets.token_hex(16)}",
            text=asked.text.strip(),
            thread_ref=asked.gate,
            auth=AuthLevel.PROVEN,
            operator=asked.operator,
        )
        return await self._journal([self._entry(EntryKind.REPLY, reply.message_id, reply)])

    async def switch(self, request: Request) -> Answer:
        """The kill switch, thrown or released."""
        asked = _decode(await self._body(request), Throw)
        switch = Switch(asked.stopped, asked.by, asked.reason)
        return await self._journal([self._entry(EntryKind.SWITCH, f"switch-{secrets.token_hex(16)}", switch)])

    async def close(self, request: Request) -> Answer:
        """The operator's word that an incident is over."""
        asked = _decode(await self._body(request), Over)
        close = Close(asked.incident, asked.by, asked.reason)
        return await self._journal([self._entry(EntryKind.CLOSE, f"close-{secrets.token_hex(16)}", close)])

    async def reload(self, _: Request) -> Answer:
        """The config, loaded again; every problem of it when it cannot take over."""
        try:
            return answer(200, {"result": await self._doors.reload()})
        except ConfigError as error:
            problems: list[Json] = [str(problem) for problem in error.problems]
            content: dict[str, Json] = {
                "error": "The config is not valid; the last good one stays.",
                "what_to_do": "Correct it: `holdfast check` and `holdfast test` show the same.",
                "problems": problems,
            }
            return answer(422, content)

    async def status(self, _: Request) -> Answer:
        """What the daemon is doing."""
        return answer(200, self._doors.status())

    async def _body(self, request: Request) -> bytes:
        return await read_body(request.receive, headers_of(request.scope), MAX_REQUEST, self._budget)

    def _entry(self, kind: EntryKind, key: str, body: object) -> Entry:
        return Entry(kind, CLI, key, self._doors.snapshot().commit, msgspec.json.encode(body))

    async def _journal(self, entries: Sequence[Entry]) -> Answer:
        acks = await self._doors.append(entries) if entries else []
        duplicates = sum(ack.duplicate for ack in acks)
        newest = max((ack.seq for ack in acks), default=0)
        said: dict[str, Json] = {"accepted": len(acks) - duplicates, "duplicates": duplicates, "seq": newest}
        if not newest:
            return answer(200, {**said, "handled": True, "result": None})
        try:
            async with asyncio.timeout(self._doors.wait):
                result = await self._doors.handled(newest)
        except TimeoutError:
            later = "It is on disk and will be handled: look with `holdfast status`."
            return answer(202, {**said, "handled": False, "what_to_do": later})
        return answer(200, {**said, "handled": True, "result": result})


def _decode(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(f"The request cannot be read: {error}.", "See docs/reference/http.md.") from error
