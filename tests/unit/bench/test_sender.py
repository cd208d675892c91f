from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import sender

SEEN: Counter[bytes] = Counter()
#: How many requests came over each connection.
USED: Counter[int] = Counter()


class Door(BaseHTTPRequestHandler):
    """Says 202, or what the body asks for; hangs up at `0`."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one packet for an answer: two would wait for each other

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        SEEN[body] += 1
        USED[self.client_address[1]] += 1
        status = int(body)
        if not status:
            self.close_connection = True
            return
        self.send_response(status)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def port() -> Iterator[int]:
    SEEN.clear()
    USED.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Door) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def requests(port: int, *bodies: bytes) -> list[bytes]:
    return [sender.render(port, "/events", body) for body in bodies]


@pytest.mark.parametrize("per_second", [None, 2_000.0])
def test_every_request_is_sent_once_and_its_answer_is_counted(port: int, per_second: float | None) -> None:
    bodies = [b"202", b"202", b"429", b"202", b"503"] * 20

    sent = sender.send(port, requests(port, *bodies), connections=4, per_second=per_second)

    assert SEEN == {b"202": 60, b"429": 20, b"503": 20}
    assert sorted(sent.acknowledged) == [place for place, body in enumerate(bodies) if body == b"202"]
    assert len(sent.latencies) == 60
    assert (sent.refused, sent.broken) == ({429: 20, 503: 20}, 0)


def test_an_open_loop_keeps_its_pace(port: int) -> None:
    sent = sender.send(port, requests(port, *[b"202"] * 51), connections=2, per_second=500.0)

    assert sent.wall >= 50 / 500


def test_in_an_open_loop_each_connection_has_its_turn(port: int) -> None:
    sender.send(port, requests(port, *[b"202"] * 80), connections=8, per_second=500.0)

    assert len(USED) == 8
    assert min(USED.values()) > 3  # as a rule ten: one whose answer is late misses a turn


def test_in_an_open_loop_who_has_to_wait_was_due_before(port: int) -> None:
    """All are due at once and there is one connection: the last one waits for all the others."""
    sent = sender.send(port, requests(port, *[b"202"] * 50), connections=1, per_second=1e9)

    assert sent.latencies == sorted(sent.latencies)
    assert sent.latencies[-1] == pytest.approx(sent.wall, rel=0.2)


def test_in_a_closed_loop_the_others_do_not_count(port: int) -> None:
    sent = sender.send(port, requests(port, *[b"202"] * 50), connections=1)

    assert sum(sent.latencies) <= sent.wall


def test_a_connection_that_is_cut_counts_as_broken_and_the_others_go_on(port: int) -> None:
    sent = sender.send(port, requests(port, b"0", *[b"202"] * 9), connections=2)

    assert len(sent.acknowledged) == 9
    assert sent.broken == 1


def test_somebody_may_look_while_it_sends(port: int) -> None:
    seen = []

    sender.send(
        port,
        requests(port, *[b"202"] * 5),
        connections=1,
        look=lambda sent: seen.append(len(sent.acknowledged)),
        look_every=0.0,
    )

    assert {0, 4} <= set(seen)
