from __future__ import annotations

import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import EngineError
from holdfast.match.durable.wire import MAX_FRAME, Ask, Fired, Load, Reader, Ready, send

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = socket.socketpair()
    yield ours, theirs
    ours.close()
    theirs.close()


MESSAGES: list[Load | Ready | Ask | Fired] = [
    Load([[("0", {"$and": [{"k": "lab.x"}, {"$nex": {"x0": 1}}]})], []], 768 * 2**20, 20),
    Ready(17),
    Ask(1, [(0, '{"id":"1","s0":"é"}')]),
    Fired(1, [[], [0, 47]], 31_000),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_what_is_sent_is_read(pair: Pair, message: Load | Ready | Ask | Fired) -> None:
    send(pair[0], message)

    assert Reader(pair[1]).read(type(message)) == message


@given(
    st.lists(st.tuples(st.integers(0, 2**31), st.lists(st.lists(st.integers(0, 47), max_size=5)))), st.data()
)
def test_frames_are_read_however_they_are_cut_up(
    parts: list[tuple[int, list[list[int]]]], data: st.DataObject
) -> None:
    messages = [Fired(number, fired, 1) for number, fired in parts]
    stream = b"".join(struct.pack(">I", len(body)) + body for body in map(msgspec.msgpack.encode, messages))
    ours, theirs = socket.socketpair()
    with ours, theirs:
        reader = Reader(theirs)

        def write() -> None:
            at = 0
            while at < len(stream):
                size = sizes.pop() if sizes else len(stream)
                ours.sendall(stream[at : at + size])
                at += size
            ours.shutdown(socket.SHUT_WR)

        sizes = data.draw(st.lists(st.integers(1, 9), max_size=30))
        writer = threading.Thread(target=write)
        writer.start()
        read = []
        while (message := reader.read(Fired)) is not None:
            read.append(message)
        writer.join()

    assert read == messages


def test_a_closed_other_side_is_nothing_and_no_error(pair: Pair) -> None:
    pair[0].close()

    assert Reader(pair[1]).read(Ready) is None


def test_half_a_frame_is_nothing_either(pair: Pair) -> None:
    pair[0].sendall(struct.pack(">I", 100) + b"half")
    pair[0].close()

    assert Reader(pair[1]).read(Ready) is None


def test_a_frame_that_is_too_long_is_refused_before_it_is_read(pair: Pair) -> None:
    pair[0].sendall(struct.pack(">I", MAX_FRAME + 1))

    with pytest.raises(EngineError, match="33,554,433 bytes"):
        Reader(pair[1]).read(Ready)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xc1",
        b"\xff" * 50,
        msgspec.msgpack.encode({"number": "x"}),
        msgspec.msgpack.encode({"number": 1, "fired": [[0.5]], "peak": 1}),
        msgspec.msgpack.encode({"number": 1, "fired": [[True]], "peak": 1}),
        msgspec.msgpack.encode({"number": 1, "fired": [[2**64 - 1]]}),
        b"\xdd\xff\xff\xff\xff",  # a list of four thousand million
        b"\x81\xa1x" + b"\x91" * 100_000,  # nested deeper than can be read
        b"\x83\xa6number\x01\xa4peak\x01\xa5fired\xdd\x7f\xff\xff\xff",
    ],
    ids=str,
)
def test_a_frame_that_is_none_is_an_error_of_the_engine(pair: Pair, body: bytes) -> None:
    pair[0].sendall(struct.pack(">I", len(body)) + body)

    with pytest.raises(EngineError, match="cannot be read"):
        Reader(pair[1]).read(Fired)


@given(st.binary(max_size=300))
def test_no_bytes_raise_anything_else(body: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(body)
        ours.shutdown(socket.SHUT_WR)
        try:
            found = Reader(theirs).read(Fired)
        except EngineError:
            return

    assert found is None or isinstance(found, Fired)


def test_what_does_not_come_in_time_is_a_time_out(pair: Pair) -> None:
    reader = Reader(pair[1])
    reader.until = time.monotonic() + 0.05
    pair[0].sendall(b"\x00\x00")

    with pytest.raises(TimeoutError):
        reader.read(Ready)


TRICKLE = """
import socket, struct
sock = socket.socket(fileno=0)
sock.sendall(struct.pack(">I", 32 * 1024 * 1024))
for _ in range(32 * 1024 * 1024):
    sock.sendall(b"x")
"""


def test_what_trickles_in_is_late_however_steadily_it_does(pair: Pair) -> None:
    """Byte after byte, so that there is always one more to read."""
    writer = subprocess.Popen([sys.executable, "-c", TRICKLE], stdin=pair[0].fileno())
    reader = Reader(pair[1])
    try:
        pair[1].recv(1, socket.MSG_PEEK)  # it has begun
        reader.until = time.monotonic() + 0.1
        with pytest.raises(TimeoutError):
            reader.read(Ready)
        assert time.monotonic() < reader.until + 3
    finally:
        writer.kill()
        writer.wait()


def test_what_was_there_in_time_is_read_though_the_reader_was_held_up(pair: Pair) -> None:
    send(pair[0], Ready(3))
    reader = Reader(pair[1])
    reader.until = time.monotonic() - 1

    assert reader.read(Ready) == Ready(3)
