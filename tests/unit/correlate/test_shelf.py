from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from holdfast.correlate.shelf import Shelf
from holdfast.correlate.states import Window


def touch(shelf: Shelf[Window], key: str, now: int) -> None:
    state = shelf.take(key)
    state.times.append(now)
    del state.times[:-3]
    shelf.put(key, state, now)


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 3)), max_size=40), st.integers(1, 4))
def test_the_key_that_moved_longest_ago_goes_first(moves: list[tuple[str, int]], most: int) -> None:
    shelf, ages, now = Shelf(Window, most), {}, 0
    for key, passed in moves:
        now += passed
        touch(shelf, key, now)
        ages[key] = now
        while len(ages) > most:
            del ages[min(ages, key=lambda key: (ages[key], key))]

        assert {key for key in "abcdef" if shelf.get(key)} == set(ages)
        assert len(shelf) == len(ages)


def test_a_key_that_moves_for_ever_takes_no_more_room() -> None:
    shelf = Shelf(Window, 2)
    touch(shelf, "old", 0)
    for now in range(5_000):
        touch(shelf, "busy", now)
        assert len(shelf._by_age) <= 2 * 2 + 1_001
    touch(shelf, "new", 5_000)

    assert (shelf.get("old"), shelf.evicted) == (None, 1)
    assert shelf.get("busy") is not None


def test_an_empty_state_is_no_state() -> None:
    shelf = Shelf(Window, 2)
    shelf.put("a", Window(), 1)

    assert (shelf.get("a"), list(shelf.unsaved())) == (None, [])
    touch(shelf, "a", 1)
    shelf.put("a", Window(), 2)
    assert list(shelf.unsaved()) == [("a", None)]


def test_what_was_saved_comes_back_and_is_not_saved_again() -> None:
    shelf = Shelf(Window, 2)
    touch(shelf, "a", 7)
    [(key, state)] = shelf.unsaved()
    restored = Shelf(Window, 2)
    assert state is not None
    restored.restore(key, state)

    assert restored.get("a") == Window(touched=7, times=[7])
    assert list(restored.unsaved()) == []


def test_restoring_more_than_the_bound_forgets_the_oldest_and_says_so() -> None:
    wide = Shelf(Window, 9)
    for now, key in enumerate("abc"):
        touch(wide, key, now)
    narrow = Shelf(Window, 2)
    for key, state in wide.unsaved():
        assert state is not None
        narrow.restore(key, state)

    assert narrow.evicted == 1
    assert list(narrow.unsaved()) == [("a", None)]
