"""Incidents: compare-and-swap on the version, an append-only story, and who holds one open."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from sqlalchemy.exc import IntegrityError

from holdfast.errors import StoreError
from holdfast.model.events import Event
from holdfast.model.records import Incident, IncidentState, TimelineItem
from holdfast.model.values import Severity
from holdfast.store import incidents
from holdfast.store.database import Database, Tx
from holdfast.store.incidents import CONTAINING, DONE, Response

Begin = Callable[[], AbstractContextManager[Tx]]
MakeIncident = Callable[..., Incident]


def test_a_change_counts_the_version_up(tx: Begin, incident: MakeIncident) -> None:
    with tx() as t:
        incidents.insert(t, incident())
        changed = incidents.change(t, incident(), 200, severity=Severity.CRITICAL)

        assert changed == incident(severity=Severity.CRITICAL, version=2, changed=200)
        assert incidents.find(t, "i1") == changed


def test_a_change_of_something_that_changed_meanwhile_is_refused(tx: Begin, incident: MakeIncident) -> None:
    with tx() as t:
        incidents.insert(t, incident())
        incidents.change(t, incident(), 200, state=IncidentState.CLEARED, cleared=200)
        with pytest.raises(RuntimeError, match=r"i1 changed under our feet \(version 1\)"):
            incidents.change(t, incident(), 300, state=IncidentState.CLOSED)

        found = incidents.find(t, "i1")
        assert found is not None
        assert (found.state, found.version) == (IncidentState.CLEARED, 2)


def test_of_twenty_changes_of_one_version_one_is_made(
    database: Database, point: str, incident: MakeIncident
) -> None:
    with database.begin(point) as t:
        incidents.insert(t, incident())
    together, made = threading.Barrier(20), []

    def change(number: int) -> None:
        together.wait()
        try:
            with database.begin(point) as t:
                incidents.change(t, incident(), 200 + number, severity=Severity.CRITICAL)
        except RuntimeError:
            return
        made.append(number)

    workers = [threading.Thread(target=change, args=(number,)) for number in range(20)]
    for each in workers:
        each.start()
    for each in workers:
        each.join()
    with database.read() as t:
        found = incidents.find(t, "i1")

    assert len(made) == 1
    assert found is not None
    assert (found.version, found.changed) == (2, 200 + made[0])


@pytest.mark.parametrize("state", [IncidentState.OPEN, IncidentState.CLEARED])
def test_the_database_refuses_a_second_live_incident_of_one_key(
    database: Database, point: str, incident: MakeIncident, state: IncidentState
) -> None:
    with database.begin(point) as t:
        incidents.insert(t, incident(key="k", state=state))

    def again() -> None:
        with database.begin(point) as t:
            incidents.insert(t, incident("i2", key="k"))

    with pytest.raises((StoreError, IntegrityError), match="UNIQUE"):
        again()


def test_a_closed_incident_makes_room_for_the_next(tx: Begin, incident: MakeIncident) -> None:
    with tx() as t:
        incidents.insert(t, incident(key="k", state=IncidentState.CLOSED))
        incidents.insert(t, incident("i2", key="k"))

        assert incidents.live(t, "k") == incident("i2", key="k")
        assert incidents.live(t, "other") is None


def test_lists_are_newest_first_and_by_state(tx: Begin, incident: MakeIncident) -> None:
    with tx() as t:
        incidents.insert(t, incident("i1", opened=100))
        incidents.insert(t, incident("i2", opened=300, state=IncidentState.CLEARED))
        incidents.insert(t, incident("i3", opened=200, state=IncidentState.CLOSED))

        assert [found.id for found in incidents.listed(t)] == ["i2", "i3", "i1"]
        assert [found.id for found in incidents.listed(t, limit=1)] == ["i2"]
        assert [found.id for found in incidents.listed(t, [IncidentState.OPEN])] == ["i1"]
        assert incidents.count(t) == {
            IncidentState.OPEN: 1,
            IncidentState.CLEARED: 1,
            IncidentState.CLOSED: 1,
        }
        assert [found.id for found in incidents.beginning_with(t, "i")] == ["i2", "i3", "i1"]
        assert incidents.beginning_with(t, "_") == []


def line(incident: str, kind: str, text: str, **data: object) -> TimelineItem:
    return TimelineItem(incident, 100, 7, kind, text, "c1", data)  # type: ignore[arg-type]


def test_a_story_keeps_the_order_in_which_it_was_told(tx: Begin) -> None:
    lines = [line("i1", "opened", "a", deep={"x": [1, None]}), line("i1", "evidence", "b")]
    with tx() as t:
        incidents.append(t, lines[0])
        incidents.append(t, line("i2", "opened", "elsewhere"))
        incidents.append(t, lines[1])
        tail = incidents.tail(t, 0, 10)

        assert incidents.story(t, "i1") == lines
        assert incidents.story(t, "i1", "evidence") == lines[1:]
        assert [item.text for _, item in tail] == ["a", "elsewhere", "b"]
        assert [item.text for _, item in incidents.tail(t, tail[1][0], 10)] == ["b"]
        assert len(incidents.tail(t, 0, 2)) == 2


def test_an_incident_is_held_open_until_every_firing_is_clear(tx: Begin, incident: MakeIncident) -> None:
    with tx() as t:
        incidents.insert(t, incident())
        counts = [incidents.fired(t, "i1", "probe", "[1]", at) for at in (100, 110, 120)]
        incidents.fired(t, "i1", "logs", "[1]", 130)
        left = [
            incidents.clear_firing(t, "i1", "probe", "[1]"),
            incidents.clear_firing(t, "i1", "probe", "[1]"),
            incidents.clear_firing(t, "i1", "logs", "[1]"),
        ]
        holders = incidents.holders(t, "i1")
        again = incidents.fired(t, "i1", "probe", "[1]", 140)

        assert counts == [1, 2, 3]
        assert left == [1, 1, 0]
        assert holders == [("logs", "[1]", True), ("probe", "[1]", True)]
        assert again == 4
        assert [found.id for found in incidents.held_open_by(t, "probe", "[1]")] == ["i1"]
        assert incidents.held_open_by(t, "probe", "[2]") == []
        assert incidents.firing_counts(t) == {"probe": (4, 140), "logs": (1, 130)}


def test_an_incident_that_is_not_open_is_held_open_by_nobody(tx: Begin, incident: MakeIncident) -> None:
    with tx() as t:
        incidents.insert(t, incident(state=IncidentState.CLEARED))
        incidents.fired(t, "i1", "probe", "[1]", 100)

        assert incidents.held_open_by(t, "probe", "[1]") == []


def test_how_far_a_rule_has_come_is_replaced(tx: Begin, event: Event) -> None:
    first = Response("i1", "probe", 0, CONTAINING, event)
    with tx() as t:
        incidents.put_response(t, first)
        incidents.put_response(t, Response("i1", "logs", 0, 1, event))
        incidents.put_response(t, Response("i1", "probe", 1, DONE, event))

        assert incidents.response(t, "i1", "probe") == Response("i1", "probe", 1, DONE, event)
        assert incidents.response(t, "i1", "other") is None
        assert [found.rule for found in incidents.responses_of(t, "i1")] == ["logs", "probe"]
