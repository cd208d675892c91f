"""Requests as they come off the wire: headers, media type and body, each within its bound."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl, unquote

from starlette.types import Message, Receive, Scope

from holdfast.errors import Overloaded
from holdfast.sense.refusal import Refused, TooLarge

#: Bodies up to this size are taken in any case; larger ones share one budget.
SMALL_BODY: Final = 64 * 1024
LARGE_BODIES: Final = 64 * 1024 * 1024


class Disconnected(Exception):
    """The client went away; there is nobody to answer."""


class Budget:
    """The memory that the bodies of all requests together may take."""

    def __init__(self, limit: int = LARGE_BODIES) -> None:
        self._left = limit

    def take(self, size: int) -> None:
        """Overloaded when it is used up."""
        if size > self._left:
            raise Overloaded("too many large requests are being read: try again soon")
        self._left -= size

    def give(self, size: int) -> None:
        """Give back what was taken."""
        self._left += size


def headers_of(scope: Scope) -> dict[str, str]:
    """Headers by lower-case name; one that comes twice is joined, so that neither wins in secret."""
    found: dict[str, str] = {}
    for name, value in scope["headers"]:
        key, text = name.decode("latin-1"), value.decode("latin-1")
        found[key] = f"{found[key]}, {text}" if key in found else text
    return found


def media_type(headers: Mapping[str, str]) -> str:
    """The content type without its parameters, in lower case; empty without one."""
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def source_name(scope: Scope, prefix: str | None = None) -> str:
    """The source that the request names: `?source=NAME`, or what follows the prefix of its path.

    Raises Refused when there is none, or more than one.
    """
    if prefix is not None:
        return str(scope["path"]).removeprefix(prefix)
    query: str = scope["query_string"].decode("latin-1")
    if query.startswith("source=") and "&" not in query:
        return unquote(query[7:].replace("+", " "))
    names = [value for key, value in parse_qsl(query, keep_blank_values=True) if key == "source"]
    if len(names) != 1:
        raise Refused("The request does not name one source.", "Add ?source=NAME once.")
    return names[0]


async def read_body(receive: Receive, headers: Mapping[str, str], limit: int, budget: Budget) -> bytes:
    """The whole body. Raises TooLarge, Overloaded when too many large ones are being read, and
    Disconnected."""
    if int(headers.get("content-length", "0")) > limit:
        raise too_large(limit)
    message = await receive()
    if not message.get("more_body") and message["type"] == "http.request":
        body: bytes = message["body"]
        _check(body, limit)
        return body
    return await _rest(message, receive, limit, budget)


async def _rest(message: Message, receive: Receive, limit: int, budget: Budget) -> bytes:
    body, taken = bytearray(), 0
    try:
        while message["type"] == "http.request":
            body += message["body"]
            _check(body, limit)
            if len(body) > SMALL_BODY + taken:
                budget.take(len(body) - SMALL_BODY - taken)
                taken = len(body) - SMALL_BODY
            if not message.get("more_body"):
                return bytes(body)
            message = await receive()
    finally:
        budget.give(taken)
    raise Disconnected


def _check(body: bytes | bytearray, limit: int) -> None:
    if len(body) > limit:
        raise too_large(limit)


def too_large(limit: int) -> TooLarge:
    """The refusal of a body that has more than its limit."""
    return TooLarge(
        f"The body has more than {limit:,} bytes.", "Send less at once, or several events in batches."
    )
