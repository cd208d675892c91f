"""A daemon under attack: a clear refusal, memory that stays flat, and others served meanwhile."""

from __future__ import annotations

import contextlib
import gzip
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

if TYPE_CHECKING:
    from conftest import Process

SITE = """
format: 1
listen: {host: 127.0.0.1, port: 0}
sources:
  lab: {kind: webhook}
  shop: {kind: webhook}
  token: {kind: webhook, verify: {scheme: bearer, secret: $secret.token}}
"""
TWINS = ("k32728", "k261234")
TWIN = """
rule: "@"
doc: One of two names that are one name to a digest.
mode: observe
when: {e: {event: twin, where: {"data.@": 1}}}
incident: {type: "@", severity: error, title: "@", key: [$e.id]}
clears: {after: 1h}
per: [id]
"""
ENVELOPE = """
policy: "@"
doc: Nothing is done about it.
envelope: {incident_type: "@", allow: {risk: low, touches: [availability]}}
"""
HEAD = b"POST /events?source=%s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
#: How much more memory (MB) the daemon may ever have while it is attacked; 1 MB bodies need a few.
ROOM = 96
#: Nobody else waits longer, in seconds, on a machine that does other things as well.
PATIENCE = 10.0

KEYS = b"{" + b",".join(b'"%x":1' % number for number in range(10**6)) + b"}"
#: Each of them at most as long as the door reads; what is sent, and how it is answered.
BODIES: dict[str, tuple[bytes, int]] = {
    "nested 10,000 deep": (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, 422),
    "arrays 10,000 deep": (b"[" * 10_000 + b"]" * 10_000, 422),
    "5 MB of one text": (b'{"type":"x","a":"' + b"y" * 5_000_000 + b'"}', 413),
    "1 MB of one text": (b'{"type":"x","a":"' + b"y" * 1_000_000 + b'"}', 422),
    "NaN": (b'{"type":"x","a":NaN}', 400),
    "1e400": (b'{"type":"x","a":1e400}', 400),
    "a lone surrogate": (b'{"type":"x","a":"\\ud800"}', 400),
    "a lone surrogate as bytes": (b'{"type":"x","a":"\xed\xa0\x80"}', 400),
    "10^6 keys": (KEYS, 413),
    "as many keys as fit": (KEYS[:1_000_000].rpartition(b",")[0] + b"}", 422),
    "a batch of as many keys as fit": (b"[{" + b",".join([b'"":1'] * 980_000) + b"}]", 422),
    "a text of escaped quotes": (b'["' + b'\\",' * 1_500_000, 422),
    "texts of commas": (b"[" + b'",",' * 1_000_000 + b'""]', 422),
    "a batch of empty arrays": (b"[" + b",".join([b"[" + b"[]," * 198 + b"[]]"] * 1000) + b"]", 422),
}  # fmt: skip


class Attack:
    """The attacked daemon, its memory, and an innocent sender."""

    def __init__(self, daemon: Process) -> None:
        self.daemon = daemon
        self.port = daemon.port
        self._proc = Path(f"/proc/{daemon.process.pid}")
        self._statuses: list[int] = []
        self._waits: list[float] = []

    def memory(self, what: str) -> int:
        """`VmRSS`, or `VmHWM` for the most since the watch began, in MB."""
        line = (self._proc / "status").read_text().split(f"{what}:")[1]
        return int(line.split()[0]) // 1024

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """What happens inside keeps nobody waiting and costs little memory."""
        for _ in range(10):
            self._good()
        (self._proc / "clear_refs").write_text("5")  # forget the highest memory so far
        before, over = self.memory("VmRSS"), threading.Event()
        innocent = threading.Thread(target=self._go_on, args=(over,))
        innocent.start()
        try:
            yield
        finally:
            over.set()
            innocent.join()
        for _ in range(3):
            self._good()

        assert set(self._statuses) == {202}
        assert max(self._waits) < PATIENCE
        assert self.memory("VmHWM") < before + ROOM

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def ask(self, request: bytes) -> bytes:
        """Everything that is said to this, until the other side hangs up."""
        said = b""
        with self.connect() as opened, contextlib.suppress(ConnectionResetError, BrokenPipeError):
            opened.sendall(request)
            opened.shutdown(socket.SHUT_WR)
            while part := opened.recv(65_536):
                said += part
        return said

    def _go_on(self, over: threading.Event) -> None:
        while not over.wait(0.05):
            self._good()

    def _good(self) -> None:
        started = time.monotonic()
        for _ in range(3):
            with contextlib.suppress(httpx.TransportError):  # who takes up room may be asked to come again
                self._statuses.append(self.daemon.post({"type": "good"}, "shop", timeout=30).status_code)
                break
        self._waits.append(time.monotonic() - started)


@pytest.fixture
def attack(daemon: Process) -> Attack:
    daemon.write("holdfast.yaml", SITE)
    daemon.secret("token", "a-token")
    assert daemon.start()
    return Attack(daemon)


def many(count: int, attacker: Callable[[int], object]) -> None:
    """The same from several sides at once."""
    threads = [threading.Thread(target=attacker, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def post(body: bytes, *lines: bytes, source: bytes = b"lab") -> bytes:
    head = b"".join(line + b"\r\n" for line in (b"Content-Length: %d" % len(body), *lines))
    return HEAD % source + head + b"\r\n" + body


def statuses(said: bytes) -> list[int]:
    return [int(part[:3]) for part in said.split(b"HTTP/1.1 ")[1:]]


def test_hostile_bodies_are_refused_one_by_one(attack: Attack) -> None:
    answered: dict[str, int] = {}
    with attack.watched():
        for name, (body, _) in BODIES.items():
            with httpx.Client(
                base_url=f"http://127.0.0.1:{attack.port}", trust_env=False, timeout=30
            ) as client:
                headers = {"content-type": "application/json"}
                response = client.post("/events?source=lab", content=body, headers=headers)
            answered[name] = response.status_code
            assert set(response.json()) == {"error", "what_to_do"}, name

    assert answered == {name: status for name, (_, status) in BODIES.items()}


def test_hostile_bodies_from_all_sides_find_flat_memory(attack: Attack) -> None:
    requests = [post(body) for body, _ in BODIES.values()]
    with attack.watched():
        many(4, lambda side: [attack.ask(request) for request in requests[side::2] * 3])


def test_a_bomb_is_not_unpacked(attack: Attack) -> None:
    bomb = gzip.compress(b'{"type":"x","a":"' + b"y" * 200_000_000 + b'"}')
    answered = []
    with attack.watched():
        for coding in (b"gzip", b"deflate", b"br", b"zstd", b"identity, gzip", b"x"):
            answered += statuses(attack.ask(post(bomb, b"Content-Encoding: " + coding)))

    assert answered == [415] * 6


def test_names_that_collide_in_the_engine_are_told_apart(daemon: Process) -> None:
    """`k32728` and `k261234` have the same 32-bit FNV-1a digest."""
    daemon.write("holdfast.yaml", SITE)
    for folder, twin in (("rules", TWIN), ("policies", ENVELOPE)):
        daemon.write(f"{folder}/twins.yaml", "---".join(twin.replace("@", name) for name in TWINS))
    daemon.secret("token", "a-token")
    assert daemon.start()
    for key, other in (TWINS, TWINS[::-1]):
        event = {"id": key, "type": "twin", "data": {key: 1, other: 2}}
        assert daemon.post(event, "lab").json() == {"accepted": 1, "duplicates": 0}
        assert daemon.post(event, "lab").json() == {"accepted": 0, "duplicates": 1}
        daemon.until(lambda: daemon.behind() == 0, "every event to be decided on")

        assert daemon.incidents()[0].type == key

    assert sorted(incident.type for incident in daemon.incidents()) == sorted(TWINS)


def test_a_thousand_idle_and_slow_connections_keep_nobody_waiting(attack: Attack) -> None:
    with attack.watched(), contextlib.ExitStack() as stack:
        crowd = []
        for number in range(1000):
            with contextlib.suppress(OSError):
                opened = stack.enter_context(attack.connect())
                opened.sendall((b"", b"POST /ev", HEAD % b"lab", post(b"{}")[:-1])[number % 4])
                crowd.append(opened)
        for drip in range(3):
            for opened in crowd:
                with contextlib.suppress(OSError):
                    opened.sendall(b"x" * (drip + 1))

    assert len(crowd) > 900


def test_requests_that_do_not_wait_for_answers_find_flat_memory(attack: Attack) -> None:
    flood = b"GET / HTTP/1.1\r\n\r\n" * 100_000

    def deaf(_: int) -> None:
        with attack.connect() as opened, contextlib.suppress(OSError):
            opened.settimeout(2)
            opened.sendall(flood)

    with attack.watched():
        many(40, deaf)


def test_refused_bodies_find_flat_memory(attack: Attack) -> None:
    request = post(b"x" * 250_000, source=b"token")
    with attack.watched(), contextlib.ExitStack() as stack:
        for _ in range(400):
            opened = stack.enter_context(attack.connect())
            with contextlib.suppress(OSError):
                opened.sendall(request)


def test_chunks_of_one_byte_and_chunks_without_end_find_flat_memory(attack: Attack) -> None:
    head = b"Transfer-Encoding: chunked\r\n\r\n"
    single = HEAD % b"lab" + head + b"1\r\nx\r\n" * 500_000
    endless = HEAD % b"token" + head + b"10000\r\n" + b"x" * 0x10000 + b"\r\n"

    def attacker(side: int) -> None:
        if side % 2:
            attack.ask(single)
            return
        with attack.connect() as opened, contextlib.suppress(OSError):
            opened.sendall(endless)
            for _ in range(200):
                opened.sendall(endless.partition(b"\r\n\r\n")[2])

    with attack.watched():
        many(8, attacker)
