"""What one entry costs, in statements and in steps of SQLite, does not grow with what is there already."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from holdfast.effects import crash_point
from holdfast.model.events import Entry, Event, Provenance
from holdfast.model.kinds import EntryKind
from holdfast.model.records import Outcome, OutcomeKind
from holdfast.model.values import Severity, Trust
from holdfast.store import journal

if TYPE_CHECKING:
    from conftest import World

POINT = crash_point("tests.integration.pipeline.growth")
MANY = 5_000
#: So many entries are measured together; the first of a batch pays for the commit before it.
SAMPLE = 20
#: A tree that is a level deeper costs a little more.
TOLERANCE = 1.1

ALARM = """
rule: alarm
doc: Each alarm is an incident of its own.
mode: auto
when: {e: {event: alarm}}
per: [id]
incident: {type: service-down, severity: error, title: "alarm $e.id", key: [$e.id]}
clears: {after: 1h}
contain:
  - {do: write-down, with: {id: $e.data.number}}
---
action: write-down
doc: Write a number down.
local: {argv: [/bin/echo, $id]}
params: {id: {type: int}}
verify: none
undo: none
touches: [availability]
idempotent: true
risk: low
deadline: 20s
fresh: none
"""

UNLIMITED = """
policy: often
doc: It may act far more often than three times an hour.
limit: {per: [action, target], max: 100000, within: 1h}
replaces: builtin-rate
"""


class Meter:
    """Counts what SQLite does on the connection that writes."""

    def __init__(self, world: World) -> None:
        self._world = world
        with world.db.begin(POINT) as tx:
            self._driver: Any = tx.connection.dbapi_connection
        self._statements: list[str] = []
        self._steps = 0

    def cost(self, entries: Sequence[Entry]) -> tuple[float, float]:
        """(statements, steps) per entry on the road."""
        append(self._world, entries)
        self._statements, self._steps = [], 0
        self._driver.set_trace_callback(self._statements.append)
        self._driver.set_progress_handler(self._step, 1)
        try:
            self._world.pipeline.drain()
        finally:
            self._driver.set_trace_callback(None)
            self._driver.set_progress_handler(None, 1)
        return len(self._statements) / len(entries), self._steps / len(entries)

    def _step(self) -> int:
        self._steps += 1
        return 0


def append(world: World, entries: Sequence[Entry]) -> None:
    with world.db.begin(POINT) as tx:
        journal.append(tx, entries, world.now)


def alarms(world: World, count: int) -> list[Entry]:
    provenance = Provenance("bearer", Trust.MEDIUM, "c1")
    entries = []
    for _ in range(count):
        world.count += 1
        name, number = f"e{world.count:06}", world.count
        event = Event(
            name,
            "hook",
            "alarm",
            world.now,
            world.now,
            Severity.ERROR,
            "x",
            provenance,
            data={"number": number},
        )
        entries.append(Entry(EntryKind.EVENT, "hook", name, "c1", msgspec.json.encode(event)))
    return entries


def endings(attempts: Sequence[str]) -> list[Entry]:
    return [
        Entry(
            EntryKind.OUTCOME, "execute", name, "c1", msgspec.json.encode(Outcome(name, OutcomeKind.ENDED, 0))
        )
        for name in attempts
    ]


def ordered(world: World) -> list[str]:
    with world.db.read() as tx:
        return [row[0] for row in tx.exec_driver_sql("SELECT id FROM attempts ORDER BY rowid")]


def flood(world: World, entries: Sequence[Entry]) -> None:
    append(world, entries)
    world.pipeline.drain()


@pytest.fixture
def unlimited(make_world: Callable[..., World]) -> World:
    return make_world(rules__alarm_yaml=ALARM, policies__often_yaml=UNLIMITED)


def test_the_five_thousandth_firing_costs_what_the_fiftieth_did(unlimited: World) -> None:
    meter = Meter(unlimited)
    flood(unlimited, alarms(unlimited, 50))
    early = meter.cost(alarms(unlimited, SAMPLE))
    flood(unlimited, alarms(unlimited, MANY))
    late = meter.cost(alarms(unlimited, SAMPLE))

    assert len(ordered(unlimited)) == MANY + 50 + 2 * SAMPLE
    assert late[0] == pytest.approx(early[0], abs=1)  # a batch more or less, as its time has it
    assert late[1] <= early[1] * TOLERANCE


def test_an_outcome_costs_the_same_whatever_else_is_under_way_or_over(unlimited: World) -> None:
    meter = Meter(unlimited)
    flood(unlimited, alarms(unlimited, 50))
    early = meter.cost(endings(ordered(unlimited)[:SAMPLE]))
    flood(unlimited, alarms(unlimited, MANY // 5))
    under_way = meter.cost(endings(ordered(unlimited)[-SAMPLE:]))
    flood(unlimited, endings(ordered(unlimited)[SAMPLE : -2 * SAMPLE]))
    over = meter.cost(endings(ordered(unlimited)[-2 * SAMPLE : -SAMPLE]))

    for later in (under_way, over):
        assert later[0] == pytest.approx(early[0], abs=1)  # a batch more or less, as its time has it
        assert later[1] <= early[1] * TOLERANCE


def test_a_question_costs_the_same_whatever_else_is_asked(make_world: Callable[..., World]) -> None:
    world = make_world(rules__alarm_yaml=ALARM)
    meter = Meter(world)
    flood(world, alarms(world, 50))
    early = meter.cost(alarms(world, SAMPLE))
    flood(world, alarms(world, MANY // 5))
    late = meter.cost(alarms(world, SAMPLE))

    assert len(world.questions()) == MANY // 5 + 50 + 2 * SAMPLE - 3
    assert late[0] == pytest.approx(early[0], abs=1)  # a batch more or less, as its time has it
    assert late[1] <= early[1] * TOLERANCE


def test_an_incident_with_many_runs_costs_no_more_for_the_next(make_world: Callable[..., World]) -> None:
    one = ALARM.replace("key: [$e.id]", "key: [subject]")
    world = make_world(rules__alarm_yaml=one, policies__often_yaml=UNLIMITED)
    meter = Meter(world)
    flood(world, alarms(world, 100))
    early = meter.cost(alarms(world, SAMPLE))
    flood(world, alarms(world, MANY // 5))
    late = meter.cost(alarms(world, SAMPLE))

    assert len(world.incidents()) == 1
    assert len(world.runs()) == MANY // 5 + 100 + 2 * SAMPLE
    assert late[0] == pytest.approx(early[0], abs=1)  # a batch more or less, as its time has it
    assert late[1] <= early[1] * TOLERANCE
