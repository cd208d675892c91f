"""The operator's word over the real control door; what the pipeline makes of it is given."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from holdfast.errors import Problem
from holdfast.model.kinds import EntryKind
from holdfast.model.records import Choice, InboundReply
from holdfast.store import journal
from holdfast.store.database import Database


def ruled(kind: str, receipt: str = "said") -> Callable[[int], Any]:
    """A pipeline that takes every reply for this."""
    return lambda seq: {"seq": seq, "kind": kind, "receipt": receipt, "choice": None}


def entries(database: Database, kind: EntryKind) -> list[Any]:
    """The bodies of what was journalled."""
    with database.read() as tx:
        return [
            msgspec.json.decode(entry.body)
            for entry in journal.latest(tx, 100, kind)
            if entry.source == "cli"
        ]


def replies(database: Database) -> list[tuple[str, str, str | None]]:
    """What was answered to which question by whom."""
    found = [msgspec.convert(body, InboundReply) for body in entries(database, EntryKind.REPLY)]
    return [(reply.thread_ref, reply.text, reply.operator) for reply in found]


@pytest.mark.parametrize("asked", ["g44", "g44-abcdefgh", "i41", "i41-abcdefgh"])
def test_a_question_is_named_by_its_id_or_by_its_incident(
    holdfast: Any, control: Any, outage: int, database: Database, asked: str
) -> None:
    control.decide = ruled("accepted", "it starts now")
    shown = holdfast("answer", asked, "roll-back")

    assert (shown.code, shown.out, shown.err) == (0, "it starts now\n", "")
    assert replies(database) == [("g44-abcdefgh", "roll-back", "ana")]


def test_the_receipt_in_json(holdfast: Any, control: Any, outage: int) -> None:
    control.decide = ruled("accepted", "it starts now")
    found = holdfast("answer", "g44", "wait", "--json").json

    assert found == {
        "question": "g44-abcdefgh",
        "choice": "wait",
        "operator": "ana",
        "kind": "accepted",
        "receipt": "it starts now",
        "seq": 4,
    }


def test_approving_takes_the_only_choice_that_runs_something(
    holdfast: Any, control: Any, outage: int, database: Database
) -> None:
    control.decide = ruled("accepted")
    shown = holdfast("approve", "i41")

    assert shown.code == 0
    assert replies(database) == [("g44-abcdefgh", "roll-back", "ana")]


def test_approving_takes_the_choice_of_that_name_first(
    holdfast: Any, control: Any, filling: Any, database: Database
) -> None:
    control.decide = ruled("accepted")
    with filling(1000) as fill:
        plan = fill.run(fill.outage(1), 1).plan
        fill.gate(
            fill.outage(2), 2, 9000, choices=(Choice("other", plan), Choice("approve", plan), Choice("deny"))
        )
    holdfast("approve", "g2")

    assert [text for _, text, _ in replies(database)] == ["approve"]


def test_approving_a_question_with_two_ways_asks_which(
    holdfast: Any, control: Any, filling: Any, database: Database
) -> None:
    with filling(1000) as fill:
        incident = fill.outage(1)
        plan = fill.run(incident, 1).plan
        fill.gate(incident, 2, 9000, choices=(Choice("left", plan), Choice("right", plan), Choice("wait")))
    shown = holdfast("approve", "g2")

    assert (shown.code, shown.out) == (2, "")
    assert "holdfast answer g2-abcdefgh left|right|wait" in shown.err
    assert replies(database) == []


def test_denying_says_deny_and_is_taken(holdfast: Any, control: Any, outage: int, database: Database) -> None:
    control.decide = ruled("denied", "nothing runs")
    shown = holdfast("deny", "i41")

    assert (shown.code, shown.out) == (0, "nothing runs\n")
    assert replies(database) == [("g44-abcdefgh", "deny", "ana")]


@pytest.mark.parametrize(
    "kind", ["expired", "already-answered", "void", "not-allowed", "not-needed", "anything"]
)
def test_an_answer_that_was_not_taken_exits_with_five(
    holdfast: Any, control: Any, outage: int, kind: str
) -> None:
    control.decide = ruled(kind, "why not")
    shown = holdfast("approve", "i41")
    found = holdfast("approve", "i41", "--json")

    assert (shown.code, shown.out) == (5, "why not\n")
    assert (found.code, found.json["kind"]) == (5, kind)


def test_an_answer_to_nothing_is_not_found(holdfast: Any, control: Any, outage: int) -> None:
    control.decide = ruled("not-found", "no open question belongs to this reply")
    shown = holdfast("approve", "i41")

    assert (shown.code, shown.out, shown.err) == (3, "", "holdfast: no open question belongs to this reply\n")


def test_a_choice_that_the_question_has_not_is_refused_before_it_is_sent(
    holdfast: Any, control: Any, outage: int, database: Database
) -> None:
    shown = holdfast("answer", "g44", "rollback")

    assert (shown.code, shown.out) == (2, "")
    assert shown.err == "holdfast: 'rollback' is no choice of g44-abcdefgh: answer with roll-back or wait\n"
    assert replies(database) == []


def test_an_incident_without_a_question_is_not_found(holdfast: Any, control: Any, outage: int) -> None:
    assert holdfast("approve", "i7").code == 3
    assert holdfast("approve", "g99").err.startswith("holdfast: there is no question 'g99'")


def test_an_incident_with_two_questions_asks_which(
    holdfast: Any, control: Any, outage: int, filling: Any
) -> None:
    with filling(2000) as fill:
        fill.gate(replace(fill.outage(50), id="i41-abcdefgh"), 51, 9000)
    shown = holdfast("approve", "i41")

    assert (shown.code, shown.out) == (2, "")
    assert "g44-abcdefgh" in shown.err
    assert "g51-abcdefgh" in shown.err


def test_an_answer_that_is_not_decided_in_time_fails_and_says_that_it_is_on_disk(
    holdfast: Any, control: Any, outage: int, database: Database
) -> None:
    control.hangs = True
    shown = holdfast("approve", "i41")

    assert (shown.code, shown.out) == (1, "")
    assert "on disk" in shown.err
    assert len(replies(database)) == 1


def test_a_pipeline_without_a_receipt_is_a_failure(holdfast: Any, control: Any, outage: int) -> None:
    assert holdfast("approve", "i41").code == 1


def test_somebody_who_is_no_operator_is_refused(
    holdfast: Any, control: Any, outage: int, database: Database
) -> None:
    control.decide = ruled("accepted")
    shown = holdfast("approve", "i41", "--operator", "eve")

    assert (shown.code, shown.out) == (2, "")
    assert shown.err == "holdfast: There is no operator 'eve'. Name one of the config: ana.\n"
    assert replies(database) == []


def test_with_several_operators_somebody_has_to_say_who(
    holdfast: Any, control: Any, outage: int, monkeypatch: pytest.MonkeyPatch, database: Database
) -> None:
    control.decide = ruled("accepted")
    control.add_operator("ben")
    shown = holdfast("approve", "i41")
    monkeypatch.setenv("HOLDFAST_OPERATOR", "ben")
    named = holdfast("approve", "i41")

    assert (shown.code, shown.err) == (2, "holdfast: who answers? Say --operator ana or --operator ben\n")
    assert named.code == 0
    assert replies(database) == [("g44-abcdefgh", "roll-back", "ben")]


def test_without_an_operator_nobody_can_answer(holdfast: Any, control: Any, outage: int) -> None:
    control.no_operators()
    shown = holdfast("approve", "i41")

    assert (shown.code, shown.err) == (
        5,
        "holdfast: the config declares no operator: add one to holdfast.yaml, then answer\n",
    )


def test_a_daemon_that_does_not_name_its_operators_is_helped_by_the_config(
    holdfast: Any, control: Any, outage: int, tmp_path: Path, database: Database
) -> None:
    control.decide = ruled("accepted")
    control.says = {"version": "0.1.0"}
    broken = holdfast("approve", "i41")
    holdfast("init", str(tmp_path / "config"))
    site = tmp_path / "config" / "holdfast.yaml"
    site.write_text(site.read_text().replace("  me:\n", "  ana:\n"))
    helped = holdfast("approve", "i41")

    assert (broken.code, broken.out) == (2, "")
    assert "who answers? Say --operator NAME" in broken.err
    assert helped.code == 0, helped.err
    assert replies(database) == [("g44-abcdefgh", "roll-back", "ana")]


def test_a_reload_that_answers_something_else_is_a_failure(holdfast: Any, answering: Any) -> None:
    answering(http("200 OK", b'{"result": {"commit": 3}}'))
    shown = holdfast("reload")

    assert (shown.code, shown.out) == (1, "")
    assert "is it another version?" in shown.err


def test_approving_without_an_id_lists_and_answers_nothing_where_nobody_sits(
    holdfast: Any, control: Any, outage: int, database: Database
) -> None:
    shown = holdfast("approve")

    assert shown.code == 0
    assert "web1: sudo -n /usr/local/bin/roll-back shop" in shown.out
    assert replies(database) == []


def test_nothing_waits(holdfast: Any, database: Database) -> None:
    assert holdfast("approve").out == "No question waits for an answer.\n"
    assert holdfast("approve", "--json").json == {"pending": []}


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
    [["approve", "i41"], ["deny", "i41"], ["answer", "i41", "wait"], ["stop-all"], ["resume"], ["reload"]],
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
