"""Answers: a status and JSON, and the one place where an error becomes a status."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import msgspec
import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Send

from holdfast.errors import ConfigError, InputError, Overloaded, StoreError, Unauthorized
from holdfast.journal import SourceFull
from holdfast.model.values import Json
from holdfast.sense.refusal import Refused, TooLarge, Unprocessable, Unsupported
from holdfast.web.request import Disconnected

Headers = tuple[tuple[bytes, bytes], ...]

#: Seconds after which a sender should try again: a queue drains at once, a full disk does not.
SOON: Final = 1
LATER: Final = 5

_PROVE: Final = (
    "Name a source of the config with ?source=, and send its secret as 'Authorization: Bearer ...' or the "
    "body's signature as 'X-Holdfast-Signature: sha256=...'; without a secret only this machine is heard."
)
_log: Final = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Answer:
    """A status, a body (JSON if nothing else is said), and headers beside the usual ones."""

    status: int
    body: bytes
    headers: Headers = ()
    media: str = "application/json"

    def response(self) -> Response:
        """The same for Starlette."""
        headers = {name.decode(): value.decode() for name, value in self.headers}
        return Response(self.body, self.status, headers, self.media)

    async def send(self, send: Send) -> None:
        """Say it."""
        length = str(len(self.body)).encode()
        headers = [(b"content-type", self.media.encode()), (b"content-length", length), *self.headers]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


def answer(status: int, content: Json, headers: Headers = ()) -> Answer:
    """An answer with that content."""
    return Answer(status, msgspec.json.encode(content), headers)


def refusal(status: int, error: str, what_to_do: str, *headers: tuple[bytes, bytes]) -> Answer:
    """A refusal says what is wrong, and what to do about it."""
    return answer(status, {"error": error, "what_to_do": what_to_do}, headers)


def wrong_method(allowed: str) -> Answer:
    """The answer to a method that means nothing at this address."""
    return refusal(405, "That method means nothing here.", f"Use {allowed}.", (b"allow", allowed.encode()))


def no_page(_: Request, error: Exception) -> Response:
    """What Starlette answers where there is no route, or none for this method."""
    if isinstance(error, HTTPException) and error.status_code == 405:
        return wrong_method((error.headers or {}).get("Allow", "GET")).response()
    return refusal(404, "There is nothing at this address.", "See docs/reference/http.md.").response()


def page(handler: Callable[[Request], Awaitable[Answer]]) -> Callable[[Request], Awaitable[Response]]:
    """A page for Starlette, whose errors are answers too: raised further, they would cut the line."""

    async def answered(request: Request) -> Response:
        try:
            said = await handler(request)
        except Disconnected:
            return Response(status_code=400)  # nobody hears it
        except Exception as error:  # noqa: BLE001 - this is the place where errors become statuses
            said = answer_for(error)
        return said.response()

    return answered


def answer_for(error: Exception) -> Answer:
    """The answer to whatever went wrong; what nobody foresaw is logged, and tells nothing."""
    match error:
        case Refused():
            return refusal(_status(error), error.what, error.fix)
        case Unauthorized():
            return refusal(401, str(error), _PROVE, (b"www-authenticate", b'Bearer realm="holdfast"'))
        case InputError():
            return refusal(400, str(error), "Correct the request.")
        case SourceFull():
            return refusal(429, "Too much of this source is waiting.", "Try again soon.", _after(SOON))
        case Overloaded():
            return refusal(503, "Too much is waiting.", "Try again soon.", _after(SOON))
        case StoreError():
            _log.error("request refused: the store failed", why=str(error))
            return refusal(503, "Nothing can be stored now.", "Try again later.", _after(LATER))
        case ConfigError():
            _log.error("request refused: the config lacks something", why=str(error))
            return refusal(503, "The daemon cannot check this now.", "Try again later.", _after(LATER))
        case _:
            _log.error("request failed", exc_info=error)
            return refusal(500, "The daemon failed to handle this.", "Look into its log.")


def _status(error: Refused) -> int:
    statuses: dict[type[Refused], int] = {TooLarge: 413, Unsupported: 415, Unprocessable: 422}
    return statuses.get(type(error), 400)


def _after(seconds: int) -> tuple[bytes, bytes]:
    return b"retry-after", str(seconds).encode()
