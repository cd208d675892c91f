"""What uvicorn leaves open: bounds on heads, on time in every phase, and on connections."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final, NoReturn, cast

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from holdfast.web.answer import Answer, refusal
from holdfast.web.exchange import Door, Exchange, short, written


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one server; spans in seconds. `connections` is lowered where the system allows less."""

    connections: int = 1000
    head_bytes: int = 32 * 1024
    headers: int = 100
    waiting: int = 16  # requests of one connection that came while an earlier one is being answered
    head: float = 10.0
    body: float = 30.0
    answer: float = 60.0
    idle: float = 75.0
    grace: int = 5


class Phase(Enum):
    """What a connection is doing."""

    IDLE = auto()  # nothing: between two requests
    HEAD = auto()  # sending a request line and headers
    BODY = auto()  # sending a body
    ANSWER = auto()  # waiting for an answer, or taking it
    CLOSING = auto()


class Crowd:
    """Every connection of one server, the oldest first, and how long each may stay."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._members: dict[Guard, None] = {}

    def __len__(self) -> int:
        return len(self._members)

    def enter(self, guard: Guard) -> bool:
        """Take a connection in; one that only takes up room goes for it. False when all are at work."""
        if len(self._members) >= self.limits.connections:
            lazy = next((one for one in self._members if one.phase is not Phase.ANSWER), None)
            if lazy is None:
                return False
            self.leave(lazy)
            lazy.transport.abort()
        self._members[guard] = None
        return True

    def leave(self, guard: Guard) -> None:
        """Forget a connection; one that is not known is no matter."""
        self._members.pop(guard, None)

    def sweep(self, now: float) -> None:
        """End whatever took longer than its phase may take."""
        for guard in list(self._members):
            if guard.deadline <= now:
                guard.expire()

    def abort(self) -> None:
        """End everything at once."""
        for guard in list(self._members):
            guard.transport.abort()


class OneWrite:
    """A transport that sends the head of an answer together with what follows it: one packet, not two.

    It has what uvicorn and `Guard` use of a transport while requests are answered.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._head: bytes | None = None
        self._expects_head = False

    def expect_head(self) -> None:
        """The next thing that is written is the head of an answer."""
        self._expects_head = True

    def write(self, data: bytes) -> None:
        """Send it, or keep it until the rest is there."""
        if self._expects_head and data != _CONTINUE:
            self._expects_head, self._head = False, data
        elif self._head is None:
            self._transport.write(data)
        else:
            data, self._head = self._head + data, None
            self._transport.write(data)

    def flush(self) -> None:
        """Send what was kept: nothing follows."""
        if self._head is not None:
            self.write(b"")

    def close(self) -> None:
        """Send what was kept, and hang up."""
        self.flush()
        self._transport.close()

    def abort(self) -> None:
        """Hang up at once."""
        self._transport.abort()

    def is_closing(self) -> bool:
        """Whether somebody hung up."""
        return self._transport.is_closing()


class Guard(HttpToolsProtocol):
    """One connection. A server makes its own kind of it with `guarded`."""

    crowd: Crowd
    door: Door | None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.phase = Phase.IDLE
        self.deadline = 0.0
        self._unfinished = 0  # bytes of a head whose end is not yet there
        self._came = 0  # the same with what is being parsed: no head can be larger
        self._behind = 0  # bytes of headers that came behind a body
        self._refused: Answer | None = None
        self._last: Answer | None = None  # said when what came before it has been answered
        self._ended = False  # the client has said all that it will say
        self._quick: Exchange | None = None  # the newest that came the short way; others may be behind it

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Enter the crowd, or be told that there is no room."""
        super().connection_made(transport)
        self.transport = OneWrite(transport)  # type: ignore[assignment]
        self._enter(Phase.IDLE, self.crowd.limits.head)
        if not self.crowd.enter(self):
            self._end(_NO_ROOM)

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave the crowd."""
        self.crowd.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came; a head that does not end is cut off."""
        if self.phase is Phase.CLOSING or self._last is not None:
            return
        self._came = self._unfinished + len(data)
        super().data_received(data)
        if self.phase is Phase.BODY and isinstance(self.cycle, Exchange):
            self._go_the_long_way(self.cycle)
        if self.phase is Phase.HEAD:
            self._unfinished += len(data)
            if self._unfinished > self.crowd.limits.head_bytes:
                self._end(_HEAD_TOO_LARGE)

    def eof_received(self) -> bool:  # type: ignore[override]
        """A client that is done with sending may still wait for its answers."""
        self._ended = True
        return self.phase is Phase.ANSWER

    def on_message_begin(self) -> None:
        """A request begins: its head has its own time and room."""
        if len(self.pipeline) >= self.crowd.limits.waiting:
            self._give_up(_TOO_MANY)
        super().on_message_begin()
        self._unfinished = self._behind = 0
        self._enter(Phase.HEAD, self.crowd.limits.head)

    def on_header(self, name: bytes, value: bytes) -> None:
        """What comes behind a body is counted and counts for nothing: it must not pass for a credential."""
        if self.phase is not Phase.BODY:
            super().on_header(name, value)
            return
        self._behind += len(name) + len(value)
        if self._behind > self.crowd.limits.head_bytes:
            self._give_up(_HEAD_TOO_LARGE)

    def on_headers_complete(self) -> None:
        """The head is there, and no larger than it may be; the body has its own time."""
        limits = self.crowd.limits
        if len(self.headers) > limits.headers or (self._came > limits.head_bytes and self._head_is_large()):
            self._give_up(_HEAD_TOO_LARGE)
        self._enter(Phase.BODY, limits.body)
        if not self._comes_the_short_way():
            super().on_headers_complete()

    def _comes_the_short_way(self) -> bool:
        """Nothing before it waits for an answer, and nothing about it is odd: no task is started for it."""
        before = cast("RequestResponseCycle | None", self.cycle)
        if (
            (before is not None and not before.response_complete)
            or self.flow.write_paused
            or self.door is None
        ):
            return False
        parser = self.parser
        scope = cast("Scope", self.scope)
        headers = short(self.url, parser.get_method(), scope, self.door)
        if headers is None:
            return False
        keep_alive = parser.get_http_version() != "1.0" and parser.should_keep_alive()
        self.cycle = self._quick = Exchange(scope, headers, keep_alive, self.on_response_complete)
        return True

    def _go_the_long_way(self, exchange: Exchange) -> None:
        """The body did not come with the head: who sends it has something to prove first."""
        self.cycle = self._quick = None  # type: ignore[assignment]  # as uvicorn has it before the first
        super().on_headers_complete()
        if exchange.body:
            self.on_body(bytes(exchange.body))

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        cast("OneWrite", self.transport).expect_head()
        super()._start_asgi_task(cycle, app)

    def on_message_complete(self) -> None:
        """The request is there; the answer may be, too, when it was refused early."""
        super().on_message_complete()
        self._rest(busy=not self.cycle.response_complete)
        if isinstance(self.cycle, Exchange) and self.door is not None:
            self._enter(Phase.ANSWER, self.door.patience)
            self.cycle.until = self.deadline
            self.cycle.hand_over(self.door, self.transport, self.server_state.default_headers)

    def on_response_complete(self) -> None:
        """The answer is out; the next request may come, or one that waits is taken up."""
        cast("OneWrite", self.transport).flush()  # an answer to HEAD has a head alone
        newest = not self.pipeline
        if newest and isinstance(self.cycle, Exchange):
            self.server_state.total_requests += 1  # uvicorn's timer for idle connections is not needed
        else:
            super().on_response_complete()
        if newest:
            self.cycle.body.clear()  # of a request that was refused before its body was read
        if newest and self._last is not None:
            self._say(self._last)
        elif self.phase is Phase.ANSWER:
            busy = not self.cycle.response_complete  # of the newest request
            self._rest(busy=busy)
            if self._ended and not busy:
                self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """Answer what cannot be parsed."""
        self._end(self._refused or refusal(400, msg, "Send HTTP/1.1."))

    def expire(self) -> None:
        """The phase took too long."""
        if self.phase is Phase.ANSWER and self._quick is not None and self._quick.give_up():
            self._enter(Phase.ANSWER, self.crowd.limits.grace)
        elif self.phase in (Phase.ANSWER, Phase.CLOSING):
            self.transport.abort()
        elif self._may_answer():
            self._end(_TOO_SLOW)
        else:
            self._enter(Phase.CLOSING, self.crowd.limits.grace)
            self.transport.close()

    def _may_answer(self) -> bool:
        """Whether a request came in part, and nothing else is being said to it."""
        cycle = cast("RequestResponseCycle | None", self.cycle)  # of the request before, while in a head
        if self.phase is Phase.HEAD:
            return cycle is None or cycle.response_complete
        return self.phase is Phase.BODY and cycle is not None and not cycle.response_started

    def _rest(self, *, busy: bool) -> None:
        limits = self.crowd.limits
        self._enter(*((Phase.ANSWER, limits.answer) if busy else (Phase.IDLE, limits.idle)))
        if busy and self._quick is not None and not self._quick.response_complete:
            self.deadline = min(self.deadline, self._quick.until)  # what came behind it may not extend it

    def _enter(self, phase: Phase, seconds: float) -> None:
        if self.phase is not Phase.CLOSING:
            self.phase = phase
            self.deadline = self.loop.time() + seconds

    def _head_is_large(self) -> bool:
        parts = sum(len(name) + len(value) for name, value in self.headers)
        return len(self.url) + parts > self.crowd.limits.head_bytes

    def _give_up(self, said: Answer) -> NoReturn:
        """End from within the parser, which calls `send_400_response` for what is raised."""
        self._refused = said
        raise ValueError(said.status)

    def _end(self, said: Answer) -> None:
        """Say a last thing, past the application, and hang up; after what is still to be answered."""
        if self.phase is Phase.CLOSING or self._last is not None:
            return
        if self._owes():
            self._last = said
            self._enter(Phase.ANSWER, self.crowd.limits.answer)
        else:
            self._say(said)

    def _owes(self) -> bool:
        """Whether an earlier request waits for its answer; one that broke off waits for nothing."""
        if self.phase is Phase.BODY:
            queued = bool(self.pipeline)
            if queued:
                self.pipeline.popleft()
            return queued
        cycle = cast("RequestResponseCycle | None", self.cycle)
        return cycle is not None and not cycle.response_complete

    def _say(self, said: Answer) -> None:
        self._enter(Phase.CLOSING, self.crowd.limits.grace)
        self.transport.write(written(said, (), keep_alive=False))
        self.transport.close()


def guarded(limits: Limits, app: object) -> tuple[type[Guard], Crowd]:
    """The kind of connection that one server uses, and the crowd that they form."""
    crowd = Crowd(limits)
    door = app if isinstance(app, Door) else None
    return type("GuardOfOneServer", (Guard,), {"crowd": crowd, "door": door}), crowd


_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_NO_ROOM: Final = refusal(503, "Too many connections.", "Try again soon.", (b"retry-after", b"1"))
_HEAD_TOO_LARGE: Final = refusal(
    431, "The head of the request is too large.", "Send fewer or shorter headers."
)
_TOO_MANY: Final = refusal(
    429, "Too many requests came before their answers.", "Wait for answers.", (b"retry-after", b"1")
)
_TOO_SLOW: Final = refusal(408, "The request did not come to its end in time.", "Send it faster.")
