"""What a connection writes."""

from __future__ import annotations

from typing import Any, cast

from holdfast.web.guard import OneWrite

HEAD, BODY = b"HTTP/1.1 202 Accepted\r\ncontent-length: 2\r\n\r\n", b"{}"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Wire:
    """Keeps what is sent."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.how = ""

    def write(self, data: bytes) -> None:
        self.sent.append(data)

    def close(self) -> None:
        self.how = "closed"

    def abort(self) -> None:
        self.how = "aborted"

    def is_closing(self) -> bool:
        return self.how != ""


def out() -> tuple[Wire, OneWrite]:
    wire = Wire()
    return wire, OneWrite(cast("Any", wire))


def test_a_head_goes_out_with_what_follows_it() -> None:
    wire, one = out()
    for _ in range(2):
        one.expect_head()
        one.write(HEAD)
        one.write(BODY)
        one.flush()

    assert wire.sent == [HEAD + BODY] * 2


def test_a_body_in_parts_is_not_kept_back() -> None:
    wire, one = out()
    one.expect_head()
    for part in (HEAD, b"a", b"b", b"HTTP/1.1 ", b"d"):
        one.write(part)

    assert wire.sent == [HEAD + b"a", b"b", b"HTTP/1.1 ", b"d"]


def test_whoever_is_asked_to_go_on_is_not_kept_waiting() -> None:
    wire, one = out()
    one.expect_head()
    one.write(CONTINUE)
    early = list(wire.sent)
    one.write(HEAD)
    one.write(BODY)

    assert early == [CONTINUE]
    assert wire.sent == [CONTINUE, HEAD + BODY]


def test_a_head_alone_goes_out_at_the_end_of_its_answer() -> None:
    wire, one = out()
    one.expect_head()
    one.write(HEAD)
    one.flush()
    one.flush()

    assert wire.sent == [HEAD]


def test_hanging_up_sends_what_was_kept_and_an_abort_does_not() -> None:
    wire, one = out()
    one.expect_head()
    one.write(HEAD)
    one.close()
    cut, other = out()
    other.expect_head()
    other.write(HEAD)
    other.abort()

    assert (wire.sent, wire.how, one.is_closing()) == ([HEAD], "closed", True)
    assert (cut.sent, cut.how) == ([], "aborted")
