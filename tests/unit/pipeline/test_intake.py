from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.effects import crash_point
from holdfast.model.events import Entry
from holdfast.model.kinds import EntryKind
from holdfast.pipeline.intake import BATCH, BATCH_S, CROWD, LINGER_S, TRUST_S, Intake
from holdfast.store import journal
from holdfast.store.database import Database

POINT = crash_point("tests.unit.pipeline.intake")


class World:
    """A journal that never ends, all of it at hand, and a clock in the test's hand."""

    def __init__(self) -> None:
        self.now = 100.0
        self.asked: list[int] = []
        self.intake = Intake(cast("Database", None), self.tail, lambda: self.now)

    def tail(self, after: int, limit: int) -> list[Entry]:
        del after
        self.asked.append(limit)
        return [Entry(EntryKind.EVENT, "s", "1", "c", b"{}")]

    def batch(self) -> int:
        self.intake.next(0)
        return self.asked[-1]


def test_entries_that_lead_to_much_make_batches_small_and_others_large_again() -> None:
    world = World()
    world.intake.took(BATCH, 10 * BATCH_S)
    small = world.batch()
    world.intake.took(small, BATCH_S / 10)

    assert (small, world.batch()) == (BATCH // 10, BATCH // 5)


@given(st.lists(st.tuples(st.integers(1, BATCH), st.floats(0, 100)), max_size=50))
def test_a_batch_is_never_empty_and_never_beyond_its_bound(took: list[tuple[int, float]]) -> None:
    world = World()
    for entries, seconds in took:
        world.intake.took(min(entries, world.batch()), seconds)

        assert 1 <= world.batch() <= BATCH


def test_a_batch_that_was_not_full_says_nothing_about_larger_ones() -> None:
    world = World()
    world.intake.took(BATCH, 100 * BATCH_S)
    small = world.batch()
    world.intake.took(small - 1, 0.0)

    assert world.batch() == small


def test_a_single_event_is_looked_at_at_once_and_a_crowd_after_a_while() -> None:
    world = World()
    world.intake.looked(CROWD - 1)
    alone = world.intake.pause()
    world.intake.looked(CROWD)
    crowded = world.intake.pause()
    world.now += LINGER_S * 0.75

    assert (alone, crowded) == (0.0, pytest.approx(LINGER_S))
    assert 0 < world.intake.pause() <= LINGER_S * 0.26
    world.now += LINGER_S
    assert world.intake.pause() == 0.0


def test_the_store_has_the_last_word_now_and_then(tmp_path: Path) -> None:
    database, now = Database.open(tmp_path / "x.db"), [100.0]
    intake = Intake(database, lambda *_: (), lambda: now[0])
    first = intake.next(0)
    with database.begin(POINT) as tx:
        journal.append(tx, [Entry(EntryKind.EVENT, "s", "1", "c", b"{}")], 1)
    soon = intake.next(0)
    now[0] += TRUST_S
    later = intake.next(0)
    database.close()

    assert (list(first), list(soon), [entry.id for entry in later]) == ([], [], ["1"])
