"""Sends rendered HTTP requests over keep-alive connections and times each answer. One thread.

Closed loop: each connection sends as soon as it has its answer. Open loop: request n is due at a time of its
own, whoever is late; its latency counts from then, so that a slow server cannot hide the wait (no coordinated
omission). `select` is used for its microseconds: epoll rounds up to a millisecond.
"""

from __future__ import annotations

import select
import socket
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

#: Nobody answers for so long: give up.
PATIENCE = 60.0


@dataclass(slots=True)
class Sent:
    """What became of the requests: which got a 2xx, how many seconds after it was due; others by status."""

    begun: float
    ended: float = 0.0
    acknowledged: list[int] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    refused: dict[int, int] = field(default_factory=dict)
    broken: int = 0

    @property
    def wall(self) -> float:
        """Seconds from the first byte sent to the last answer."""
        return self.ended - self.begun


@dataclass(slots=True)
class _Line:
    """One connection, and the request on its way: its place, when it was due, what came back so far."""

    socket: socket.socket
    place: int = 0
    due: float = 0.0
    buffer: bytes = b""

    def fileno(self) -> int:
        return self.socket.fileno()


def render(port: int, path: str, body: bytes) -> bytes:
    """One POST of JSON."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def send(
    port: int,
    requests: Sequence[bytes],
    *,
    connections: int,
    per_second: float | None = None,
    look: Callable[[Sent], object] | None = None,
    look_every: float = 0.02,
) -> Sent:
    """Send every request once. `per_second` makes it an open loop; `look` is called now and then."""
    # each has its turn: a server that takes care of itself closes connections that say nothing for long
    idle = deque(_connect(port) for _ in range(min(connections, len(requests))))
    busy: dict[int, _Line] = {}
    sent = Sent(time.perf_counter())
    following, next_look = 0, sent.begun
    try:
        while (idle and following < len(requests)) or busy:
            now = time.perf_counter()
            while idle and following < len(requests) and _due(sent, following, per_second, now) <= now:
                line = idle.popleft()
                line.place, line.due, line.buffer = following, _due(sent, following, per_second, now), b""
                following += 1
                if _give(line, requests[line.place]):
                    busy[line.fileno()] = line
            if look is not None and now >= next_look:
                look(sent)
                next_look = now + look_every
            more = idle and following < len(requests)
            wait = _due(sent, following, per_second, now) - time.perf_counter() if more else PATIENCE
            heard = _hear(busy, sent, max(0.0, min(wait, look_every) if look is not None else wait))
            idle += heard
            if not heard and busy and now - min(line.due for line in busy.values()) > PATIENCE:
                break
    finally:
        sent.ended = time.perf_counter()
        for line in (*idle, *busy.values()):
            line.socket.close()
    sent.broken = len(requests) - len(sent.latencies) - sum(sent.refused.values())
    return sent


def _due(sent: Sent, place: int, per_second: float | None, now: float) -> float:
    return now if per_second is None else sent.begun + place / per_second


def _connect(port: int) -> _Line:
    line = socket.create_connection(("127.0.0.1", port))
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return _Line(line)


def _give(line: _Line, request: bytes) -> bool:
    """Send a request; False where the connection is gone."""
    try:
        line.socket.sendall(request)
    except OSError:
        line.socket.close()
        return False
    return True


def _hear(busy: dict[int, _Line], sent: Sent, wait: float) -> list[_Line]:
    """Read what has come; the lines that have their answer. A line that was cut is dropped."""
    ready, _, _ = select.select(list(busy), [], [], wait)
    free = []
    for number in ready:
        line = busy[number]
        try:
            piece = line.socket.recv(65_536)
        except OSError:
            piece = b""
        line.buffer += piece
        status = _status(line.buffer)
        if piece and status is None:
            continue
        del busy[number]
        if status is None:
            line.socket.close()
            continue
        if 200 <= status < 300:
            sent.acknowledged.append(line.place)
            sent.latencies.append(time.perf_counter() - line.due)
        else:
            sent.refused[status] = sent.refused.get(status, 0) + 1
        free.append(line)
    return free


def _status(buffer: bytes) -> int | None:
    """The status of a whole answer; None while some of it is missing."""
    end = buffer.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = buffer[:end].lower()
    at = head.find(b"content-length:")
    length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
    return int(buffer[9:12]) if len(buffer) >= end + 4 + length else None
