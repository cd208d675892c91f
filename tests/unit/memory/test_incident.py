"""One fault, one incident: opened, joined, cleared by observation, reopened, closed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from holdfast.effects import crash_point
from holdfast.memory import incident as memory
from holdfast.memory.incident import How, Sighting
from holdfast.model.records import IncidentState
from holdfast.model.values import Severity
from holdfast.store import incidents
from holdfast.store.database import Database, Tx

POINT = crash_point("tests.unit.memory")
SIGHTING = Sighting("k", "service-down", Severity.ERROR, "the shop fails", "shop", "shop")


@pytest.fixture
def tx(tmp_path: Path) -> Iterator[Tx]:
    database = Database.open(tmp_path / "holdfast.db")
    with database.begin(POINT) as transaction:
        yield transaction
    database.close()


def test_the_first_sighting_opens_an_incident(tx: Tx) -> None:
    found, how = memory.see(tx, SIGHTING, "i1", 100)

    assert how is How.OPENED
    assert (found.id, found.state, found.version, found.opened) == ("i1", IncidentState.OPEN, 1, 100)
    assert (found.type, found.title, found.service, found.subject) == (
        "service-down",
        "the shop fails",
        "shop",
        "shop",
    )
    assert incidents.find(tx, "i1") == found


def test_the_same_fault_joins_it_and_another_one_does_not(tx: Tx) -> None:
    first, _ = memory.see(tx, SIGHTING, "i1", 100)
    same, joined = memory.see(tx, replace(SIGHTING, title="other words"), "i2", 200)
    other, opened = memory.see(tx, replace(SIGHTING, key="k2"), "i3", 300)

    assert (same, joined) == (first, How.JOINED)
    assert (other.id, opened) == ("i3", How.OPENED)


@pytest.mark.parametrize(
    ("then", "wanted"),
    [
        (Severity.CRITICAL, Severity.CRITICAL),
        (Severity.ERROR, Severity.ERROR),
        (Severity.INFO, Severity.ERROR),
    ],
)
def test_the_severity_rises_and_never_sinks(tx: Tx, then: Severity, wanted: Severity) -> None:
    memory.see(tx, SIGHTING, "i1", 100)
    found, _ = memory.see(tx, replace(SIGHTING, severity=then), "i2", 200)

    assert found.severity is wanted
    assert incidents.find(tx, "i1") == found


@pytest.mark.parametrize("then", [Severity.CRITICAL, Severity.INFO])
def test_a_fault_that_comes_back_reopens_its_incident(tx: Tx, then: Severity) -> None:
    first, _ = memory.see(tx, SIGHTING, "i1", 100)
    cleared = memory.clear(tx, first, 200)
    again, how = memory.see(tx, replace(SIGHTING, severity=then), "i2", 300)

    assert (cleared.state, cleared.cleared) == (IncidentState.CLEARED, 200)
    assert how is How.REOPENED
    assert (again.id, again.state, again.cleared, again.reopened) == ("i1", IncidentState.OPEN, None, 1)
    assert again.severity is max(Severity.ERROR, then, key=lambda level: level.rank)


def test_a_closed_incident_never_comes_back(tx: Tx) -> None:
    first, _ = memory.see(tx, SIGHTING, "i1", 100)
    closed = memory.close(tx, memory.clear(tx, first, 200), 300)
    fresh, how = memory.see(tx, SIGHTING, "i2", 400)

    assert closed.state is IncidentState.CLOSED
    assert (fresh.id, fresh.reopened, how) == ("i2", 0, How.OPENED)
    assert incidents.find(tx, "i1") == closed


def test_what_changed_meanwhile_is_not_overwritten(tx: Tx) -> None:
    first, _ = memory.see(tx, SIGHTING, "i1", 100)
    memory.clear(tx, first, 200)
    with pytest.raises(RuntimeError, match="changed under our feet"):
        memory.close(tx, first, 300)


def test_a_key_tells_apart_what_only_looks_alike() -> None:
    keys = {
        memory.key_of("down", values)
        for values in ((), ("a",), ("a", None), ("a", "null"), (["a"],), ("1",), (1,), (True,), ('a","b',))
    }

    assert len(keys) == 9
    assert memory.key_of("down", ("a",)) != memory.key_of("up", ("a",))
