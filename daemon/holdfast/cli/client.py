"""Talking to the daemon over its control socket; every failure says what to do."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec

from holdfast.cli.door import ConfigRefused, NotFound, Refused
from holdfast.errors import DaemonUnreachable, HoldfastError, InputError, Overloaded
from holdfast.model.values import Json

#: The daemon waits up to ten seconds for its own decision; reading a large config may take longer.
_CONNECT: Final = 3.0
_TIMEOUT: Final = httpx.Timeout(30.0, connect=_CONNECT)
#: A reload waits for the rule tests, a minute at most, and for those of the reload before it.
_RELOAD: Final = httpx.Timeout(150.0, connect=_CONNECT)
_PLAIN: Final = "application/json"


@dataclass(frozen=True, slots=True)
class Journalled:
    """What the daemon made of something that it journalled.

    `seq` is its place in the journal, 0 when nothing was new. `handled` false: it is on disk, and not
    decided on yet.
    """

    accepted: int
    duplicates: int
    seq: int
    handled: bool
    result: Json = None
    what_to_do: str = ""

    def decided(self, what: str) -> Journalled:
        """Itself; raises HoldfastError where `what` is not decided on yet."""
        if not self.handled:
            raise HoldfastError(f"{what} is on disk and not decided on yet. {self.what_to_do}")
        return self


class Daemon:
    """The daemon behind one control socket."""

    def __init__(self, path: Path) -> None:
        self._socket = path

    def send(self, body: bytes, source: str, media: str = _PLAIN) -> Journalled:
        """Hand over events as if a declared source had sent them."""
        return self._journalled("/send", body, media=media, params={"source": source})

    def reply(self, gate: str, text: str, operator: str) -> Journalled:
        """Answer a question in the name of an operator."""
        return self._journalled("/reply", _encoded(gate=gate, text=text, operator=operator))

    def switch(self, *, stopped: bool, by: str, reason: str) -> Journalled:
        """Throw or release the kill switch."""
        return self._journalled("/switch", _encoded(stopped=stopped, by=by, reason=reason))

    def close(self, incident: str, *, by: str, reason: str) -> Journalled:
        """Say that an incident is over."""
        return self._journalled("/close", _encoded(incident=incident, by=by, reason=reason))

    def reload(self) -> Json:
        """Load the config again. Raises ConfigRefused with every problem."""
        return self._object("POST", "/reload", timeout=_RELOAD).get("result")

    def status(self) -> Mapping[str, Json]:
        """What the daemon says about itself."""
        return self._object("GET", "/status")

    def _journalled(
        self, path: str, body: bytes, *, media: str = _PLAIN, params: Mapping[str, str] | None = None
    ) -> Journalled:
        answer = self._object("POST", path, body=body, media=media, params=params)
        try:
            return msgspec.convert(answer, Journalled)
        except msgspec.ValidationError as error:
            raise HoldfastError(
                f"the daemon's answer cannot be read ({error}): is it another version?"
            ) from error

    def _object(self, method: str, path: str, **kept: Any) -> dict[str, Any]:
        response = self._request(method, path, **kept)
        try:
            content: object = msgspec.json.decode(response.content)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise HoldfastError(
                f"the daemon's answer to {path} (status {response.status_code}) is no JSON: see its log"
            ) from error
        if not isinstance(content, dict):
            raise HoldfastError(f"the daemon's answer to {path} is no object: is it another version?")
        if response.status_code >= 400:
            raise _error(response.status_code, content)
        return content

    def _request(
        self,
        method: str,
        path: str,
        *,
        body: bytes = b"",
        media: str = _PLAIN,
        params: Mapping[str, str] | None = None,
        timeout: httpx.Timeout = _TIMEOUT,
    ) -> httpx.Response:
        _knock(self._socket)
        transport = httpx.HTTPTransport(uds=str(self._socket))
        try:
            with httpx.Client(transport=transport, base_url="http://holdfast", timeout=timeout) as client:
                return client.request(
                    method, path, content=body, params=params, headers={"content-type": media}
                )
        except httpx.TimeoutException as error:
            raise DaemonUnreachable(
                f"the daemon at {self._socket} does not answer in time: see its log, and `holdfast status`"
            ) from error
        except httpx.TransportError as error:
            raise DaemonUnreachable(
                f"the daemon at {self._socket} ended while it was asked: see its log, and `holdfast status`"
            ) from error


def _knock(path: Path) -> None:
    """Connect once, for the reason why it cannot be done. Raises DaemonUnreachable with what to do."""
    try:
        with socket.socket(socket.AF_UNIX) as knocking:
            knocking.settimeout(_CONNECT)
            knocking.connect(str(path))
    except FileNotFoundError as error:
        raise DaemonUnreachable(
            f"no daemon answers: there is no {path}. Start it (systemctl start holdfast), "
            "or name its state directory with --state"
        ) from error
    except PermissionError as error:
        raise DaemonUnreachable(
            f"{path} belongs to another user: run this as root or as the daemon's user"
        ) from error
    except OSError as error:
        raise DaemonUnreachable(
            f"no daemon answers at {path} ({error.strerror or error}): start it (systemctl start holdfast), "
            "and see its log if it has ended"
        ) from error


def _encoded(**values: object) -> bytes:
    return msgspec.json.encode(values)


def _error(status: int, content: Mapping[str, Any]) -> HoldfastError:
    said = " ".join(str(content[key]) for key in ("error", "what_to_do") if content.get(key))
    said = said or f"the daemon answered with status {status}: see its log"
    problems = content.get("problems")
    if isinstance(problems, list):
        return ConfigRefused(said, tuple(str(problem) for problem in problems))
    if status == 404:
        return NotFound(said)
    if status in {401, 403, 409}:
        return Refused(said)
    if status in {429, 503}:
        return Overloaded(said)
    return InputError(said) if status < 500 else HoldfastError(said)
