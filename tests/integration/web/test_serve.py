"""Servers inside a loop that is there already."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import stat
import threading
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from holdfast.errors import HoldfastError
from holdfast.web.guard import Guard, Limits
from holdfast.web.serve import Served, serve_tcp, serve_unix

DEADLINE = 20


class App:
    """Answers when it may, and counts."""

    def __init__(self) -> None:
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.asked = 0
        self.clients: list[object] = []

    async def __call__(self, scope: Scope, _: Receive, send: Send) -> None:
        self.asked += 1
        self.clients.append(scope["client"])
        await asyncio.get_running_loop().run_in_executor(None, self.may_answer.wait, DEADLINE)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture
def app() -> App:
    return App()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "control.sock"


class Servers:
    """Servers of one test; whatever becomes of the test, they are stopped."""

    def __init__(self, loop) -> None:
        self.loop = loop
        self.up: list[Served] = []

    def tcp(self, app: App, host: str = "127.0.0.1", port: int = 0, **options: Limits) -> Served:
        return self._keep(serve_tcp(app, host, port, **options))

    def unix(self, app: App, path: Path) -> Served:
        return self._keep(serve_unix(app, path))

    def stop(self) -> None:
        while self.up:
            self.loop.run(self.up.pop().stop())

    def _keep(self, opening: Coroutine[Any, Any, Served]) -> Served:
        self.up.append(self.loop.run(opening))
        return self.up[-1]


@pytest.fixture
def servers(loop, app: App) -> Iterator[Servers]:
    kept = Servers(loop)
    yield kept
    app.may_answer.set()
    kept.stop()


def get(address: str, path: Path | None = None, **headers: str) -> httpx.Response:
    transport = httpx.HTTPTransport(uds=str(path)) if path else None
    with httpx.Client(transport=transport, trust_env=False, timeout=DEADLINE) as client:
        return client.get(address, headers=headers)


def test_a_free_port_is_found_and_told(servers: Servers, app: App) -> None:
    first = servers.tcp(app, "127.0.0.1", 0)
    second = servers.tcp(app, "127.0.0.1", 0)
    answers = [get(one.address).text for one in (first, second)]

    assert answers == ["ok", "ok"]
    assert first.port != second.port
    assert first.address == f"http://127.0.0.1:{first.port}"


def test_a_port_that_is_taken_is_an_error_that_says_what_to_do(servers: Servers, app: App) -> None:
    served = servers.tcp(app, "127.0.0.1", 0)
    with pytest.raises(
        HoldfastError, match=rf"127\.0\.0\.1:{served.port} .*in use.*: stop what uses it, or change"
    ):
        servers.tcp(app, "127.0.0.1", served.port)


@pytest.mark.parametrize("host", ["192.0.2.1", "nobody.invalid"])
def test_an_address_that_is_not_ours_is_an_error(servers: Servers, app: App, host: str) -> None:
    with pytest.raises(HoldfastError, match="cannot listen on"):
        servers.tcp(app, host, 0)


def test_ipv6_is_served_where_the_machine_has_it(servers: Servers, app: App) -> None:
    served = servers.tcp(app, "::1", 0)
    answer = get(served.address).text

    assert served.address == f"http://[::1]:{served.port}"
    assert answer == "ok"


def test_headers_do_not_change_who_the_client_is(servers: Servers, app: App) -> None:
    served = servers.tcp(app, "127.0.0.1", 0)
    get(served.address, **{"x-forwarded-for": "8.8.8.8", "x-forwarded-proto": "https"})

    assert app.clients[0][0] == "127.0.0.1"


def test_the_socket_is_for_its_owner_alone(servers: Servers, app: App, path: Path) -> None:
    old = os.umask(0)
    try:
        servers.unix(app, path)
    finally:
        os.umask(old)
    mode = stat.S_IMODE(path.stat().st_mode)
    answer = get("http://x/", path).text

    assert mode == 0o600
    assert answer == "ok"
    assert app.clients == [None]


def test_a_socket_that_a_dead_daemon_left_is_replaced(servers: Servers, app: App, path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    servers.unix(app, path)
    answer = get("http://x/", path).text

    assert answer == "ok"


def test_a_socket_that_answers_is_left_alone(servers: Servers, app: App, path: Path) -> None:
    servers.unix(app, path)
    with pytest.raises(HoldfastError, match="another daemon answers there"):
        servers.unix(App(), path)
    answer = get("http://x/", path).text

    assert answer == "ok"


def test_a_server_that_stops_takes_its_socket_away(servers: Servers, app: App, path: Path) -> None:
    served = servers.unix(app, path)
    there = path.exists()
    servers.stop()
    servers.loop.run(served.ended())

    assert there
    assert not path.exists()


def test_what_is_no_socket_is_left_alone(servers: Servers, app: App, path: Path) -> None:
    path.write_text("precious")
    with pytest.raises(HoldfastError, match="something else is there"):
        servers.unix(app, path)

    assert path.read_text() == "precious"


def test_a_path_that_is_too_long_is_an_error(servers: Servers, app: App, tmp_path: Path) -> None:
    with pytest.raises(HoldfastError, match=r"too long.*choose another --state"):
        servers.unix(app, tmp_path / ("x" * 200))


def test_stopping_lets_a_request_under_way_end(servers: Servers, app: App, until) -> None:
    served = servers.tcp(app, "127.0.0.1", 0)
    app.may_answer.clear()
    with ThreadPoolExecutor(2) as pool:
        answer = pool.submit(get, served.address)
        assert until(lambda: app.asked == 1)
        stopping = pool.submit(servers.stop)
        assert until(lambda: served._server.should_exit)
        app.may_answer.set()

        assert answer.result(DEADLINE).text == "ok"
        stopping.result(DEADLINE)
    with pytest.raises(httpx.ConnectError):
        get(served.address)


def test_stopping_does_not_wait_for_ever(servers: Servers, app: App, until) -> None:
    served = servers.tcp(app, "127.0.0.1", 0, limits=Limits(grace=1))
    app.may_answer.clear()
    idle = socket.create_connection(("127.0.0.1", served.port))
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(get, served.address)
        assert until(lambda: app.asked == 1)
        servers.stop()
        app.may_answer.set()
        try:
            status = answer.result(DEADLINE).status_code
        except httpx.HTTPError:
            status = 0
    with idle:
        idle.settimeout(DEADLINE)
        left = idle.recv(1)

    assert status in (0, 500)
    assert left == b""


def test_signals_stay_with_whoever_owns_the_process(app: App) -> None:
    def handlers() -> list[object]:
        return [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)]

    async def main() -> list[list[object]]:
        before = handlers()
        served = await serve_tcp(app, "127.0.0.1", 0)
        during = handlers()
        await served.stop()
        return [before, during, handlers()]

    before, during, after = asyncio.run(main())
    assert before == during == after


def test_more_connections_than_files_are_not_promised(
    servers: Servers, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda _: (64, 64))
    served = servers.tcp(app, "127.0.0.1", 0)
    bound = served._server.crowd.limits.connections

    assert bound == 32


def test_a_request_that_comes_whole_is_answered_without_a_task(
    open_door, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[object] = []
    as_ever = Guard._start_asgi_task

    def start(self: Guard, cycle: Any, app: Any) -> None:
        started.append(cycle)
        as_ever(self, cycle, app)

    monkeypatch.setattr(Guard, "_start_asgi_task", start)
    door = open_door()
    door.at_once = True
    body = b'{"id": 1, "type": "x"}'
    with door.client(headers={"content-type": "application/json"}) as client:
        for content, tasks in ((body, 0), (iter([body]), 1)):  # what is sent in chunks never comes whole
            assert client.post("/events?source=open", content=content).status_code == 202
            assert len(started) == tasks


def test_what_came_whole_is_still_answered_when_the_server_stops(open_door, until) -> None:
    door = open_door()
    door.at_once = True
    with door.held_disk() as let_go, ThreadPoolExecutor(2) as pool, door.client() as client:
        asked = pool.submit(client.post, "/events?source=open", json={"id": 1, "type": "x"})
        assert until(lambda: door.journal.waiting() == 1)
        stopped = pool.submit(door.loop.run, door.served.stop())
        assert until(lambda: door.served._server.should_exit)
        let_go()
        answer = asked.result(DEADLINE)
        stopped.result(DEADLINE)

    assert (answer.status_code, answer.headers["connection"]) == (202, "close")
