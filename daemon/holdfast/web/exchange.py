"""The short way of a request: it is small, it came whole, and it is answered without a task of its own.

uvicorn starts a task for every request, and hands the body and the answer over in messages. That costs more
than reading an event, checking it and having it written; so those who send one event after the other
are spared it. Everything else, and whatever is odd, goes the long way.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from http import HTTPStatus
from typing import Final, Protocol, cast, runtime_checkable

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from holdfast.web.answer import Answer, Headers
from holdfast.web.request import SMALL_BODY, headers_of

#: What only the long way knows how to handle.
_ODD: Final = frozenset({"transfer-encoding", "expect", "upgrade"})


@runtime_checkable
class Door(Protocol):
    """An application that takes whole requests, too: those that are POSTed to `quick_path`."""

    @property
    def quick_path(self) -> bytes:
        """The path of the requests that may come the short way."""

    @property
    def patience(self) -> float:
        """So many seconds an answer may take before the door is asked to give up."""

    def take(
        self, scope: Scope, headers: Mapping[str, str], body: bytes, reply: Callable[[Answer], None]
    ) -> Callable[[], object]:
        """Take a request; `reply` is called once, at once or later on the same loop. Raises nothing.

        Whoever calls what is returned has waited long enough: there is a reply soon, whatever it is.
        """


class _Nobody(asyncio.Event):
    """Nobody waits for messages of an exchange."""

    def set(self) -> None:
        pass


class Exchange(RequestResponseCycle):
    """One request on the short way: what uvicorn asks of a cycle, and no messages."""

    def __init__(
        self, scope: Scope, headers: Mapping[str, str], keep_alive: bool, on_response: Callable[[], None]
    ) -> None:
        # a cycle's own constructor prepares much that nothing here uses
        self.scope = scope  # type: ignore[assignment]
        self.headers = headers
        self.keep_alive = keep_alive
        self.on_response = on_response
        self.message_event = _NOBODY
        self.body = bytearray()
        self.more_body = True
        self.disconnected = False
        self.response_started = False
        self.response_complete = False
        self.until = math.inf
        self._give_up: Callable[[], object] | None = None

    def hand_over(
        self, door: Door, transport: asyncio.Transport, default: Sequence[tuple[bytes, bytes]]
    ) -> None:
        """The body is there: hand the request over."""
        self.transport = transport
        self._default = tuple(default)
        self._give_up = door.take(cast("Scope", self.scope), self.headers, bytes(self.body), self._say)

    def give_up(self) -> bool:
        """It takes too long: have the door say so. False when it was asked to already, or has answered."""
        give_up, self._give_up = self._give_up, None
        if give_up is None or self.response_complete:
            return False
        give_up()
        return True

    def _say(self, said: Answer) -> None:
        if self.disconnected or self.transport.is_closing():
            return
        self.response_started = self.response_complete = True
        self.transport.write(written(said, self._default, self.keep_alive))
        if not self.keep_alive:
            self.transport.close()
        self.on_response()


_NOBODY: Final = _Nobody()


def short(url: bytes, method: bytes, scope: Scope, door: Door) -> Mapping[str, str] | None:
    """The headers of a request that may come the short way, whose scope is then complete; else None."""
    path, _, query = url.partition(b"?")
    if path != door.quick_path or method != b"POST" or b"#" in query:
        return None
    headers = headers_of(scope)
    if (
        any(name in headers for name in _ODD)
        or int(headers.get("content-length", SMALL_BODY + 1)) > SMALL_BODY
    ):
        return None
    scope.update(method="POST", path=path.decode(), raw_path=path, query_string=query)
    return headers


@lru_cache(64)
def written(said: Answer, default: Headers, keep_alive: bool) -> bytes:
    """An answer as it goes over the wire."""
    headers = [
        *default,
        (b"content-type", said.media.encode()),
        (b"content-length", str(len(said.body)).encode()),
        *said.headers,
    ]
    if not keep_alive:
        headers.append((b"connection", b"close"))
    lines = [f"HTTP/1.1 {said.status} {HTTPStatus(said.status).phrase}".encode()]
    return b"\r\n".join([*lines, *(name + b": " + value for name, value in headers), b"", said.body])
