"""The command line's door, over a real Unix socket with a real journal behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
import msgspec
import pytest

from holdfast.errors import ConfigError, Overloaded, Problem
from holdfast.model.events import Close, Event, Switch
from holdfast.model.kinds import EntryKind
from holdfast.model.records import AuthLevel, InboundReply
from holdfast.model.values import Json
from holdfast.web.control import ControlDoors, control_app
from holdfast.web.serve import serve_unix

DEADLINE = 20


@dataclass
class Daemon:
    """What stands behind the socket, as far as the door sees it."""

    client: httpx.Client
    asked: list[int] = field(default_factory=list)
    results: Callable[[int], Json] = lambda seq: {"seen": seq}
    hangs: bool = False
    reloads: Callable[[], Json] = lambda: {"commit": "c1"}

    async def handled(self, seq: int) -> Json:
        self.asked.append(seq)
        if self.hangs:
            await asyncio.Event().wait()
        return self.results(seq)

    async def reload(self) -> Json:
        return self.reloads()


@pytest.fixture
def daemon(door, loop, tmp_path: Path) -> Iterator[Daemon]:
    path = tmp_path / "control.sock"
    transport = httpx.HTTPTransport(uds=str(path))
    with httpx.Client(transport=transport, base_url="http://holdfast", timeout=DEADLINE) as client:
        behind = Daemon(client)
        doors = ControlDoors(
            snapshot=lambda: door.snapshot,
            append=door.journal.append_async,
            clock=lambda: 1_700_000_000_000,
            handled=behind.handled,
            reload=behind.reload,
            status=lambda: {"commit": "c0ffee", "stopped": False},
            wait=0.3,
        )
        served = loop.run(serve_unix(control_app(doors), path))
        yield behind
    loop.run(served.stop())


def test_an_event_is_sent_as_if_from_its_source_and_its_result_comes_back(door, daemon: Daemon) -> None:
    response = daemon.client.post("/send?source=token", json={"id": 1, "type": "x"})
    event = msgspec.json.decode(door.entries()[0].body, type=Event)

    assert response.status_code == 200
    assert response.json() == {
        "accepted": 1,
        "duplicates": 0,
        "seq": 1,
        "handled": True,
        "result": {"seen": 1},
    }
    assert (event.source, event.provenance.auth) == ("token", "operator")
    assert daemon.asked == [1]


def test_an_event_may_be_sent_as_a_probes(door, daemon: Daemon) -> None:
    response = daemon.client.post(
        "/send?source=probe", json={"id": 1, "type": "http.probe", "data": {"ok": False}}
    )

    assert response.status_code == 200
    assert door.entries()[0].source == "probe"


def test_of_several_events_the_last_is_waited_for(door, daemon: Daemon) -> None:
    response = daemon.client.post(
        "/send?source=open", json=[{"id": 1, "type": "x"}, {"id": 2, "type": "x"}, {"id": 1, "type": "x"}]
    )

    assert response.json() == {
        "accepted": 2,
        "duplicates": 1,
        "seq": 2,
        "handled": True,
        "result": {"seen": 2},
    }


def test_a_duplicate_is_said_and_not_waited_for(daemon: Daemon) -> None:
    daemon.client.post("/send?source=open", json={"id": 1, "type": "x"})
    response = daemon.client.post("/send?source=open", json={"id": 1, "type": "x"})

    assert response.json() == {"accepted": 0, "duplicates": 1, "seq": 0, "handled": True, "result": None}
    assert daemon.asked == [1]


def test_what_is_not_handled_in_time_is_on_disk_all_the_same(door, daemon: Daemon) -> None:
    daemon.hangs = True
    response = daemon.client.post("/send?source=open", json={"id": 1, "type": "x"})

    assert response.status_code == 202
    assert response.json()["handled"] is False
    assert "on disk" in response.json()["what_to_do"]
    assert len(door.entries()) == 1


def test_a_source_that_is_not_there_is_named_with_those_that_are(daemon: Daemon) -> None:
    response = daemon.client.post("/send?source=opne", json={"id": 1, "type": "x"})

    assert response.status_code == 404
    assert response.json()["error"] == "There is no source 'opne'."
    assert "mapped, open, probe, signed, token" in response.json()["what_to_do"]


@pytest.mark.parametrize(("body", "status"), [(b"{", 400), (b'{"id":1}', 422), (b"[1]", 422)])
def test_an_event_that_cannot_be_read_is_refused(daemon: Daemon, body: bytes, status: int) -> None:
    response = daemon.client.post(
        "/send?source=open", content=body, headers={"content-type": "application/json"}
    )

    assert response.status_code == status
    assert set(response.json()) == {"error", "what_to_do"}


def test_a_reply_is_journalled_as_proven(door, daemon: Daemon) -> None:
    daemon.results = lambda _: {"answered": "roll-back"}
    response = daemon.client.post("/reply", json={"text": " roll-back ", "gate": "g-1", "operator": "jo"})
    (entry,) = door.entries()
    reply = msgspec.json.decode(entry.body, type=InboundReply)

    assert response.json()["result"] == {"answered": "roll-back"}
    assert (entry.kind, entry.source, entry.id, entry.commit) == (
        EntryKind.REPLY,
        "cli",
        reply.message_id,
        "c0ffee",
    )
    assert reply == InboundReply("cli", "jo", reply.message_id, "roll-back", "g-1", AuthLevel.PROVEN, "jo")


def test_two_equal_replies_are_two_replies(door, daemon: Daemon) -> None:
    for _ in range(2):
        daemon.client.post("/reply", json={"text": "wait", "gate": "g-1", "operator": "jo"})

    assert len(door.entries()) == 2


def test_nobody_replies_for_an_operator_that_is_not_there(door, daemon: Daemon) -> None:
    response = daemon.client.post("/reply", json={"text": "yes", "gate": "g-1", "operator": "eve"})

    assert response.status_code == 422
    assert "jo" in response.json()["what_to_do"]
    assert door.entries() == []


@pytest.mark.parametrize("stopped", [True, False])
def test_the_kill_switch_is_journalled(door, daemon: Daemon, stopped: bool) -> None:
    response = daemon.client.post("/switch", json={"stopped": stopped, "reason": "deploying", "by": "jo"})
    (entry,) = door.entries()

    assert response.status_code == 200
    assert (entry.kind, entry.source) == (EntryKind.SWITCH, "cli")
    assert msgspec.json.decode(entry.body, type=Switch) == Switch(stopped, "jo", "deploying")


def test_the_end_of_an_incident_is_journalled(door, daemon: Daemon) -> None:
    response = daemon.client.post("/close", json={"incident": "i41", "by": "jo", "reason": "mended"})
    (entry,) = door.entries()

    assert response.status_code == 200
    assert (entry.kind, entry.source) == (EntryKind.CLOSE, "cli")
    assert msgspec.json.decode(entry.body, type=Close) == Close("i41", "jo", "mended")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/reply", b""),
        ("/reply", b"{}"),
        ("/reply", b'{"text":"","gate":"g","operator":"jo"}'),
        ("/reply", b'{"text":"x","gate":5,"operator":"jo"}'),
        ("/reply", b'{"text":"' + b"x" * 501 + b'","gate":"g","operator":"jo"}'),
        ("/switch", b'{"stopped":"yes","by":"jo"}'),
        ("/switch", b'{"stopped":true}'),
        ("/switch", b"[" * 10_000),
        ("/close", b'{"incident":"","by":"jo"}'),
        ("/close", b'{"incident":"i41"}'),
        ("/switch", b'{"stopped":true,"by":"\xff"}'),
    ],
)
def test_a_command_that_cannot_be_read_is_refused(door, daemon: Daemon, path: str, body: bytes) -> None:
    response = daemon.client.post(path, content=body)

    assert response.status_code == 400
    assert set(response.json()) == {"error", "what_to_do"}
    assert door.entries() == []


def test_a_command_of_any_length_is_refused(daemon: Daemon) -> None:
    assert daemon.client.post("/switch", content=b" " * 100_000).status_code == 413


def test_a_reload_says_what_took_over(daemon: Daemon) -> None:
    assert daemon.client.post("/reload").json() == {"result": {"commit": "c1"}}


def test_a_reload_of_a_broken_config_lists_every_problem(daemon: Daemon) -> None:
    def broken() -> Json:
        raise ConfigError([Problem("b.yaml", 2, 1, "x", "wrong"), Problem("a.yaml", 1, 1, "", "worse")])

    daemon.reloads = broken
    response = daemon.client.post("/reload")

    assert response.status_code == 422
    assert response.json()["problems"] == ["a.yaml:1:1: worse", "b.yaml:2:1: x: wrong"]
    assert "last good one stays" in response.json()["error"]


def test_the_status_is_what_the_daemon_says(daemon: Daemon) -> None:
    assert daemon.client.get("/status").json() == {"commit": "c0ffee", "stopped": False}


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/send", 405), ("POST", "/status", 405), ("GET", "/x", 404)]
)
def test_other_addresses_and_methods_are_refused_in_the_same_form(
    daemon: Daemon, method: str, path: str, status: int
) -> None:
    response = daemon.client.request(method, path)

    assert response.status_code == status
    assert set(response.json()) == {"error", "what_to_do"}


@pytest.mark.parametrize(("error", "status"), [(Overloaded("full"), 503), (ZeroDivisionError("a bug"), 500)])
def test_an_error_within_is_an_answer(door, daemon: Daemon, error: Exception, status: int) -> None:
    def fail(seq: int) -> Json:
        raise error

    daemon.results = fail
    response = daemon.client.post("/switch", json={"stopped": True, "by": "jo"})

    assert response.status_code == status
    assert set(response.json()) == {"error", "what_to_do"}
    assert daemon.client.get("/status").status_code == 200


def test_a_config_without_sources_says_so(door, daemon: Daemon) -> None:
    door.snapshot = replace(door.snapshot, sources={}, operators={})

    assert "none is declared" in daemon.client.post("/send?source=x", json={}).text
    assert (
        "none is declared"
        in daemon.client.post("/reply", json={"text": "x", "gate": "g", "operator": "jo"}).text
    )
