"""What an operator lives through: an event is acted on and told; stops, refusals, the kill switch."""

from __future__ import annotations

import socket
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from holdfast.model.records import RunState
from holdfast.store import outbox, runs

if TYPE_CHECKING:
    from conftest import Process

#: A daemon that is told to stop has gone after so many seconds, whatever it was doing.
GONE_WITHIN = 10.0

TWO_SOURCES = """
format: 1
listen: {host: 127.0.0.1, port: 0}
sources:
  lab: {kind: webhook, trust: high}
  shop: {kind: webhook, trust: high, verify: {scheme: bearer, secret: $secret.shop-token}}
events:
  lab.fault: {data.n: int}
channels:
  push: {url: $secret.push-url, timeout: 3s}
operators:
  me: {channels: [push]}
"""

#: Says that it began, waits for the file GO (30 s at most), and leaves its mark.
WAITING = """
action: leave-a-mark
doc: Wait for a file, then append one line.
local:
  argv:
    - /bin/sh
    - -c
    - 'touch "$$3.began"; i=0; while [ ! -e "$$3" ] && [ $$i -lt 300 ]; do sleep 0.1; i=$$((i + 1)); done;
      echo "$$1" >> "$$2"'
    - mark
    - $n
    - "@EFFECTS@"
    - "@GO@"
params: {n: {type: int, min: 0, max: 1000000}}
verify: none
undo: none
touches: [availability]
idempotent: false
risk: low
deadline: 60s
fresh: none
"""


def fault(number: int, key: str = "") -> dict[str, object]:
    return {"id": key or f"n{number}", "type": "lab.fault", "data": {"n": number}}


@pytest.fixture
def up(daemon: Process, push_target: str) -> Process:
    daemon.lab(push_target, {"holdfast.yaml": TWO_SOURCES})
    daemon.secret("shop-token", "a-token-of-the-shop")
    assert daemon.start()
    return daemon


def test_an_event_becomes_an_incident_that_the_commands_tell(up: Process) -> None:
    answer = up.post(fault(7))
    up.until(lambda: up.marks()[7], "the effect")
    up.until(lambda: [run.state for run in up.runs()] == [RunState.VERIFIED], "the run to be over")
    listed = up.look("incidents")
    (line,) = listed["incidents"]
    told = up.look("show", line["id"])
    words = up.run("show", line["id"])

    assert (answer.status_code, answer.json()) == (202, {"accepted": 1, "duplicates": 0})
    assert listed["counts"] == {"open": 1}
    assert (line["state"], line["type"], line["title"]) == ("open", "lab", "fault 7")
    assert [item["kind"] for item in told["timeline"]][:5] == [
        "opened",
        "evidence",
        "decided",
        "start",
        "attempt",
    ]
    assert {item["commit"] for item in told["timeline"]} == {up.status()["commit"]}
    assert "fault 7" in words.stdout
    assert "leave-a-mark" in words.stdout


def test_a_source_without_a_secret_is_heard_from_this_machine_alone_and_the_log_says_so(up: Process) -> None:
    said = up.logged("sources.loopback_only")
    carried = [
        up.post(fault(1), headers=headers).status_code
        for headers in ({"X-Forwarded-For": "203.0.113.7"}, {"Forwarded": "for=1.2.3.4"}, {"Via": "a proxy"})
    ]
    own = up.post(fault(2)).status_code
    up.until(lambda: up.marks()[2], "the effect")

    assert [line["sources"] for line in said] == [["lab"]]
    assert (carried, own) == ([401, 401, 401], 202)
    assert up.marks() == Counter({2: 1})


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer a-token-of-the-shoq"},
        {"Authorization": "Bearer"},
        {"Authorization": "Basic a-token-of-the-shop"},
    ],
)
def test_a_source_with_a_token_refuses_whoever_does_not_have_it(up: Process, headers: dict[str, str]) -> None:
    refused = up.post(fault(1), "shop", headers)
    taken = up.post(fault(2), "shop", {"Authorization": "Bearer a-token-of-the-shop"})
    up.until(lambda: up.marks()[2], "the effect")

    assert (refused.status_code, taken.status_code) == (401, 202)
    assert up.marks() == Counter({2: 1})
    assert "a-token-of-the-shop" not in up.log()


def test_an_event_that_comes_twice_counts_once(up: Process) -> None:
    answers = [up.post(fault(3)).json() for _ in range(3)]
    up.until(lambda: up.marks()[3], "the effect")
    up.until(lambda: up.behind() == 0, "everything to be decided")
    (incident,) = up.incidents()
    evidence = [item for item in up.story(incident.id) if item.kind == "evidence"]

    assert answers == [{"accepted": 1, "duplicates": 0}, *[{"accepted": 0, "duplicates": 1}] * 2]
    assert up.marks() == Counter({3: 1})
    assert len(evidence) == 1


def slow_request(daemon: Process) -> socket.socket:
    """A sender that has begun a request and does not end it."""
    sender = socket.create_connection(("127.0.0.1", daemon.port), timeout=20)
    sender.sendall(b"POST /events?source=lab HTTP/1.1\r\nHost: lab\r\nContent-Length: 400\r\n\r\n{")
    return sender


def stopped_within(daemon: Process) -> tuple[int, float]:
    began = time.monotonic()
    code = daemon.stop(30)
    return code, time.monotonic() - began


@pytest.mark.parametrize("ends_while_it_is_down", [True, False])
def test_a_stop_waits_for_nobody_and_the_next_start_finds_what_ran_on(
    daemon: Process,
    push_target: str,
    ends_while_it_is_down: bool,
    record_property: Callable[[str, object], None],
) -> None:
    daemon.lab(push_target, {"rules/actions.yaml": WAITING})
    assert daemon.start()
    assert daemon.post(fault(5)).status_code == 202
    daemon.until(daemon.go.with_suffix(".began").exists, "the command to run")
    with slow_request(daemon):
        code, seconds = stopped_within(daemon)
    while_down = daemon.marks()
    if ends_while_it_is_down:
        daemon.go.touch()
        daemon.until(lambda: daemon.marks()[5], "the command to end without the daemon")
    assert daemon.start()
    daemon.go.touch()
    daemon.until(lambda: all(run.state.over for run in daemon.runs()), "the run to be over")
    (run,) = daemon.runs()
    attempts = daemon.read(lambda tx: runs.attempts_of(tx, run.id))
    record_property("seconds to stop", round(seconds, 2))

    assert code == 0
    assert seconds < GONE_WITHIN
    assert while_down == Counter()
    assert daemon.marks() == Counter({5: 1})
    assert run.state is RunState.VERIFIED
    assert [attempt.number for attempt in attempts] == [1]
    assert daemon.questions() == []


def test_a_second_daemon_on_the_same_state_is_refused_in_one_line(up: Process) -> None:
    assert up.process is not None
    second = up.run("run")

    assert second.returncode == 1
    assert second.stdout == ""
    (line,) = second.stderr.splitlines()
    assert f"another holdfast daemon (process {up.process.pid})" in line
    assert "stop it first" in line
    assert up.post(fault(1)).status_code == 202


def test_a_port_that_is_taken_is_said_with_the_way_out(daemon: Process, push_target: str, mute: int) -> None:
    site = daemon.lab_files()["holdfast.yaml"].replace("port: 0", f"port: {mute}")
    daemon.lab(push_target, {"holdfast.yaml": site})
    refused = daemon.run("run")
    (said,) = [line for line in refused.stderr.splitlines() if line.startswith("holdfast: ")]

    assert refused.returncode == 1
    assert f"cannot listen on 127.0.0.1:{mute}" in said
    assert "change `listen` in holdfast.yaml" in said
    assert not daemon.listens()


def test_a_config_that_is_not_valid_is_told_whole_and_nothing_starts(
    daemon: Process, push_target: str
) -> None:
    rule = daemon.lab_files()["rules/lab.yaml"].replace("mode: auto", "mode: fast")
    action = daemon.lab_files()["rules/actions.yaml"].replace("touches: [availability]\n", "")
    policy = daemon.lab_files()["policies/lab.yaml"].replace("incident_type: lab", "incident_type: labb")
    daemon.lab(
        push_target, {"rules/lab.yaml": rule, "rules/actions.yaml": action, "policies/lab.yaml": policy}
    )
    refused = daemon.run("run")
    checked = daemon.run("check")
    lines = refused.stderr.splitlines()

    assert refused.returncode == 2
    assert [line.removeprefix("holdfast: ") for line in lines] == checked.stdout.splitlines()[:-1]
    assert {line.removeprefix("holdfast: ").partition(":")[0] for line in lines} >= {
        "rules/lab.yaml",
        "rules/actions.yaml",
    }
    assert not (daemon.state / "control.sock").exists()


def answer(daemon: Process, choice: str) -> str:
    (question,) = daemon.questions()
    said: str = daemon.look("answer", question.id, choice)["kind"]
    return said


def test_the_kill_switch_keeps_everything_from_starting_until_it_is_released_and_asks_then(
    up: Process,
) -> None:
    stopped = up.look("stop-all", "--reason", "a drill")["stopped"]
    assert up.post(fault(1)).status_code == 202
    up.until(lambda: [run.state for run in up.runs()] == [RunState.WAITING], "the run to be held")
    survives = (up.stop(), up.start(), up.status()["stopped"])
    resumed = up.look("resume")["stopped"]
    held = up.marks()
    kind = answer(up, "approve")
    up.until(lambda: up.marks()[1], "the effect that was approved")

    assert (stopped, survives, resumed) == (True, (0, True, True), False)
    assert held == Counter()
    assert kind == "accepted"
    assert up.marks() == Counter({1: 1})


def test_the_stop_file_is_a_kill_switch_from_the_moment_it_is_there(up: Process) -> None:
    (up.state / "stop").touch()
    for number in range(5):  # at once: the daemon may not have noticed the file yet
        assert up.post(fault(number)).status_code == 202
    up.until(lambda: up.status()["stopped"], "the daemon to notice the file")
    up.until(lambda: [run.state for run in up.runs()] == [RunState.WAITING] * 5, "the runs to be held")
    held = up.marks()
    (up.state / "stop").unlink()
    up.until(lambda: not up.status()["stopped"], "the daemon to notice that the file is gone")
    asked = up.questions()
    for question in asked:
        assert up.look("answer", question.id, "deny")["kind"] == "denied"

    assert held == Counter()
    assert len(asked) == 5
    assert {run.state for run in up.runs()} == {RunState.DENIED}
    assert up.marks() == Counter()


def test_resuming_by_command_takes_the_stop_file_away(up: Process) -> None:
    (up.state / "stop").touch()
    up.until(lambda: up.status()["stopped"], "the daemon to notice the file")
    up.look("resume")
    assert up.post(fault(1)).status_code == 202
    up.until(lambda: up.marks()[1], "the effect")

    assert not (up.state / "stop").exists()
    assert not up.status()["stopped"]


def test_a_stop_file_that_is_there_before_the_start_counts(daemon: Process, push_target: str) -> None:
    daemon.lab(push_target)
    (daemon.state / "stop").touch()
    assert daemon.start()
    assert daemon.post(fault(1)).status_code == 202
    daemon.until(lambda: [run.state for run in daemon.runs()] == [RunState.WAITING], "the run to be held")

    assert daemon.marks() == Counter()


def test_what_cannot_be_handled_is_set_aside_and_shown_with_the_reason(up: Process) -> None:
    poison = sqlite3.connect(up.state / "holdfast.db", timeout=30)
    with poison:
        poison.execute(
            'INSERT INTO journal (received, kind, source, id, "commit", body) '
            "VALUES ((SELECT max(received) FROM journal), 'outcome', 'bug', 'bug-1', '', x'7b')"
        )
    poison.close()
    assert up.post(fault(1)).status_code == 202
    up.until(lambda: up.marks()[1], "the road to go on")
    (entry,) = up.look("events", "--quarantined")["entries"]
    words = up.run("events", "--quarantined").stdout

    assert (entry["kind"], entry["source"], entry["id"], entry["body"]) == ("outcome", "bug", "bug-1", "{")
    assert "DecodeError" in entry["reason"]
    assert entry["reason"] in words


HANGING = """
format: 1
listen: {host: 127.0.0.1, port: 0}
sources:
  lab: {kind: webhook, trust: high}
events:
  lab.fault: {data.n: int}
channels:
  push: {url: $secret.push-url, timeout: 30s}
  mail:
    url: $secret.push-url
    replies:
      imap: {host: 127.0.0.1, port: @PORT@, user: holdfast, password: $secret.push-url}
      address: holdfast@lab.test
operators:
  me: {channels: [push]}
"""


@pytest.fixture
def mute() -> Iterator[int]:
    """The port of a server that takes every connection and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield int(server.getsockname()[1])


def test_a_stop_is_in_time_although_everything_that_it_talks_to_hangs(
    daemon: Process, mute: int, record_property: Callable[[str, object], None]
) -> None:
    daemon.lab(
        f"json://127.0.0.1:{mute}/",
        {"rules/actions.yaml": WAITING, "holdfast.yaml": HANGING.replace("@PORT@", str(mute))},
    )
    assert daemon.start()
    assert daemon.post(fault(5)).status_code == 202
    daemon.until(daemon.go.with_suffix(".began").exists, "the command to run")
    daemon.until(lambda: daemon.read(outbox.sending), "the message to be on its way")
    with slow_request(daemon):
        code, seconds = stopped_within(daemon)
    record_property("seconds to stop", round(seconds, 2))

    assert code == 0
    assert seconds < GONE_WITHIN
