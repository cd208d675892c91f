"""Who sent it: a bearer token, a signature over the raw body, or this very machine."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from typing import Final

from holdfast.errors import Unauthorized
from holdfast.model.snapshot import AuthScheme, Source, SourceKind
from holdfast.model.values import Secret

SIGNATURE_HEADER: Final = "x-holdfast-signature"
_SIGNATURE_PREFIX: Final = b"sha256="
#: A request with one of these came through a proxy or a browser, whatever its last hop was.
_CARRIED: Final = ("forwarded", "x-forwarded-for", "x-real-ip", "via", "origin")

#: Stands for a source that nobody declared: whoever names it is refused like one with a wrong credential.
STRANGER: Final = Source("", SourceKind.HTTP_PROBE)


def is_local(client: str | None, headers: Mapping[str, str]) -> bool:
    """Whether a program of this machine sent the request itself; header names in lower case."""
    if client is None or (not client.startswith(("127.", "::ffff:127.")) and client != "::1"):
        return False
    return not any(name in headers for name in _CARRIED)


def authenticate(
    source: Source,
    headers: Mapping[str, str],
    body: bytes | bytearray,
    client_is_loopback: bool,
    secret: Callable[[Secret], str],
) -> str:
    """How the sender proved to be the source: `bearer`, `hmac` or `loopback`; else Unauthorized.

    `headers` have lower-case names. The answer is the same for a source that does not exist and
    for a wrong credential.
    """
    if source.kind is not SourceKind.WEBHOOK:
        raise _refused()
    if source.secret is None:
        if source.scheme is None and client_is_loopback:
            return "loopback"
        raise _refused()
    key = secret(source.secret).encode()
    if source.scheme is AuthScheme.HMAC:
        digest = hmac.new(key, body, hashlib.sha256).hexdigest().encode()
        given, wanted, how = _header(headers, SIGNATURE_HEADER), _SIGNATURE_PREFIX + digest, "hmac"
    else:
        given, wanted, how = _bearer(headers), key, "bearer"
    if not key or not hmac.compare_digest(given, wanted):
        raise _refused()
    return how


def _header(headers: Mapping[str, str], name: str) -> bytes:
    return headers.get(name, "").encode("latin-1", "replace")


def _bearer(headers: Mapping[str, str]) -> bytes:
    scheme, _, token = _header(headers, "authorization").partition(b" ")
    return token.strip() if scheme.lower() == b"bearer" else b""


def _refused() -> Unauthorized:
    return Unauthorized("The source is not known here, or its credential is wrong.")
