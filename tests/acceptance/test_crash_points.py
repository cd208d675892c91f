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
from holdfast.errors import StoreError
from holdfast.model.records import RunState
from holdfast.store import journal, runs

if TYPE_CHECKING:
    from conftest import Process

EVENTS = 12

#: Points that are reached often are also struck at a later time: what is there already must survive too.
LATER = {
    "execute.attempt": 5,
    "execute.intend": 4,
    "journal.append": 9,
    "notify.send": 3,
    "notify.take": 4,
    "pipeline.decide": 11,
}


def every_point() -> list[str]:
    """All crash points of the package, whoever registers them."""
    for module in pkgutil.walk_packages(holdfast.__path__, "holdfast."):
        if not module.name.startswith(("holdfast.store.migrations.", "holdfast.__main__")):
            importlib.import_module(module.name)
    return sorted(point for point in crash_points() if not point.startswith("tests."))


#: Points that this scenario does not come to; another test kills there.
ELSEWHERE = {
    "pipeline.pass": "test_a_kill_while_events_that_mean_nothing_are_passed_by_changes_nothing",
    "notify.mailbox": "test_mail_crash.py",
    "pipeline.quarantine": "test_a_kill_while_an_entry_is_set_aside_sets_it_aside_once",
}


def post(daemon: Process, number: int) -> bool:
    """Send one fault; whether it was acknowledged."""
    try:
        answer = daemon.post({"id": f"n{number}", "type": "lab.fault", "data": {"n": number}})
    except httpx.HTTPError:
        return False
    return answer.status_code == 202


def settled(daemon: Process, acknowledged: set[int]) -> bool:
    """Every acknowledged event has led to its effect, or to a question about it."""
    asked = asked_about(daemon)
    return all(daemon.marks()[number] or number in asked for number in acknowledged)


def asked_about(daemon: Process) -> set[int]:
    asked = {gate.incident for gate in daemon.questions()}
    return {int(i.title.removeprefix("fault ")) for i in daemon.incidents() if i.id in asked}


def in_flight(daemon: Process) -> int:
    """How many attempts had been begun without an outcome when the daemon died."""
    try:
        return len(daemon.read(runs.intended))
    except StoreError:  # it died before there were any tables
        return 0


def sides() -> list[str]:
    first = [point for point in every_point() if point not in ELSEWHERE]
    return [
        *(f"{point}.{side}" for point in first for side in ("before", "after")),
        *(f"{point}.{side}:{time}" for point, time in LATER.items() for side in ("before", "after")),
    ]


@pytest.mark.parametrize("crash_at", sides())
def test_a_kill_at_this_point_loses_nothing_and_does_nothing_twice(
    daemon: Process, push_target: str, crash_at: str, record_property: Callable[[str, object], None]
) -> None:
    daemon.lab(push_target)
    acknowledged: set[int] = set()
    came_up = daemon.start(crash_at=crash_at)
    for number in range(EVENTS if came_up else 0):
        if post(daemon, number):
            acknowledged.add(number)
    died, begun = daemon.wait_dead(), in_flight(daemon)
    before = daemon.marks()
    assert daemon.start()
    for number in range(EVENTS):
        if number not in acknowledged and post(daemon, number):
            acknowledged.add(number)
    daemon.until(lambda: settled(daemon, acknowledged), "every acknowledged event to be settled")
    ended = daemon.stop()
    done, asked = daemon.marks(), asked_about(daemon)
    record_property("acknowledged", len(acknowledged))
    record_property("done before the kill", sum(before.values()))
    record_property("asked", sorted(asked))

    assert died == -9
    assert acknowledged == set(range(EVENTS))
    assert [number for number, times in done.items() if times > 1] == []
    assert len(asked) <= begun
    assert ended == 0


def test_every_crash_point_is_reached_by_some_test() -> None:
    assert {*ELSEWHERE, *LATER} <= set(every_point())


def test_a_kill_while_an_entry_is_set_aside_sets_it_aside_once(daemon: Process, push_target: str) -> None:
    daemon.lab(push_target)
    assert daemon.start(crash_at="pipeline.quarantine.before")
    poison(daemon)
    died = daemon.wait_dead()
    assert daemon.start()
    assert post(daemon, 1)
    daemon.until(lambda: settled(daemon, {1}), "the road to go on")
    aside = daemon.read(lambda tx: journal.quarantined(tx, 10))

    assert died == -9
    assert len(aside) == 1


@pytest.mark.parametrize("side", ["before", "after"])
def test_a_kill_while_events_that_mean_nothing_are_passed_by_changes_nothing(
    daemon: Process, push_target: str, side: str
) -> None:
    daemon.lab(push_target)
    assert daemon.start(crash_at=f"pipeline.pass.{side}")
    assert daemon.post({"id": "noise", "type": "lab.noise"}).status_code == 202
    died = daemon.wait_dead()
    assert daemon.start()
    assert post(daemon, 1)
    daemon.until(lambda: settled(daemon, {1}), "the road to go on")

    assert died == -9
    assert daemon.marks() == {1: 1}
    assert daemon.post({"id": "noise", "type": "lab.noise"}).json() == {"accepted": 0, "duplicates": 1}


def poison(daemon: Process) -> None:
    """An entry that nothing can handle, as a bug would leave one in the journal."""
    with sqlite3.connect(daemon.state / "holdfast.db", timeout=30) as plain:
        plain.execute(
            'INSERT INTO journal (received, kind, source, id, "commit", body) '
            "VALUES ((SELECT max(received) FROM journal), 'outcome', 'bug', 'bug-1', '', x'7b')"
        )
    plain.close()


def test_runs_are_all_over_in_the_end(daemon: Process, push_target: str) -> None:
    daemon.lab(push_target)
    assert daemon.start()
    for number in range(EVENTS):
        assert post(daemon, number)
    daemon.until(lambda: settled(daemon, set(range(EVENTS))), "all effects")

    def verified() -> bool:
        return len(daemon.read(lambda tx: runs.in_states(tx, [RunState.VERIFIED]))) == EVENTS

    daemon.until(verified, "every run to be over")

    assert daemon.marks() == Counter(dict.fromkeys(range(EVENTS), 1))
