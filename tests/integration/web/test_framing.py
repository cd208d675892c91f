"""Where a request begins and ends: lengths, chunks, trailers, and requests that come before answers."""

from __future__ import annotations

import contextlib
import gzip
import socket

import httpx
import pytest

HEAD = b"POST /events?source=%s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
EVENT = b'{"id":"%s","type":"x"}'
DEADLINE = 20


def whole(key: str, *, source: bytes = b"open") -> bytes:
    body = EVENT % key.encode()
    return HEAD % source + b"Content-Length: %d\r\n\r\n" % len(body) + body


def chunked(*chunks: bytes, trailers: bytes = b"", source: bytes = b"open", more: bytes = b"") -> bytes:
    framed = b"".join(b"%x%s\r\n%s\r\n" % (len(chunk), more, chunk) for chunk in chunks)
    return HEAD % source + b"Transfer-Encoding: chunked\r\n\r\n" + framed + b"0\r\n" + trailers + b"\r\n"


def ask(port: int, request: bytes) -> bytes:
    """Everything that is said to this, until the other side hangs up."""
    said = b""
    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE) as opened:
        with contextlib.suppress(OSError):
            opened.sendall(request)
            opened.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionResetError):
            while part := opened.recv(65_536):
                said += part
    return said


def answers(said: bytes) -> list[int]:
    return [int(part[:3]) for part in said.split(b"HTTP/1.1 ")[1:]]


def ids(door) -> list[str]:
    return [entry.id for entry in door.entries()]


@pytest.mark.parametrize(
    ("length", "status"),
    [
        (b"+12", 400),
        (b"0x0c", 400),
        (b"12, 12", 400),
        (b"12\r\nContent-Length: 12", 400),
        (b"12 12", 400),
        (b"1_2", 400),
        (b"", 400),
        (b"\xd9\xa1\xd9\xa2", 400),
        (b"18446744073709551616", 400),
        (b"18446744073709551615", 413),
        (b"5242881", 413),
    ],
)
def test_a_length_that_is_none_or_too_much_is_refused(door, length: bytes, status: int) -> None:
    said = ask(door.port, HEAD % b"open" + b"Content-Length: " + length + b'\r\n\r\n{"type":"x"}')

    assert answers(said)[0] == status
    assert b'"what_to_do":' in said
    assert door.entries() == []


def test_a_request_without_a_length_has_no_body(door) -> None:
    said = ask(door.port, HEAD % b"open" + b"\r\n" + EVENT % b"1")

    assert answers(said) == [400, 400], "no JSON, and then a body that is no request"
    assert door.entries() == []


def test_a_body_in_single_bytes_is_a_body(door) -> None:
    body = EVENT % b"1"

    assert answers(ask(door.port, chunked(*(body[at : at + 1] for at in range(len(body)))))) == [202]
    assert ids(door) == ["1"]


def test_what_chunks_say_beside_their_size_is_ignored(door) -> None:
    said = ask(door.port, chunked(EVENT % b"1", more=b";x=" + b"y" * 20_000))

    assert answers(said) == [202]


@pytest.mark.parametrize(
    "size", [b"FFFFFFFFFFFFFFFFF", b"-1", b"0x5", b"", b" 5", b"5 5", b"\x005", b"g", b"5\n"]
)
def test_a_chunk_size_that_is_none_ends_the_line(door, size: bytes) -> None:
    said = ask(
        door.port, HEAD % b"open" + b"Transfer-Encoding: chunked\r\n\r\n" + size + b"\r\nabcde\r\n0\r\n\r\n"
    )

    assert answers(said) == [400]
    assert door.entries() == []


def test_a_credential_behind_the_body_proves_nothing(door) -> None:
    said = ask(
        door.port,
        chunked(EVENT % b"1", source=b"token", trailers=b"Authorization: Bearer s3cret-token\r\n"),
    )

    assert answers(said) == [401]
    assert door.entries() == []


@pytest.mark.parametrize(
    "trailer", [b"ce-specversion: 1.0", b"Content-Encoding: gzip", b"Content-Type: text/plain", b"Via: 1"]
)
def test_what_stands_behind_the_body_changes_nothing(door, trailer: bytes) -> None:
    assert answers(ask(door.port, chunked(EVENT % b"1", trailers=trailer + b"\r\n"))) == [202]
    assert ids(door) == ["1"]


@pytest.mark.parametrize("trailers", [b"X: " + b"y" * 40_000 + b"\r\n", b"Xy: z\r\n" * 20_000])
def test_what_stands_behind_the_body_is_bounded_like_a_head(door, trailers: bytes) -> None:
    assert answers(ask(door.port, chunked(EVENT % b"1", trailers=trailers))) == [431]
    assert door.entries() == []


def test_two_ways_to_say_the_length_are_refused(door) -> None:
    smuggled = whole("smuggled")
    request = chunked(EVENT % b"1").replace(b"\r\n\r\n", b"\r\nContent-Length: %d\r\n\r\n" % len(smuggled), 1)

    assert answers(ask(door.port, request + smuggled)) == [400]
    assert door.entries() == []


@pytest.mark.parametrize("coding", [b"gzip, chunked", b"chunked, chunked", b"xchunked", b"identity"])
def test_no_transfer_coding_unpacks_a_body(door, coding: bytes) -> None:
    packed = gzip.compress(b'{"type":"x","a":"' + b"y" * 10_000_000 + b'"}')
    said = ask(door.port, chunked(packed).replace(b": chunked", b": " + coding, 1))

    assert answers(said)[0] == 400
    assert door.entries() == []


def test_what_is_no_request_is_told_so_after_what_came_before_it_was_answered(door) -> None:
    said = ask(door.port, whole("1") + whole("2") + b"\x00\x00garbage\r\n\r\n" + whole("3"))

    assert answers(said) == [202, 202, 400], "202 for each event on disk, and nothing else for one"
    assert ids(door) == ["1", "2"]


def test_a_body_that_breaks_is_told_so_after_what_came_before_it_was_answered(door) -> None:
    broken = HEAD % b"open" + b"Transfer-Encoding: chunked\r\n\r\n5\r\n" + b'{"typ\r\nzz\r\n'

    assert answers(ask(door.port, whole("1") + broken + whole("3"))) == [202, 400]
    assert ids(door) == ["1"]


def test_too_many_requests_before_their_answers_end_the_line(door) -> None:
    most = door.served._server.crowd.limits.waiting
    said = ask(door.port, b"".join(whole(str(number)) for number in range(most + 50)))

    assert answers(said) == [202] * (most + 1) + [429]
    assert ids(door) == [str(number) for number in range(most + 1)]


def test_requests_that_wait_for_answers_may_be_many(door) -> None:
    with httpx.Client(base_url=door.url, trust_env=False) as client:
        statuses = {
            client.post("/events?source=open", json={"id": number, "type": "x"}).status_code
            for number in range(100)
        }

    assert statuses == {202}


def test_a_refused_body_is_not_kept(door) -> None:
    body = b"x" * 200_000
    with socket.create_connection(("127.0.0.1", door.port), timeout=DEADLINE) as opened:
        opened.sendall(HEAD % b"token" + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        said = opened.recv(65_536)
        (guard,) = door.served._server.crowd._members

        assert answers(said) == [401]
        assert len(guard.cycle.body) == 0


@pytest.mark.parametrize("path", [b"/healthz/", b"/readyz/", b"//healthz"])
def test_an_address_with_a_slash_too_many_leads_nowhere_else(door, path: bytes) -> None:
    said = ask(door.port, b"GET " + path + b" HTTP/1.1\r\nHost: evil.example\r\n\r\n")

    assert answers(said) == [404]
    assert b"evil.example" not in said


def test_whoever_does_not_take_its_answers_is_told_no_more_until_it_does(door, until) -> None:
    async def tell(act) -> None:
        act()

    with socket.create_connection(("127.0.0.1", door.port), timeout=DEADLINE) as client:
        assert until(lambda: len(door.served._server.crowd) == 1)
        (guard,) = door.served._server.crowd._members
        door.loop.run(tell(guard.pause_writing))
        client.sendall(whole("1"))
        assert until(lambda: ids(door) == ["1"])
        door.loop.run(tell(lambda: None))  # whatever its commit led to has been done by now
        client.setblocking(False)
        with pytest.raises(BlockingIOError):
            client.recv(1)
        client.settimeout(DEADLINE)
        door.loop.run(tell(guard.resume_writing))

        assert answers(client.recv(65_536)) == [202]


@pytest.mark.parametrize("missing", [1, 10, 21, 22, 23, 60])
def test_a_request_in_two_parts_is_the_same_wherever_it_is_cut(door, until, missing: int) -> None:
    request = whole("1")
    with socket.create_connection(("127.0.0.1", door.port), timeout=DEADLINE) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.sendall(request[:-missing])
        assert until(lambda: any(one.url for one in door.served._server.crowd._members if one.headers))
        client.sendall(request[-missing:])

        assert answers(client.recv(65_536)) == [202]
    assert ids(door) == ["1"]


def test_an_older_client_is_hung_up_on_whatever_it_asks_for(door) -> None:
    request = whole("1").replace(b"1.1\r\n", b"1.0\r\nConnection: keep-alive\r\n", 1)
    with socket.create_connection(("127.0.0.1", door.port), timeout=DEADLINE) as client:
        client.sendall(request)
        said = b"".join(iter(lambda: client.recv(65_536), b""))

    assert answers(said) == [202]
    assert b"\r\nconnection: close\r\n" in said
