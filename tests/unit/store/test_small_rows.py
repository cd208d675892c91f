"""Facts, holds, mailboxes and correlation state."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from holdfast.store import correlation, facts, holds, mailboxes
from holdfast.store.database import Tx
from holdfast.store.holds import OpenHold

Begin = Callable[[], AbstractContextManager[Tx]]


def test_a_fact_is_replaced_and_dropped(tx: Begin) -> None:
    with tx() as t:
        facts.put(t, "stopped", "1")
        facts.put(t, "stopped", "0")

        assert facts.get(t, "stopped") == "0"
        facts.drop(t, "stopped")
        assert facts.get(t, "stopped") is None


def test_facts_are_found_by_the_literal_beginning_of_their_name(tx: Begin) -> None:
    with tx() as t:
        for name in ("lock:web1", "lock:web2", "lockxweb3", "unlock:web4"):
            facts.put(t, name, name)

        assert list(facts.named(t, "lock:")) == ["lock:web1", "lock:web2"]
        assert facts.named(t, "lock_") == {}


def test_a_hold_is_released_once_and_says_why(tx: Begin) -> None:
    lasting = OpenHold("r1", "i1", "until-clear", 100, None, "")
    with tx() as t:
        holds.insert(t, lasting)
        holds.insert(t, OpenHold("r1", "i1", "forever", 900, None, ""))
        holds.insert(t, OpenHold("r2", "i2", "forever", 200, None, ""))
        before = holds.lasting(t)
        first = holds.release(t, "r1", 300, "the incident cleared")
        second = holds.release(t, "r1", 400, "its time is over")

        assert [hold.run for hold in before] == ["r1", "r2"]
        assert before[0] == lasting
        assert (first, second) == (True, False)
        assert [hold.run for hold in holds.lasting(t)] == ["r2"]
        assert holds.lasting(t, "i1") == []
        assert holds.of_incident(t, "i1") == [
            OpenHold("r1", "i1", "until-clear", 100, 300, "the incident cleared")
        ]


def test_a_hold_that_was_restored_lasts_again(tx: Begin) -> None:
    with tx() as t:
        holds.insert(t, OpenHold("r1", "i1", "until-clear", 100, None, ""))
        holds.release(t, "r1", 300, "the incident cleared")
        holds.restore(t, "r1", "its undo is denied")

        assert holds.lasting(t) == [OpenHold("r1", "i1", "until-clear", 100, None, "its undo is denied")]
        assert holds.release(t, "r1", 400, "later")


def test_a_mailbox_remembers_how_far_it_was_read(tx: Begin) -> None:
    with tx() as t:
        first = mailboxes.cursor(t, "mail")
        mailboxes.advance(t, "mail", 17, 3)
        mailboxes.advance(t, "mail", 18, 1)
        mailboxes.advance(t, "other", 5, 5)

        assert first is None
        assert mailboxes.cursor(t, "mail") == (18, 1)


def test_correlation_state_is_saved_changed_and_removed(tx: Begin) -> None:
    with tx() as t:
        correlation.save(t, {("p1", "[1]"): b"a", ("p1", "[2]"): b"b", ("p2", "[1]"): b"c"})
        correlation.save(t, {("p1", "[1]"): b"changed", ("p1", "[2]"): None, ("p9", "[9]"): None})
        correlation.save(t, {})

        assert correlation.load(t) == {("p1", "[1]"): b"changed", ("p2", "[1]"): b"c"}
