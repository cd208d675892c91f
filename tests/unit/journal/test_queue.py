"""What waits for its commit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import Overloaded
from holdfast.journal.queue import Loads, SourceFull, Waiting, weigh
from holdfast.model.events import Entry
from holdfast.model.kinds import EntryKind

HUGE = 10**12


@dataclass(frozen=True)
class Group:
    """Entries that came together."""

    entries: Sequence[Entry]

    @property
    def loads(self) -> Loads:
        return weigh(self.entries)


def group(source: str, count: int = 1, *, kind: EntryKind = EntryKind.EVENT, size: int = 10) -> Group:
    return Group([Entry(kind, source, str(number), "c", b"x" * size) for number in range(count)])


def test_groups_are_taken_in_the_order_they_came() -> None:
    waiting: Waiting[Group] = Waiting(100, HUGE)
    groups = [group("a"), group("b", 3), group("a", 2)]
    for one in groups:
        waiting.add(one)

    assert len(waiting) == 6
    assert waiting.take(HUGE, HUGE) == groups
    assert not waiting


def test_a_batch_is_bounded_and_never_splits_a_group() -> None:
    waiting: Waiting[Group] = Waiting(100, HUGE)
    first, second, third = group("a", 2), group("b", 2), group("c", 2)
    for one in (first, second, third):
        waiting.add(one)

    assert waiting.take(5, HUGE) == [first, second]
    assert waiting.take(1, HUGE) == [third]


def test_a_batch_is_bounded_by_its_bytes_too() -> None:
    waiting: Waiting[Group] = Waiting(100, HUGE)
    first, second = group("a", size=5000), group("b", size=5000)
    waiting.add(first)
    waiting.add(second)

    assert waiting.take(100, 6000) == [first]
    assert waiting.take(100, 6000) == [second]


def test_what_was_taken_takes_room_until_it_is_released() -> None:
    waiting: Waiting[Group] = Waiting(4, HUGE)
    waiting.add(group("a"))
    waiting.add(group("b", 3))
    taken = waiting.take(HUGE, HUGE)

    with pytest.raises(Overloaded):
        waiting.add(group("c"))
    waiting.release(taken)
    waiting.add(group("c", 4))
    assert len(waiting) == 4


def test_one_source_cannot_fill_the_room_of_the_others() -> None:
    waiting: Waiting[Group] = Waiting(100, HUGE)
    for _ in range(25):
        waiting.add(group("noisy"))

    with pytest.raises(SourceFull, match="source noisy"):
        waiting.add(group("noisy"))
    waiting.add(group("quiet"))
    assert waiting.refused == {"noisy": 1}


def test_one_source_cannot_fill_the_memory_of_the_others() -> None:
    waiting: Waiting[Group] = Waiting(100, 40_000)
    waiting.add(group("noisy", size=9000))

    with pytest.raises(SourceFull):
        waiting.add(group("noisy", size=1000))
    waiting.add(group("quiet", size=9000))


def test_the_first_group_of_a_source_may_exceed_its_share() -> None:
    waiting: Waiting[Group] = Waiting(100, HUGE)
    waiting.add(group("a", 80))

    with pytest.raises(SourceFull):
        waiting.add(group("a"))


def test_a_full_room_refuses_and_counts_by_source() -> None:
    waiting: Waiting[Group] = Waiting(10, HUGE)
    for number in range(10):
        waiting.add(group(f"s{number}"))

    with pytest.raises(Overloaded, match="10 entries wait"):
        waiting.add(group("late", 3))
    assert waiting.refused == {"late": 3}
    assert len(waiting) == 10


def test_what_comes_back_from_the_world_has_a_reserve_and_no_share() -> None:
    waiting: Waiting[Group] = Waiting(8, HUGE)
    for number in range(8):
        waiting.add(group(f"s{number}"))
    for _ in range(2):
        waiting.add(group("hands", kind=EntryKind.OUTCOME))

    with pytest.raises(Overloaded):
        waiting.add(group("hands", kind=EntryKind.OUTCOME))
    assert len(waiting) == 10


def test_a_group_that_is_refused_leaves_nothing() -> None:
    waiting: Waiting[Group] = Waiting(8, HUGE)
    waiting.add(group("a", 2))
    mixed = Group([*group("b").entries, *group("a").entries])

    with pytest.raises(SourceFull):
        waiting.add(mixed)
    assert len(waiting) == 2
    waiting.add(group("b", 6))


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 30), st.integers(1, 20)), max_size=40))
def test_room_that_is_given_back_is_all_there_again(steps: list[tuple[str, int, int]]) -> None:
    waiting: Waiting[Group] = Waiting(60, HUGE)
    accepted = taken = 0
    for source, count, bound in steps:
        try:
            waiting.add(group(source, count))
            accepted += count
        except Overloaded:
            groups = waiting.take(bound, HUGE)
            taken += sum(len(one.entries) for one in groups)
            waiting.release(groups)
        assert len(waiting) == accepted - taken <= 60
    waiting.release(waiting.take(HUGE, HUGE))

    assert len(waiting) == 0
    waiting.add(group("a", 60))
