"""One look at a URL: a fresh connection, one GET, and what came of it in words."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import httpx

from holdfast.model.snapshot import Source
from holdfast.model.values import SECOND, Json

MAX_BODY: Final = 64 * 1024
_MAX_ERROR: Final = 200


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen. `latency_ms` spans from before the name was looked up to the end of the body."""

    ok: bool
    latency_ms: float
    status: int | None = None
    error: str | None = None

    def data(self) -> dict[str, Json]:
        """The data of the event: only what there is."""
        found: dict[str, Json] = {"ok": self.ok, "latency_ms": self.latency_ms}
        if self.status is not None:
            found["status"] = self.status
        if self.error is not None:
            found["error"] = self.error
        return found


def client() -> httpx.AsyncClient:
    """A client that follows nothing, keeps nothing, and believes what the system and certifi believe."""
    trusted = httpx.create_ssl_context(trust_env=False)
    trusted.load_default_certs()
    return httpx.AsyncClient(
        verify=trusted,
        follow_redirects=False,
        trust_env=False,
        timeout=None,  # noqa: S113 - `look` bounds the whole, name lookup and body included
        limits=httpx.Limits(max_keepalive_connections=0),
        headers={"user-agent": "holdfast", "accept": "*/*"},
    )


async def look(asker: httpx.AsyncClient, source: Source) -> Look:
    """Ask the source's URL once, within its timeout. Whatever goes wrong is in the answer."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    status: int | None = None
    error: str | None
    try:
        async with asyncio.timeout(source.timeout / SECOND):
            status = await _ask(asker, source.url or "")
        error = _verdict(status, source.expect_status)
    except TimeoutError:
        error = f"timed out after {source.timeout / SECOND:g} s"
    except Exception as caught:  # noqa: BLE001 - a probe that fails in a new way is still an answer
        error = _in_words(caught)[:_MAX_ERROR]
    return Look(error is None, round((loop.time() - start) * SECOND, 3), status, error)


async def _ask(asker: httpx.AsyncClient, url: str) -> int:
    async with asker.stream("GET", url) as response:
        read = 0
        async for part in response.aiter_raw():
            read += len(part)
            if read >= MAX_BODY:
                break
        return response.status_code


def _verdict(status: int, expected: int | None) -> str | None:
    if expected is None:
        return None if status < 400 else f"answered {status}"
    return None if status == expected else f"answered {status}, expected {expected}"


def _in_words(error: BaseException) -> str:
    for cause in _causes(error):
        match cause:
            case ConnectionRefusedError():
                return "connection refused"
            case ConnectionResetError():
                return "connection reset"
            case socket.gaierror():
                return f"the name cannot be resolved: {cause.strerror}"
            case ssl.SSLCertVerificationError():
                return f"certificate not accepted: {cause.verify_message}"
            case ssl.SSLError():
                return f"TLS failed: {cause.reason}"
            case OSError() if cause.strerror:
                return cause.strerror.lower()
    root = next(_causes(error))
    return f"{type(root).__name__}: {root}"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, and everything that led to it, groups taken apart; the root comes first."""
    inner = error.__cause__ or error.__context__
    if inner is not None:
        yield from _causes(inner)
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from _causes(one)
    yield error
