"""schemas/openapi.json says what the door does, and the door does what it says."""

from __future__ import annotations

import ast
import contextlib
import re
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator

from holdfast.config.schemas import openapi
from holdfast.errors import Overloaded
from holdfast.web import ingest
from holdfast.web.guard import Limits

ROOT = Path(__file__).parents[3]
DOCUMENT: dict[str, Any] = msgspec.json.decode(openapi())
DEADLINE = 20
#: What every request may meet, whatever it asks for.
GENERAL = {"NotFound", "WrongMethod"}
ADDRESSES = {"/in/generic/{source}": "/in/generic/open", "/events": "/events?source=open"}
HEAD = b"Host: x\r\nContent-Type: application/json\r\n"


def resolved(node: Any) -> Any:
    """The same with what its references point at."""
    if isinstance(node, dict):
        if "$ref" in node:
            target: Any = DOCUMENT
            for name in node["$ref"].removeprefix("#/").split("/"):
                target = target[name]
            return resolved(target)
        return {key: resolved(item) for key, item in node.items()}
    return [resolved(item) for item in node] if isinstance(node, list) else node


OPERATIONS = [
    (method, path, resolved(operation))
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
]
ANSWERS = [
    pytest.param(method, path, int(status), answer, id=f"{method} {path} {status}")
    for method, path, operation in OPERATIONS
    for status, answer in operation["responses"].items()
]


@dataclass(frozen=True)
class Said:
    """One answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def said(received: bytes) -> list[Said]:
    found = []
    while received:
        head, _, rest = received.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        length = int(headers["content-length"])
        found.append(Said(int(first.split()[1]), headers, rest[:length]))
        received = rest[length:]
    return found


def ask(port: int, request: bytes, *, hang_up: bool = True) -> Said:
    """The last thing that is said to this."""
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE) as opened:
        with contextlib.suppress(OSError):
            opened.sendall(request)
            if hang_up:
                opened.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionResetError):
            while part := opened.recv(65_536):
                received += part
    return said(received)[-1]


class Provoked:
    """The ways to get each status from each operation."""

    def __init__(
        self, open_door: Callable[..., Any], until: Callable[..., bool], method: str, path: str
    ) -> None:
        self._open = open_door
        self._until = until
        self._posts = method == "post"
        self._line = f"{method.upper()} {ADDRESSES.get(path, path)} HTTP/1.1\r\n".encode()

    def request(self, body: bytes, *headers: bytes) -> bytes:
        length = b"Content-Length: %d" % len(body)
        return self._line + HEAD + b"\r\n".join([length, *headers, b"", b""]) + body

    def by(self, status: int) -> Said:
        made: Callable[[], Said] = getattr(self, f"_{status}")
        return made()

    def _ask(self, request: bytes, **options: Any) -> Said:
        return ask(self._open(**options).port, request)

    def _200(self) -> Said:
        return self._ask(self.request(b""))

    def _202(self) -> Said:
        return self._ask(self.request(b'{"type":"x"}'))

    def _400(self) -> Said:
        return self._ask(self.request(b"{") if self._posts else self._line + b"Content-Length: x\r\n\r\n")

    def _401(self) -> Said:
        return self._ask(self.request(b"{}", b"Via: 1"))

    def _408(self) -> Said:
        port = self._open(limits=Limits(head=1.0)).port
        return ask(port, self._line + b"Host:", hang_up=False)

    def _413(self) -> Said:
        return self._ask(self.request(b"").replace(b"Length: 0", b"Length: 5242881"))

    def _415(self) -> Said:
        return self._ask(self.request(b"{}", b"Content-Encoding: gzip"))

    def _422(self) -> Said:
        return self._ask(self.request(b"{}"))

    def _429(self) -> Said:
        return self._ask(self.request(b'{"type":"x"}') * 20, limits=Limits(waiting=1))

    def _431(self) -> Said:
        return self._ask(self.request(b"", *[b"A: b"] * 101))

    def _500(self) -> Said:
        return self._broken(ValueError)

    def _503(self) -> Said:
        if self._posts:
            return self._broken(Overloaded)
        door = self._open(limits=Limits(connections=1))
        busy = HEAD.join(
            [b"POST /events?source=open HTTP/1.1\r\n", b'Content-Length: 12\r\n\r\n{"type":"x"}']
        )
        with door.held_disk(), socket.create_connection(("127.0.0.1", door.port)) as first:
            first.sendall(busy)
            assert self._until(door.journal.waiting)
            return ask(door.port, self.request(b""))

    def _broken(self, error: type[Exception]) -> Said:
        async def append(_: object) -> list[Any]:
            raise error

        door = self._open(append=append)
        door.checks = door.readings = None
        return ask(door.port, self.request(b'{"type":"x"}'))


def conforms(answer: Said, described: Mapping[str, Any]) -> None:
    media = answer.headers["content-type"].partition(";")[0]
    content = msgspec.json.decode(answer.body) if media == "application/json" else answer.body.decode()
    Draft202012Validator(described["content"][media]["schema"]).validate(content)
    headers = {name.lower(): header for name, header in described.get("headers", {}).items()}
    given = answer.headers.keys() - {"date", "connection", "content-type", "content-length"}
    assert {name for name, header in headers.items() if header.get("required")} <= given <= headers.keys()
    for name in given:
        Draft202012Validator(headers[name]["schema"]).validate(answer.headers[name])


@pytest.mark.parametrize(("method", "path", "status", "described"), ANSWERS)
def test_every_answer_that_is_described_is_given_as_described(
    open_door, until, method: str, path: str, status: int, described: Mapping[str, Any]
) -> None:
    answer = Provoked(open_door, until, method, path).by(status)

    assert answer.status == status
    conforms(answer, described)


def test_a_check_that_fails_is_described(door) -> None:
    door.checks = {"store": "read-only"}
    answer = ask(door.port, b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")

    conforms(answer, resolved(DOCUMENT["paths"]["/readyz"]["get"]["responses"]["503"]))
    assert b"read-only" in answer.body


@pytest.mark.parametrize(
    ("line", "name"), [(b"GET /nowhere", "NotFound"), (b"DELETE /events", "WrongMethod")]
)
def test_what_is_no_operation_is_answered_as_described(door, line: bytes, name: str) -> None:
    conforms(
        ask(door.port, line + b" HTTP/1.1\r\nHost: x\r\n\r\n"),
        resolved(DOCUMENT["components"]["responses"][name]),
    )


def test_the_routes_are_those_that_are_described(door) -> None:
    pages = {
        (method.lower(), route.path)
        for route in door.app._pages.routes
        for method in route.methods - {"HEAD"}  # goes with GET
    }
    events = {("post", ingest._EVENTS), ("post", ingest._GENERIC + "{source}")}

    assert pages | events == {(method, path) for method, path, _ in OPERATIONS}


@pytest.mark.parametrize(("path", "method"), [(path, method) for method, path, _ in OPERATIONS])
def test_other_methods_are_refused_with_the_one_that_is_described(door, path: str, method: str) -> None:
    for other in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"):
        if other.lower() == method:
            continue
        answer = ask(door.port, f"{other} {ADDRESSES.get(path, path)} HTTP/1.1\r\nHost: x\r\n\r\n".encode())

        assert answer.status == 405
        assert set(answer.headers["allow"].split(", ")) == {"get": {"GET", "HEAD"}, "post": {"POST"}}[method]


def statuses_in_code() -> Iterator[int]:
    """Every status that the door's modules can answer with."""
    for name in ("answer", "guard", "ingest"):
        tree = ast.parse((ROOT / f"daemon/holdfast/web/{name}.py").read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, int) and 200 <= node.value < 600:
                yield node.value


def test_no_status_is_given_that_is_not_described() -> None:
    described = {status for _, _, operation in OPERATIONS for status in map(int, operation["responses"])}

    assert set(statuses_in_code()) == described | {404, 405}


def test_the_page_lists_the_statuses_that_are_described() -> None:
    page = (ROOT / "docs/reference/http.md").read_text(encoding="utf-8")
    table = page.partition("### Statuses")[2].partition("Refusals are logged")[0]
    listed = {
        int(number)
        for line in table.splitlines()
        for number in re.findall(r"\b[2-5]\d\d\b", line.split("|")[1] if "|" in line else "")
    }
    described = {status for _, _, operation in OPERATIONS for status in map(int, operation["responses"])}

    assert listed == described - {200} | {404, 405}


def test_the_document_is_whole() -> None:
    text = openapi().decode()
    used = set(re.findall(r'"#/components/([^"]+)"', text))
    parts = DOCUMENT["components"]
    declared = {
        f"{kind}/{name}" for kind, items in parts.items() for name in items if kind != "securitySchemes"
    }

    assert used == declared - {f"responses/{name}" for name in GENERAL}
    assert {name for _, _, item in OPERATIONS for one in item["security"] for name in one} == set(
        parts["securitySchemes"]
    )
    for schema in parts["schemas"].values():
        Draft202012Validator.check_schema(resolved(schema))


def test_the_document_is_served(door) -> None:
    with door.client() as client:
        response = client.get("/openapi.json")

    assert response.content == openapi()
    assert response.headers["content-type"] == "application/json"
