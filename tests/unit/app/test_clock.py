"""The clock: timers that are due become entries, once each; so does the stop file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest

from holdfast.app.clock import Clock, Onward, now
from holdfast.errors import Overloaded
from holdfast.journal import Journal
from holdfast.model.events import Entry, Switch, Tick
from holdfast.model.kinds import EntryKind
from holdfast.pipeline.work import STOPPED
from holdfast.store import facts, journal, timers
from holdfast.store.database import Database
from holdfast.store.timers import Timer

Until = Callable[..., None]


@dataclass
class Desk:
    """Takes what the clock journals; as the pipeline does, it takes timers away if it is told to."""

    db: Database
    point: str
    takes: bool = False
    refuse: int = 0
    entries: list[Entry] = field(default_factory=list)

    def put(self, entries: Sequence[Entry]) -> None:
        if self.refuse:
            self.refuse -= 1
            raise Overloaded("the journal is full")
        self.entries += entries
        if self.takes:
            with self.db.begin(self.point) as tx:
                for entry in entries:
                    if entry.kind is EntryKind.TICK:
                        timers.take(tx, msgspec.json.decode(entry.body, type=Tick).timer)

    def ticked(self) -> list[str]:
        return [
            msgspec.json.decode(entry.body, type=Tick).timer
            for entry in self.entries
            if entry.kind is EntryKind.TICK
        ]

    def switched(self) -> list[bool]:
        return [
            msgspec.json.decode(entry.body, type=Switch).stopped
            for entry in self.entries
            if entry.kind is EntryKind.SWITCH
        ]

    def set(self, *wanted: Timer) -> None:
        with self.db.begin(self.point) as tx:
            for timer in wanted:
                timers.put(tx, timer)

    def stopped(self, *, by_command: bool) -> None:
        with self.db.begin(self.point) as tx:
            facts.put(tx, STOPPED, "1" if by_command else "0")


@pytest.fixture
def desk(database: Database, point: str) -> Desk:
    return Desk(database, point)


@pytest.fixture
def make_clock(desk: Desk, tmp_path: Path) -> Iterator[Callable[[], Clock]]:
    made: list[Clock] = []

    def make() -> Clock:
        made.append(Clock(desk.db, desk.put, tmp_path / "stop"))
        made[-1].start()
        return made[-1]

    yield make
    for clock in made:
        clock.stop(5)


def test_a_timer_that_is_due_is_told_once_however_long_nobody_takes_it(
    desk: Desk, make_clock: Callable[[], Clock], until: Until
) -> None:
    start = now()
    desk.set(Timer("verify", "r1", start), Timer("retry", "r2", start + 400))
    make_clock()
    until(lambda: len(desk.ticked()) >= 2)
    told = [(entry.id, entry.source) for entry in desk.entries]

    assert desk.ticked() == ["verify:r1", "retry:r2"]
    assert told == [(f"verify:r1@{start}", "clock"), (f"retry:r2@{start + 400}", "clock")]


def test_a_timer_is_not_told_before_it_is_due(
    desk: Desk, make_clock: Callable[[], Clock], until: Until
) -> None:
    due = now() + 300
    desk.set(Timer("verify", "r1", due), Timer("close", "i1", due + 3_600_000))
    make_clock()
    until(desk.ticked)

    assert now() >= due
    assert desk.ticked() == ["verify:r1"]


def test_a_timer_that_was_moved_is_told_again_at_its_new_time(
    desk: Desk, make_clock: Callable[[], Clock], until: Until
) -> None:
    start = now()
    desk.set(Timer("verify", "r1", start))
    clock = make_clock()
    until(desk.ticked)
    desk.set(Timer("verify", "r1", start + 1))
    clock.wake()
    until(lambda: len(desk.entries) == 2)

    assert [entry.id for entry in desk.entries] == [f"verify:r1@{start}", f"verify:r1@{start + 1}"]


def test_many_that_are_due_at_once_are_all_told_each_once(
    desk: Desk, make_clock: Callable[[], Clock], until: Until
) -> None:
    start = now()
    desk.takes = True
    desk.set(*(Timer("verify", f"r{number:03}", start) for number in range(450)))
    make_clock()
    until(lambda: len(desk.ticked()) >= 450)

    assert desk.ticked() == [f"verify:r{number:03}" for number in range(450)]


def test_what_the_journal_refuses_is_told_when_it_takes_entries_again(
    desk: Desk, make_clock: Callable[[], Clock], until: Until
) -> None:
    desk.refuse = 2
    desk.set(Timer("verify", "r1", now()))
    clock = make_clock()
    until(lambda: desk.refuse < 2)
    clock.wake()
    until(lambda: desk.refuse == 0)
    clock.wake()
    until(desk.ticked)

    assert desk.ticked() == ["verify:r1"]


def test_the_journal_keeps_each_tick_once_over_a_restart_of_the_clock(
    desk: Desk, tmp_path: Path, until: Until
) -> None:
    book = Journal(desk.db, now, on_commit=lambda _: None)
    book.start()
    desk.set(Timer("verify", "r1", now()))
    for count in (1, 2):
        clock = Clock(desk.db, lambda entries: desk.put(book.put(entries) and entries), tmp_path / "stop")
        clock.start()
        until(lambda count=count: len(desk.entries) >= count)
        clock.stop(5)
    book.stop()
    with desk.db.read() as tx:
        entries = journal.after(tx, 0, 10)

    assert [entry.kind for entry in entries] == [EntryKind.TICK]


def test_the_stop_file_throws_the_switch_and_its_end_releases_it(
    desk: Desk, make_clock: Callable[[], Clock], tmp_path: Path, until: Until
) -> None:
    clock = make_clock()
    (tmp_path / "stop").touch()
    clock.wake()
    until(desk.switched)
    desk.stopped(by_command=True)
    (tmp_path / "stop").unlink()
    clock.wake()
    until(lambda: len(desk.switched()) == 2)

    assert desk.switched() == [True, False]
    assert {entry.source for entry in desk.entries} == {"file"}


def test_a_stop_file_that_was_there_before_the_start_is_heard(
    desk: Desk, make_clock: Callable[[], Clock], tmp_path: Path, until: Until
) -> None:
    (tmp_path / "stop").touch()
    make_clock()
    until(desk.switched)

    assert desk.switched() == [True]


@pytest.mark.parametrize("there", [True, False])
def test_a_stop_that_stands_already_is_not_thrown_or_released_again_at_the_start(
    desk: Desk, make_clock: Callable[[], Clock], tmp_path: Path, until: Until, there: bool
) -> None:
    desk.stopped(by_command=True)
    if there:
        (tmp_path / "stop").touch()
    desk.set(Timer("verify", "r1", now()))
    make_clock()
    until(desk.ticked)

    assert desk.switched() == []


def test_a_switch_that_the_journal_refuses_is_told_later(
    desk: Desk, make_clock: Callable[[], Clock], tmp_path: Path, until: Until
) -> None:
    desk.refuse = 1
    (tmp_path / "stop").touch()
    clock = make_clock()
    until(lambda: desk.refuse == 0)
    clock.wake()
    until(desk.switched)

    assert desk.switched() == [True]


def test_a_defect_does_not_end_the_clock(desk: Desk, tmp_path: Path, until: Until) -> None:
    failed: list[int] = []

    def put(entries: Sequence[Entry]) -> None:
        if not failed:
            failed.append(len(entries))
            raise ZeroDivisionError
        desk.put(entries)

    desk.set(Timer("verify", "r1", now()))
    clock = Clock(desk.db, put, tmp_path / "stop")
    clock.start()
    until(lambda: failed)
    clock.wake()
    until(desk.ticked)
    clock.stop(5)

    assert desk.ticked() == ["verify:r1"]


class Hands:
    """Two clocks in the test's hand."""

    def __init__(self) -> None:
        self.wall, self.ran = 1_000_000, 0

    def pass_(self, millis: int) -> None:
        self.wall += millis
        self.ran += millis

    def made(self) -> Onward:
        return Onward(lambda: self.wall, lambda: self.ran)


def test_time_goes_on_where_the_wall_clock_is_set_back() -> None:
    hands = Hands()
    clock = hands.made()
    hands.pass_(500)
    before = clock()
    hands.wall -= 3_600_000
    hands.pass_(20)
    after = clock()
    hands.pass_(30)

    assert (before, after, clock()) == (1_000_500, 1_000_520, 1_000_550)


def test_time_follows_a_wall_clock_that_is_set_forward() -> None:
    hands = Hands()
    clock = hands.made()
    hands.wall += 3_600_000

    assert clock() == hands.wall


def test_time_does_not_begin_before_the_end_of_the_last_life() -> None:
    hands = Hands()
    clock = hands.made()
    clock.not_before(2_000_000)
    hands.pass_(7)

    assert clock() == 2_000_007
