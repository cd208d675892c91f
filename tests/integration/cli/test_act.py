"""What is steered over the real control door; what the pipeline makes of it is given."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from holdfast.effects import crash_point
from holdfast.errors import Problem
from holdfast.model.kinds import EntryKind
from holdfast.model.records import IncidentState
from holdfast.store import incidents, journal
from holdfast.store.database import Database

POINT = crash_point("tests.integration.cli.act")


def entries(database: Database, kind: EntryKind) -> list[Any]:
    """The bodies of what was journalled."""
    with database.read() as tx:
        return [
            msgspec.json.decode(entry.body)
            for entry in journal.latest(tx, 100, kind)
            if entry.source == "cli"
        ]


def test_a_reload_that_answers_something_else_is_a_failure(holdfast: Any, answering: Any) -> None:
    answering(http("200 OK", b'{"result": {"commit": 3}}'))
    shown = holdfast("reload")

    assert (shown.code, shown.out) == (1, "")
    assert "is it another version?" in shown.err


def test_the_kill_switch_is_thrown_with_a_name_and_a_reason(
    holdfast: Any, control: Any, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUDO_USER", "ana")
    stopped = holdfast("stop-all", "--reason", "it restarts in circles", "--json").json
    resumed = holdfast("resume")

    assert stopped == {"stopped": True, "by": "ana", "reason": "it restarts in circles", "seq": 1}
    assert resumed.out.startswith("Resumed:")
    assert entries(database, EntryKind.SWITCH) == [
        {"stopped": True, "by": "ana", "reason": "it restarts in circles"},
        {"stopped": False, "by": "ana", "reason": ""},
    ]


def test_a_switch_that_is_not_decided_on_fails(holdfast: Any, control: Any) -> None:
    control.hangs = True
    shown = holdfast("stop-all")

    assert (shown.code, shown.out) == (1, "")
    assert "on disk" in shown.err


def cleared(database: Database, incident: str) -> Callable[[int], Any]:
    """A pipeline that takes the operator's word."""

    def decide(seq: int) -> Any:
        with database.begin(POINT) as tx:
            found = incidents.find(tx, incident)
            assert found is not None
            incidents.change(tx, found, found.changed, state=IncidentState.CLEARED)
        return {"seq": seq}

    return decide


@pytest.mark.parametrize("wanted", ["i41", "i41-abcdefgh"])
def test_an_incident_is_closed_with_a_name_and_a_reason(
    holdfast: Any,
    control: Any,
    outage: int,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    wanted: str,
) -> None:
    monkeypatch.setenv("SUDO_USER", "ana")
    control.decide = cleared(database, "i41-abcdefgh")
    closed = holdfast("close", wanted, "--reason", "mended by hand", "--json")
    again = holdfast("close", wanted)

    said = {"incident": "i41-abcdefgh", "by": "ana", "reason": "mended by hand"}
    assert (closed.code, closed.json) == (0, {**said, "state": "cleared", "seq": 4})
    assert entries(database, EntryKind.CLOSE) == [said]
    assert (again.code, again.out) == (5, "")
    assert "i41-abcdefgh is cleared already" in again.err


def test_a_closed_incident_is_said_with_its_title(
    holdfast: Any, control: Any, outage: int, database: Database
) -> None:
    control.decide = cleared(database, "i41-abcdefgh")

    assert holdfast("close", "i41").out == "i41-abcdefgh is cleared: shop fails its probe (503)\n"


def test_what_is_no_incident_cannot_be_closed(holdfast: Any, control: Any, outage: int) -> None:
    shown = holdfast("close", "i99")

    assert (shown.code, shown.out) == (3, "")
    assert "there is no incident 'i99'" in shown.err


def test_a_word_that_is_not_decided_on_fails(holdfast: Any, control: Any, outage: int) -> None:
    control.hangs = True
    shown = holdfast("close", "i41")

    assert (shown.code, shown.out) == (1, "")
    assert "on disk" in shown.err


def test_a_word_that_changed_nothing_is_a_failure(holdfast: Any, control: Any, outage: int) -> None:
    shown = holdfast("close", "i41")

    assert (shown.code, shown.out) == (1, "")
    assert "is open still" in shown.err


def test_a_reload_says_what_took_over(holdfast: Any, control: Any) -> None:
    assert holdfast("reload").out == "config new took over from dir-0123456789ab\n"
    assert holdfast("reload", "--json").json == {
        "commit": "new",
        "previous": "dir-0123456789ab",
        "changed": True,
    }


def test_a_refused_reload_says_every_problem(holdfast: Any, control: Any) -> None:
    control.problems = [
        Problem("rules/a.yaml", 3, 7, "mode", "bad"),
        Problem("rules/b.yaml", 1, 1, "", "worse"),
    ]
    shown = holdfast("reload")

    assert (shown.code, shown.out) == (2, "")
    assert shown.err.startswith("holdfast: The config is not valid; the last good one stays.")
    assert shown.err.splitlines()[1:] == [
        "holdfast: rules/a.yaml:3:7: mode: bad",
        "holdfast: rules/b.yaml:1:1: worse",
    ]


def test_an_event_is_sent_as_its_source_would(
    holdfast: Any, control: Any, tmp_path: Path, database: Database
) -> None:
    path = tmp_path / "event.json"
    path.write_text('{"id": "1", "data": {"level": 5}}')
    first = holdfast("send", str(path), "--source", "ops")
    again = holdfast("send", str(path), "--source", "ops", "--json").json
    with database.read() as tx:
        (entry,) = journal.latest(tx, 10)

    assert (first.code, first.out.splitlines()[0]) == (0, "1 accepted, journal entry 1")
    assert again == {
        "accepted": 0,
        "duplicates": 1,
        "seq": 0,
        "handled": True,
        "result": None,
        "what_to_do": "",
    }
    assert (entry.kind, entry.source, entry.id) == (EntryKind.EVENT, "ops", "1")


@pytest.mark.parametrize(
    ("content", "option"),
    [
        ('[{"id": "1"}, {"id": "2"}]', ()),
        ('{"specversion": "1.0", "id": "1", "type": "ops.alarm", "source": "x"}', ("--cloudevent",)),
        ('[{"specversion": "1.0", "id": "1", "type": "ops.alarm", "source": "x"}]', ("--cloudevent",)),
    ],
)
def test_events_come_in_every_form(
    holdfast: Any, control: Any, tmp_path: Path, content: str, option: tuple[str]
) -> None:
    path = tmp_path / "event.json"
    path.write_text(content)
    found = holdfast("send", str(path), "--source", "ops", "--json", *option)

    assert found.code == 0, found.err
    assert found.json["accepted"] == content.count('"id"')


def test_an_event_that_is_not_decided_on_is_accepted_all_the_same(
    holdfast: Any, control: Any, tmp_path: Path
) -> None:
    control.hangs = True
    path = tmp_path / "event.json"
    path.write_text("{}")
    shown = holdfast("send", str(path), "--source", "ops")

    assert shown.code == 0
    assert "It is on disk and will be handled" in shown.out


@pytest.mark.parametrize(
    ("content", "source", "code", "said"),
    [
        (b"{}", "nobody", 3, "There is no source 'nobody'"),
        (b"{broken", "ops", 2, "not JSON"),
        (b"3", "ops", 2, "Send a JSON object"),
        (b'{"x": "' + b"y" * (5 * 1024 * 1024) + b'"}', "ops", 2, "send less at once"),
        (None, "ops", 2, "cannot be read: No such file or directory"),
    ],
)
def test_what_cannot_be_sent_is_refused_in_one_line(
    holdfast: Any, control: Any, tmp_path: Path, content: bytes | None, source: str, code: int, said: str
) -> None:
    path = tmp_path / "event.json"
    if content is not None:
        path.write_bytes(content)
    shown = holdfast("send", str(path), "--source", source)

    assert (shown.code, shown.out) == (code, "")
    assert said in shown.err
    assert shown.err.count("\n") == 1


def test_status_with_a_daemon_shows_what_it_says(holdfast: Any, control: Any, outage: int) -> None:
    shown = holdfast("status")
    found = holdfast("status", "--json").json

    assert shown.code == 0
    assert shown.out.startswith("up  holdfast 9.9.9")
    assert (found["up"], found["why"], found["daemon"]["version"]) == (True, None, "9.9.9")


@pytest.mark.parametrize(
    "command",
    [
        ["approve", "i41"],
        ["deny", "i41"],
        ["answer", "i41", "wait"],
        ["stop-all"],
        ["resume"],
        ["close", "i41"],
        ["reload"],
    ],
    ids=" ".join,
)
def test_without_a_daemon_every_act_exits_with_four(
    holdfast: Any, control: Any, outage: int, state: Path, command: list[str]
) -> None:
    control.stop()
    (state / "control.sock").unlink(missing_ok=True)
    gone = holdfast(*command)

    assert (gone.code, gone.out) == (4, "")
    assert gone.err.count("\n") == 1
    assert "systemctl start holdfast" in gone.err


def test_a_socket_that_a_dead_daemon_left_is_no_daemon(holdfast: Any, state: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(state / "control.sock"))
    shown = holdfast("stop-all")

    assert (shown.code, shown.out) == (4, "")
    assert "Connection refused" in shown.err


@pytest.fixture
def answering(state: Path) -> Iterator[Callable[[bytes], None]]:
    """A server on the socket that answers every request with these bytes, and ends."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    servers: list[asyncio.AbstractServer] = []

    def serve(reply: bytes) -> None:
        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(100_000)
            writer.write(reply)
            await writer.drain()
            writer.close()

        start = asyncio.start_unix_server(talk, state / "control.sock")
        servers.append(asyncio.run_coroutine_threadsafe(start, loop).result(10))

    yield serve

    async def stop() -> None:
        for server in servers:
            server.close()
            await server.wait_closed()

    asyncio.run_coroutine_threadsafe(stop(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


def http(status: str, body: bytes) -> bytes:
    return b"HTTP/1.1 %s\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%s" % (
        status.encode(),
        len(body),
        body,
    )


@pytest.mark.parametrize(
    ("reply", "code", "said"),
    [
        (b"", 4, "ended while it was asked"),
        (b"SSH-2.0-OpenSSH\r\n", 4, "ended while it was asked"),
        (http("200 OK", b"<html>"), 1, "is no JSON"),
        (http("200 OK", b"[1]"), 1, "is no object"),
        (http("200 OK", b'{"accepted": "many"}'), 1, "is it another version?"),
        (
            http("500 Oops", b'{"error": "It broke.", "what_to_do": "Look into its log."}'),
            1,
            "It broke. Look into its log.",
        ),
        (http("503 Busy", b'{"error": "Too much is waiting."}'), 1, "Too much is waiting."),
        (http("409 No", b'{"error": "Not now."}'), 5, "Not now."),
        (http("418 Tea", b"{}"), 2, "status 418"),
    ],
)
def test_a_strange_answer_is_one_line_and_never_a_traceback(
    holdfast: Any, answering: Any, reply: bytes, code: int, said: str
) -> None:
    answering(reply)
    shown = holdfast("stop-all")

    assert (shown.code, shown.out) == (code, "")
    assert said in shown.err
    assert shown.err.count("\n") == 1
