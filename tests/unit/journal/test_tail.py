"""The newest entries in memory."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from holdfast.journal.tail import Tail
from holdfast.model.events import Entry
from holdfast.model.kinds import EntryKind


def entries(first: int, last: int, size: int = 2) -> list[Entry]:
    return [
        Entry(EntryKind.EVENT, "a", str(seq), "c", b"x" * size, received=seq, seq=seq)
        for seq in range(first, last + 1)
    ]


def test_whoever_follows_is_given_what_comes_next() -> None:
    tail = Tail()
    tail.add(entries(1, 5))

    assert tail.take(0, 2) == tuple(entries(1, 2))
    assert tail.take(2, 10) == tuple(entries(3, 5))
    assert tail.take(5, 10) == ()
    assert len(tail) == 0


def test_what_was_taken_is_given_again_until_it_is_done_with() -> None:
    tail = Tail()
    tail.add(entries(1, 3))
    first = tail.take(0, 2)

    assert tail.take(0, 2) == first
    assert len(tail) == 3


def test_before_anything_was_added_only_the_disk_knows() -> None:
    assert Tail().take(0, 10) is None
    assert Tail().take(7, 10) is None


def test_whoever_is_far_behind_reads_the_disk_until_the_tail_begins() -> None:
    tail = Tail(max_entries=3)
    tail.add(entries(1, 5))

    assert tail.take(0, 10) is None
    assert tail.take(1, 10) is None
    assert tail.take(2, 10) == tuple(entries(3, 5))


def test_the_tail_is_bounded_by_its_bytes_too() -> None:
    tail = Tail(max_bytes=100_000)
    tail.add(entries(1, 50, size=9_000))

    assert len(tail) == 9
    assert tail.take(41, 1) == tuple(entries(42, 42, size=9_000))


def test_what_does_not_follow_replaces_the_rest() -> None:
    tail = Tail()
    tail.add(entries(1, 3))
    tail.add(entries(9, 10))

    assert tail.take(0, 10) is None
    assert tail.take(8, 10) == tuple(entries(9, 10))


def test_whoever_is_ahead_of_the_tail_reads_the_disk() -> None:
    tail = Tail()
    tail.add(entries(1, 3))

    assert tail.take(9, 10) is None


@given(
    st.integers(1, 20),
    st.integers(1, 20),
    st.lists(st.tuples(st.integers(0, 9), st.integers(1, 3), st.integers(0, 7)), max_size=40),
)
def test_a_follower_of_tail_and_disk_sees_every_entry_once_in_order(
    bound: int, start: int, steps: list[tuple[int, int, int]]
) -> None:
    """`steps`: how many are committed, over how large a gap in the numbers, and how many are taken."""
    tail, disk = Tail(max_entries=bound), []
    newest = cursor = start - 1
    seen: list[Entry] = []
    for count, gap, limit in steps:
        more = entries(newest + gap, newest + gap + count - 1)
        newest = more[-1].seq if more else newest
        tail.add(more)
        disk += more
        found = tail.take(cursor, limit)
        if found is None:
            found = [entry for entry in disk if entry.seq > cursor][:limit]
        seen += found
        cursor = seen[-1].seq if seen else cursor
        assert len(tail) <= bound

    assert seen == disk[: len(seen)]
