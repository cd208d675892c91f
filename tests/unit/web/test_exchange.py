"""Which requests come the short way, and what is said to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import pytest
from starlette.types import Scope

from holdfast.web.answer import Answer, answer
from holdfast.web.exchange import Door, Exchange, short, written
from holdfast.web.request import SMALL_BODY

LENGTH = (b"content-length", b"2")


class Clerk:
    """A door that notes who comes, and answers when the test says so."""

    quick_path = b"/events"
    patience = 30.0

    def __init__(self) -> None:
        self.came: list[tuple[Mapping[str, str], bytes]] = []
        self.reply: Callable[[Answer], None] = print
        self.gave_up = 0

    def take(
        self, _scope: Scope, headers: Mapping[str, str], body: bytes, reply: Callable[[Answer], None]
    ) -> Callable[[], object]:
        self.came.append((headers, body))
        self.reply = reply
        return self._give_up

    def _give_up(self) -> None:
        self.gave_up += 1


class Wire:
    """Keeps what is sent."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        self.sent.append(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


def scope(*headers: tuple[bytes, bytes]) -> dict[str, Any]:
    return {"type": "http", "headers": list(headers)}


def begun(*, keep_alive: bool = True) -> tuple[Clerk, Wire, Exchange, list[int]]:
    clerk, wire, over = Clerk(), Wire(), [0]

    def on_response() -> None:
        over[0] += 1

    exchange = Exchange(scope(), {"a": "b"}, keep_alive, on_response)
    exchange.body += b"{}"
    exchange.hand_over(clerk, cast("Any", wire), [(b"date", b"today")])
    return clerk, wire, exchange, over


def test_a_small_post_of_an_event_comes_the_short_way_and_its_scope_is_complete() -> None:
    asked = scope(LENGTH, (b"x", b"1"), (b"x", b"2"))
    headers = short(b"/events?source=a%20b", b"POST", asked, Clerk())

    assert headers == {"content-length": "2", "x": "1, 2"}
    assert (asked["method"], asked["path"], asked["query_string"]) == ("POST", "/events", b"source=a%20b")


@pytest.mark.parametrize(
    ("url", "method", "headers"),
    [
        (b"/events?source=a", b"GET", [LENGTH]),
        (b"/events/?source=a", b"POST", [LENGTH]),
        (b"/%65vents?source=a", b"POST", [LENGTH]),
        (b"http://h/events?source=a", b"POST", [LENGTH]),
        (b"/events?source=a#b", b"POST", [LENGTH]),
        (b"/in/generic/a", b"POST", [LENGTH]),
        (b"/events?source=a", b"POST", []),
        (b"/events?source=a", b"POST", [(b"content-length", str(SMALL_BODY + 1).encode())]),
        (b"/events?source=a", b"POST", [(b"transfer-encoding", b"chunked")]),
        (b"/events?source=a", b"POST", [LENGTH, (b"expect", b"100-continue")]),
        (b"/events?source=a", b"POST", [LENGTH, (b"upgrade", b"websocket")]),
    ],
)
def test_whatever_is_large_or_odd_goes_the_long_way(
    url: bytes, method: bytes, headers: list[tuple[bytes, bytes]]
) -> None:
    assert short(url, method, scope(*headers), Clerk()) is None


def test_the_largest_small_body_still_comes_the_short_way() -> None:
    headers = scope((b"content-length", str(SMALL_BODY).encode()))

    assert short(b"/events?source=a", b"POST", headers, Clerk()) is not None


def test_a_door_is_known_by_what_it_can_do() -> None:
    assert isinstance(Clerk(), Door)
    assert not isinstance(print, Door)


def test_the_answer_ends_the_exchange() -> None:
    clerk, wire, exchange, over = begun()
    assert clerk.came == [({"a": "b"}, b"{}")]
    assert not exchange.response_started

    clerk.reply(answer(202, {"accepted": 1}))

    (sent,) = wire.sent
    assert sent == (
        b"HTTP/1.1 202 Accepted\r\ndate: today\r\ncontent-type: application/json\r\n"
        b'content-length: 14\r\n\r\n{"accepted":1}'
    )
    assert exchange.response_complete
    assert over == [1]
    assert not wire.closed


def test_whoever_wants_no_second_answer_is_hung_up_on() -> None:
    clerk, wire, _, over = begun(keep_alive=False)
    clerk.reply(answer(202, {}))

    assert b"\r\nconnection: close\r\n" in wire.sent[0]
    assert wire.closed
    assert over == [1]


@pytest.mark.parametrize("how", ["lost", "closing"])
def test_nothing_is_said_to_whoever_has_gone(how: str) -> None:
    clerk, wire, exchange, over = begun()
    exchange.disconnected = how == "lost"
    wire.closed = how == "closing"
    clerk.reply(answer(202, {}))

    assert wire.sent == []
    assert over == [0]


def test_the_door_is_asked_to_give_up_once() -> None:
    clerk, _, exchange, _ = begun()

    assert [exchange.give_up(), exchange.give_up()] == [True, False]
    assert clerk.gave_up == 1


def test_an_answer_keeps_its_own_headers() -> None:
    said = written(answer(429, {}, ((b"retry-after", b"1"),)), (), keep_alive=True)

    assert said.startswith(b"HTTP/1.1 429 Too Many Requests\r\n")
    assert b"\r\nretry-after: 1\r\n" in said
