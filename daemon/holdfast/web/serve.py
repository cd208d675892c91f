"""Run uvicorn inside a loop that is there already: on a TCP port, or on a Unix socket."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from holdfast.errors import HoldfastError
from holdfast.web.guard import Crowd, Limits, guarded

_BACKLOG: Final = 1024
_ERRORS_ONLY: Final = 40
LIMITS: Final = Limits()
#: How often connections are looked over for those that take too long, in seconds.
SWEEP: Final = 1.0


class _Server(uvicorn.Server):
    """A server that leaves the signals to whoever owns the process, says when it is up, and looks
    over its connections once a second instead of waking up ten times."""

    def __init__(self, config: uvicorn.Config, crowd: Crowd) -> None:
        super().__init__(config)
        self.crowd = crowd
        self.up = asyncio.Event()
        self._leaving = asyncio.Event()

    def leave(self) -> None:
        """Begin to shut down."""
        self.should_exit = True
        self._leaving.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()

    async def main_loop(self) -> None:
        loop = asyncio.get_running_loop()
        while not await self.on_tick(0):
            self.crowd.sweep(loop.time())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SWEEP):
                    await self._leaving.wait()


class Served:
    """A server that is up. `port` is the bound one (0 for a Unix socket); `address` is for people."""

    def __init__(self, address: str, port: int, server: _Server, bound: socket.socket) -> None:
        self.address = address
        self.port = port
        self._path = bound.getsockname() if bound.family is socket.AF_UNIX else None
        self._server = server
        self._running = asyncio.create_task(server.serve(sockets=[bound]))

    async def up(self) -> None:
        """Wait until requests are taken."""
        up = asyncio.create_task(self._server.up.wait())
        await asyncio.wait([up, self._running], return_when=asyncio.FIRST_COMPLETED)
        up.cancel()
        if self._running.done():
            self._running.result()

    async def ended(self) -> None:
        """Wait until the server has ended, and raise what ended it."""
        await asyncio.shield(self._running)

    async def stop(self) -> None:
        """Take no new connection, let requests under way end within the grace, and hang up."""
        self._server.leave()
        await self._running
        self._server.crowd.abort()
        if self._path:
            Path(self._path).unlink(missing_ok=True)  # noqa: ASYNC240 - one directory entry


async def serve_tcp(app: ASGIApp, host: str, port: int, *, limits: Limits = LIMITS) -> Served:
    """Serve on a host and port; port 0 takes a free one. Raises HoldfastError when it cannot bind."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        family, _, _, _, address = found[0]
        bound = socket.create_server((address[0], address[1]), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise HoldfastError(
            f"cannot listen on {host}:{port} ({error.strerror}): stop what uses it, or change `listen` in "
            "holdfast.yaml"
        ) from error
    port = bound.getsockname()[1]
    shown = f"[{host}]" if ":" in host else host
    return await _serve(app, bound, f"http://{shown}:{port}", port, limits)


async def serve_unix(app: ASGIApp, path: Path, *, limits: Limits = LIMITS) -> Served:
    """Serve on a Unix socket that only its owner can open (mode 0600): that is the authentication.

    A socket that a dead daemon left behind is replaced. Raises HoldfastError otherwise.
    """
    try:
        bound = _bind(path)
    except OSError as error:
        raise HoldfastError(
            f"cannot make the socket {path} ({error.strerror or error}): choose another --state directory"
        ) from error
    return await _serve(app, bound, f"unix:{path}", 0, limits)


async def _serve(app: ASGIApp, bound: socket.socket, address: str, port: int, limits: Limits) -> Served:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    limits = replace(limits, connections=min(limits.connections, max(soft // 2, 1)))
    protocol, crowd = guarded(limits, app)
    config = uvicorn.Config(
        app,
        http=protocol,
        ws="none",
        lifespan="off",
        interface="asgi3",
        proxy_headers=False,  # a header must not make a stranger look like a local program
        server_header=False,
        access_log=False,
        log_config=None,
        log_level=_ERRORS_ONLY,
        timeout_keep_alive=round(limits.idle),
        timeout_graceful_shutdown=limits.grace,
    )
    served = Served(address, port, _Server(config, crowd), bound)
    await served.up()
    return served


def _bind(path: Path) -> socket.socket:
    _clear(path)
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        bound.bind(str(path))
        path.chmod(0o600)  # nobody can connect before `listen`, so nobody is faster than this
    except OSError:
        bound.close()
        raise
    return bound


def _clear(path: Path) -> None:
    """Remove a socket that nobody answers on; anything else stays."""
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise FileExistsError(17, "something else is there", str(path))
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
            try:
                asking.connect(str(path))
            except ConnectionRefusedError:
                path.unlink()
                return
        raise FileExistsError(17, "another daemon answers there", str(path))
