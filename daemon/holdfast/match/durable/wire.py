"""What goes between the daemon and its engine process: frames of four bytes of length and msgpack.

Both sides read with a type and a bound: neither trusts the other.
"""

from __future__ import annotations

import socket
import struct
import time
from dataclasses import dataclass
from typing import Final, TypeVar

import msgspec

from holdfast.errors import EngineError

#: No frame is longer, in bytes.
MAX_FRAME: Final = 32 * 1024 * 1024
_HEAD: Final = struct.Struct(">I")
_READ: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class Load:
    """The first frame: the rules of every ruleset, by name, in the language of durable_rules.

    `memory` bounds the address space of the process in bytes, `seconds` one answer.
    """

    rulesets: list[list[tuple[str, dict[str, object]]]]
    memory: int
    seconds: int


@dataclass(frozen=True, slots=True)
class Ready:
    """The rulesets are compiled; sent once."""

    rules: int


@dataclass(frozen=True, slots=True)
class Ask:
    """Facts, each with the ruleset that it is for."""

    number: int
    facts: list[tuple[int, str]]


@dataclass(frozen=True, slots=True)
class Fired:
    """For each fact of an Ask, in order, the places of the rules that fired in its ruleset.

    `peak` is the largest resident size of the process so far, in KiB.
    """

    number: int
    fired: list[list[int]]
    peak: int


T = TypeVar("T")


def send(sock: socket.socket, message: Load | Ready | Ask | Fired) -> None:
    """Write one frame. Raises OSError, TimeoutError among them."""
    body = msgspec.msgpack.encode(message)
    sock.sendall(_HEAD.pack(len(body)) + body)


class Reader:
    """Reads frames from a socket, each whole before `until` (monotonic seconds; None waits for ever)."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._buffer = bytearray()
        self.until: float | None = None

    def read(self, kind: type[T]) -> T | None:
        """The next frame; None when the other side is gone.

        Raises EngineError for a frame that is none of that kind, and TimeoutError.
        """
        head = self._take(_HEAD.size)
        if head is None:
            return None
        (size,) = _HEAD.unpack(head)
        if size > MAX_FRAME:
            raise EngineError(f"a frame of {size:,} bytes was announced")
        body = self._take(size)
        if body is None:
            return None
        try:
            return msgspec.msgpack.decode(body, type=kind)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise EngineError(f"a frame cannot be read: {error}") from error

    def _take(self, size: int) -> bytes | None:
        late = False
        while len(self._buffer) < size:
            try:
                if self.until is not None:
                    left = self.until - time.monotonic()
                    if left <= 0 and late:
                        raise TimeoutError  # what trickles is late too
                    # once more after that, for what came in while this process was held up itself
                    late = left <= 0
                    self._sock.settimeout(max(0.001, left))
                more = self._sock.recv(_READ)
            except ConnectionError:
                return None
            if not more:
                return None
            self._buffer += more
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken
