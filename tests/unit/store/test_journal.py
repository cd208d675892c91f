"""The journal's rows: one order without gaps of meaning, duplicates once, and what may be pruned."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.effects import crash_point
from holdfast.model.events import Entry
from holdfast.model.kinds import EntryKind
from holdfast.store import journal
from holdfast.store.database import Database, Tx

POINT = crash_point("tests.unit.store.journal")
Begin = Callable[[], AbstractContextManager[Tx]]


def entry(name: str, source: str = "hook", kind: EntryKind = EntryKind.EVENT) -> Entry:
    return Entry(kind, source, name, "c1", b'{"n":"\xc3\xa4"}')


def test_entries_are_numbered_in_order_and_a_duplicate_gets_none(tx: Begin) -> None:
    with tx() as t:
        first = journal.append(t, [entry("a"), entry("b"), entry("a")], 100)
        second = journal.append(t, [entry("b"), entry("a", "other"), entry("c")], 200)
        found = journal.after(t, 0, 10)

    assert first == [1, 2, 0]
    assert second == [0, 3, 4]
    assert [(each.seq, each.id, each.source, each.received) for each in found] == [
        (1, "a", "hook", 100),
        (2, "b", "hook", 100),
        (3, "a", "other", 200),
        (4, "c", "hook", 200),
    ]
    assert found[0].body == entry("a").body


def test_an_empty_journal_has_no_head(tx: Begin) -> None:
    with tx() as t:
        assert (journal.head(t), journal.last_received(t), journal.cursor(t)) == (0, 0, 0)
        assert journal.find(t, 1) is None
        assert journal.find_before(t, 1) is None


def test_entries_are_found_by_number_and_by_kind(tx: Begin) -> None:
    with tx() as t:
        journal.append(t, [entry("a"), entry("b", kind=EntryKind.TICK), entry("c")], 100)
        journal.advance(t, 2)
        found = journal.find(t, 2)
        before = journal.find_before(t, 3)

        assert found is not None
        assert found == before
        assert (found.id, found.kind) == ("b", EntryKind.TICK)
        assert journal.find(t, 9) is None
        assert [each.id for each in journal.after(t, 1, 1)] == ["b"]
        assert [each.id for each in journal.latest(t, 2)] == ["b", "c"]
        assert [each.id for each in journal.latest(t, 9, EntryKind.EVENT)] == ["a", "c"]
        assert (journal.head(t), journal.last_received(t), journal.cursor(t)) == (3, 100, 2)


def test_what_was_set_aside_is_listed_with_its_reason(tx: Begin) -> None:
    with tx() as t:
        journal.append(t, [entry("a"), entry("b"), entry("c")], 100)
        journal.quarantine(t, 1, "broken", 110)
        journal.quarantine(t, 3, "first", 120)
        journal.quarantine(t, 3, "second", 130)
        aside = journal.quarantined(t, 10)

        assert [(each.entry.id, each.reason, each.at) for each in aside] == [
            ("c", "second", 130),
            ("a", "broken", 110),
        ]
        assert len(journal.quarantined(t, 1)) == 1
        assert journal.quarantined_count(t) == 2


def test_only_what_is_old_decided_on_and_not_set_aside_is_pruned(tx: Begin) -> None:
    with tx() as t:
        for number, name in enumerate("abcdef"):
            journal.append(t, [entry(name)], 100 * number)
        journal.quarantine(t, 2, "broken", 110)
        journal.advance(t, 4)
        first = journal.prune(t, 300, 1)
        rest = journal.prune(t, 10_000, 10)

        assert (first, rest) == (1, 2)
        assert [each.id for each in journal.after(t, 0, 10)] == ["b", "e", "f"]


def test_a_number_is_never_given_twice(tx: Begin) -> None:
    with tx() as t:
        journal.append(t, [entry("a"), entry("b")], 100)
        journal.advance(t, 2)
        journal.prune(t, 10_000, 10)
        (again,) = journal.append(t, [entry("c")], 200)

        assert again > 2


Few = st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("0123456789")), max_size=12)
Many = st.lists(st.tuples(st.just("a"), st.integers(0, 400).map(str)), min_size=60, max_size=200)


@settings(max_examples=60)
@given(st.lists(Few | Many, max_size=6))
def test_whatever_comes_twice_in_a_batch_or_over_batches_is_there_once(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[tuple[str, str]]]
) -> None:
    database = Database.open(tmp_path_factory.mktemp("batches") / "x.db")
    known: dict[tuple[str, str], int] = {}
    for number, batch in enumerate(batches):
        expected = []
        for key in batch:
            expected.append(0 if key in known else len(known) + 1)
            known.setdefault(key, len(known) + 1)
        with database.begin(POINT) as t:
            given_out = journal.append(t, [entry(name, source) for source, name in batch], number)
        assert given_out == expected
    with database.read() as t:
        stored = journal.after(t, 0, 1000)
    database.close()

    assert {(each.source, each.id): each.seq for each in stored} == known
