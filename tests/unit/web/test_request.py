"""Requests as they come off the wire."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from holdfast.errors import Overloaded
from holdfast.sense.refusal import Refused, TooLarge
from holdfast.web.request import (
    SMALL_BODY,
    Budget,
    Disconnected,
    headers_of,
    media_type,
    read_body,
    source_name,
)

Messages = list[dict[str, Any]]


def parts(*bodies: bytes) -> Messages:
    """The messages of a body that comes in parts."""
    return [
        {"type": "http.request", "body": body, "more_body": place < len(bodies)}
        for place, body in enumerate(bodies, 1)
    ]


def receiver(messages: Messages) -> Callable[[], Awaitable[dict[str, Any]]]:
    left = iter(messages)

    async def receive() -> dict[str, Any]:
        return next(left)

    return receive


def read(messages: Messages, limit: int, budget: Budget | None = None, **headers: str) -> bytes:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return asyncio.run(read_body(receiver(messages), named, limit, budget or Budget()))


def query(text: bytes) -> str:
    return source_name({"query_string": text, "path": "/events"})


def test_a_body_in_parts_is_one_body() -> None:
    assert read(parts(b"ab", b"", b"cd"), 4) == b"abcd"
    assert read(parts(b""), 0) == b""


@pytest.mark.parametrize("bodies", [(b"abcde",), (b"ab", b"cde"), (b"", b"abcde", b"")])
def test_a_body_over_the_limit_is_refused(bodies: tuple[bytes, ...]) -> None:
    with pytest.raises(TooLarge, match="more than 4 bytes"):
        read(parts(*bodies), 4)


def test_a_length_over_the_limit_is_refused_before_the_body_is_read() -> None:
    with pytest.raises(TooLarge):
        read([], 4, content_length="5")


def test_a_client_that_left_is_no_body() -> None:
    for messages in ([{"type": "http.disconnect"}], [parts(b"a", b"b")[0], {"type": "http.disconnect"}]):
        with pytest.raises(Disconnected):
            read(messages, 10)


def test_a_large_body_takes_from_the_budget_and_gives_it_back() -> None:
    budget = Budget(100)
    read(parts(b"x" * SMALL_BODY, b"x" * 100), 10**6, budget)
    with pytest.raises(Overloaded):
        read(parts(b"x" * SMALL_BODY, b"x" * 101), 10**6, budget)
    with pytest.raises(Disconnected):
        read([*parts(b"x" * SMALL_BODY, b"x" * 60, b"")[:2], {"type": "http.disconnect"}], 10**6, budget)
    with pytest.raises(TooLarge):
        read(parts(b"x" * SMALL_BODY, b"x" * 60, b"x" * 60), SMALL_BODY + 100, budget)

    budget.take(100)


def test_a_small_body_needs_no_budget() -> None:
    assert len(read(parts(b"x" * 1000, b"x" * 1000), 10**6, Budget(0))) == 2000


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (b"source=shop", "shop"),
        (b"source=a%20b", "a b"),
        (b"source=a+b", "a b"),
        (b"source=", ""),
        (b"x=1&source=shop", "shop"),
        (b"source=shop&x=1", "shop"),
        (b"source=%E2%82%AC", "€"),
        (b"source=%ff", "\ufffd"),
    ],
)
def test_the_source_is_named_in_the_query(text: bytes, name: str) -> None:
    assert query(text) == name


@pytest.mark.parametrize(
    "text", [b"", b"src=shop", b"Source=shop", b"source=a&source=b", b"source=a&source=a", b"&&&"]
)
def test_a_query_that_names_none_or_several_is_refused(text: bytes) -> None:
    with pytest.raises(Refused, match="name one source"):
        query(text)


def test_the_source_may_be_named_in_the_path() -> None:
    assert source_name({"path": "/in/generic/a b", "query_string": b"source=other"}, "/in/generic/") == "a b"


def test_a_header_that_comes_twice_wins_neither_way() -> None:
    headers = headers_of(
        {"headers": [(b"authorization", b"Bearer a"), (b"x", b"\xff"), (b"authorization", b"Bearer b")]}
    )

    assert headers == {"authorization": "Bearer a, Bearer b", "x": "\xff"}


@pytest.mark.parametrize(
    ("value", "media"),
    [("application/json", "application/json"), (" Text/Plain ;charset=x", "text/plain"), ("", ""), (";", "")],
)
def test_a_media_type_has_no_parameters(value: str, media: str) -> None:
    assert media_type({"content-type": value}) == media
