"""What the daemon and its courier process say to each other: one JSON line per order, one per answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec

from holdfast.model.records import DeliveryState
from holdfast.model.values import SECOND, Millis, Severity

#: Bytes of one line with its newline; what is longer is never written and never read.
LINE_MAX: Final = 256 * 1024
#: The first line of the courier process: Apprise is loaded.
READY: Final = b'{"ready":true}\n'


@dataclass(frozen=True, slots=True)
class Order:
    """One message for one target. What may hold a secret is kept out of its `repr`.

    `reply_to` and `headers` count for mail only. `timeout` is how long the send itself may take.
    """

    id: str
    url: str = field(repr=False)
    title: str = field(repr=False)
    body: str = field(repr=False)
    reply_to: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    severity: Severity = Severity.WARNING
    timeout: Millis = 15 * SECOND


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one order. `detail` comes from a closed vocabulary: no URL, no address, no text
    of the service. `stuck` counts sends of this process that were given up but still run."""

    id: str
    state: DeliveryState
    detail: str = ""
    stuck: int = 0


def order_line(order: Order) -> bytes:
    """Return the line of an order; the caller compares its length with LINE_MAX.

    Text that is not valid Unicode (lone surrogates) goes out with question marks.
    """
    return (
        msgspec.json.encode(
            Order(
                id=order.id,
                url=_unicode(order.url),
                title=_unicode(order.title),
                body=_unicode(order.body),
                reply_to=None if order.reply_to is None else _unicode(order.reply_to),
                headers={_unicode(name): _unicode(value) for name, value in order.headers.items()},
                severity=order.severity,
                timeout=order.timeout,
            )
        )
        + b"\n"
    )


def read_order(line: bytes) -> Order:
    """Return the order of a line. Raises msgspec.MsgspecError when it is none."""
    return msgspec.json.decode(line, type=Order)


def answer_line(answer: Answer) -> bytes:
    """Return the line of an answer."""
    return msgspec.json.encode(answer) + b"\n"


def read_answer(line: bytes) -> Answer:
    """Return the answer of a line. Raises msgspec.MsgspecError when it is none."""
    return msgspec.json.decode(line, type=Answer)


def _unicode(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")
