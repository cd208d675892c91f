"""Kill the daemon with SIGKILL at every instant that matters; nothing acknowledged may be lost, and
nothing may be done twice."""

from __future__ import annotations

import importlib
import pkgutil
import sqlite3
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

import httpx
import pytest

import holdfast
from holdfast.effects import crash_points
from holdfast.model.records import RunState
from holdfast.store import gates, incidents, journal, runs

if TYPE_CHECKING:
    from conftest import Process

EVENTS = 12

CONFIG = """
format: 1
listen: {host: 127.0.0.1, port: 0}
sources:
  lab: {kind: webhook, trust: high}
events:
  lab.fault: {data.n: int}
channels:
  push: {url: $secret.push-url, timeout: 3s}
operators:
  me: {channels: [push]}
"""

RULE = """
rule: fault
doc: Each fault is an incident of its own, and runs one command that may not run twice.
mode: auto
when: {e: {event: lab.fault}}
incident: {type: lab, severity: error, title: "fault $e.data.n", key: [$e.id]}
clears: {after: 1h}
per: [id]
contain:
  - {do: leave-a-mark, with: {n: $e.data.n}}
---
action: leave-a-mark
doc: Append one line.
local: {argv: [/bin/sh, -c, 'echo "$$1" >> "$$2"', mark, $n, "@EFFECTS@"]}
params: {n: {type: int, min: 0, max: 1000000}}
verify: none
undo: none
touches: [availability]
idempotent: false
risk: low
deadline: 20s
fresh: none
"""

POLICIES = """
policy: lab-envelope
doc: In the lab everything of low risk is allowed.
envelope: {incident_type: lab, allow: {risk: low, touches: [availability]}}
---
policy: lab-rate
doc: No rate in the lab.
limit: {per: [action, target], max: 100000, within: 1h}
replaces: builtin-rate
---
policy: lab-targets
doc: The lab acts on one machine all the time.
blast-radius: {of: service, at_once: 100000}
replaces: builtin-one-target
"""


def every_point() -> list[str]:
    """All crash points of the package, whoever registers them."""
    for module in pkgutil.walk_packages(holdfast.__path__, "holdfast."):
        if not module.name.startswith(("holdfast.store.migrations.", "holdfast.__main__")):
            importlib.import_module(module.name)
    return sorted(point for point in crash_points() if not point.startswith("tests."))


#: Points that this scenario does not come to; another test kills there.
ELSEWHERE = {
    "notify.mailbox": "test_mail_crash.py",
    "pipeline.quarantine": "test_a_kill_while_an_entry_is_set_aside_sets_it_aside_once",
}


def configure(daemon: Process, push_url: str) -> None:
    daemon.write("holdfast.yaml", CONFIG)
    daemon.write("rules/lab.yaml", RULE.replace("@EFFECTS@", str(daemon.effects)))
    daemon.write("policies/lab.yaml", POLICIES)
    daemon.secret("push-url", push_url)


def post(daemon: Process, number: int) -> bool:
    """Send one fault; whether it was acknowledged."""
    body = {"id": f"n{number}", "type": "lab.fault", "data": {"n": number}}
    try:
        answer = httpx.post(
            f"http://127.0.0.1:{daemon.port}/events?source=lab", json=body, timeout=10, trust_env=False
        )
    except httpx.HTTPError:
        return False
    return answer.status_code == 202


def marks(daemon: Process) -> Counter[int]:
    """What was really done, as the target counts it."""
    return Counter(int(line) for line in daemon.effects.read_text(encoding="ascii").split())


def settled(daemon: Process, acknowledged: set[int]) -> bool:
    """Every acknowledged event has led to its effect, or to a question about it."""
    asked = asked_about(daemon)
    return all(marks(daemon)[number] or number in asked for number in acknowledged)


def asked_about(daemon: Process) -> set[int]:
    database = daemon.database()
    with database.read() as tx:
        pending = {gate.incident for gate in gates.pending(tx)}
        found = {
            int(i.title.removeprefix("fault ")) for i in incidents.listed(tx, limit=1000) if i.id in pending
        }
    database.close()
    return found


def sides() -> list[str]:
    return [
        f"{point}.{side}" for point in every_point() if point not in ELSEWHERE for side in ("before", "after")
    ]


@pytest.mark.parametrize("crash_at", sides())
def test_a_kill_at_this_point_loses_nothing_and_does_nothing_twice(
    daemon: Process, push_target: str, crash_at: str, record_property: Callable[[str, object], None]
) -> None:
    configure(daemon, push_target)
    acknowledged: set[int] = set()
    came_up = daemon.start(crash_at=crash_at)
    for number in range(EVENTS if came_up else 0):
        if post(daemon, number):
            acknowledged.add(number)
    died = daemon.wait_dead()
    before = marks(daemon)
    assert daemon.start()
    for number in range(EVENTS):
        if number not in acknowledged and post(daemon, number):
            acknowledged.add(number)
    daemon.until(lambda: settled(daemon, acknowledged), "every acknowledged event to be settled")
    done, asked = marks(daemon), asked_about(daemon)
    record_property("acknowledged", len(acknowledged))
    record_property("done before the kill", sum(before.values()))
    record_property("asked", sorted(asked))

    assert died == -9
    assert acknowledged == set(range(EVENTS))
    assert [number for number, times in done.items() if times > 1] == []
    assert len(asked) <= 8
    assert daemon.stop() == 0


def test_every_crash_point_is_reached_by_some_test() -> None:
    assert set(ELSEWHERE) <= set(every_point())


def test_a_kill_while_an_entry_is_set_aside_sets_it_aside_once(daemon: Process, push_target: str) -> None:
    configure(daemon, push_target)
    database = None
    assert daemon.start(crash_at="pipeline.quarantine.before")
    poison(daemon)
    died = daemon.wait_dead()
    assert daemon.start()
    assert post(daemon, 1)
    daemon.until(lambda: settled(daemon, {1}), "the road to go on")
    database = daemon.database()
    with database.read() as tx:
        aside = journal.quarantined(tx, 10)
    database.close()

    assert died == -9
    assert len(aside) == 1


def poison(daemon: Process) -> None:
    """An entry that nothing can handle, as a bug would leave one in the journal."""
    with sqlite3.connect(daemon.state / "holdfast.db", timeout=30) as plain:
        plain.execute(
            'INSERT INTO journal (received, kind, source, id, "commit", body) '
            "VALUES ((SELECT max(received) FROM journal), 'outcome', 'bug', 'bug-1', '', x'7b')"
        )
    plain.close()


def test_runs_are_all_over_in_the_end(daemon: Process, push_target: str) -> None:
    configure(daemon, push_target)
    assert daemon.start()
    for number in range(EVENTS):
        assert post(daemon, number)
    daemon.until(lambda: settled(daemon, set(range(EVENTS))), "all effects")

    def verified() -> bool:
        database = daemon.database()
        with database.read() as tx:
            done = len(runs.in_states(tx, [RunState.VERIFIED]))
        database.close()
        return done == EVENTS

    daemon.until(verified, "every run to be over")

    assert marks(daemon) == Counter(dict.fromkeys(range(EVENTS), 1))
