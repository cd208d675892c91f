"""Timers: one of a kind per subject, taken once."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from holdfast.store import timers
from holdfast.store.database import Tx
from holdfast.store.timers import Timer

Begin = Callable[[], AbstractContextManager[Tx]]


def test_timers_are_due_in_order_and_within_a_bound(tx: Begin) -> None:
    with tx() as t:
        for subject, due in (("c", 300), ("a", 100), ("b", 200), ("b2", 200)):
            timers.put(t, Timer("verify", subject, due))

        assert timers.next_due(t) == 100
        assert [timer.subject for timer in timers.due(t, 200, 10)] == ["a", "b", "b2"]
        assert [timer.subject for timer in timers.due(t, 900, 2)] == ["a", "b"]
        assert timers.due(t, 99, 10) == []


def test_setting_a_timer_again_moves_it(tx: Begin) -> None:
    with tx() as t:
        timers.put(t, Timer("verify", "r1", 100))
        timers.put(t, Timer("verify", "r1", 500))
        timers.put(t, Timer("retry", "r1", 300))

        assert timers.find(t, "verify", "r1") == Timer("verify", "r1", 500)
        assert timers.of_kind(t, "verify") == [Timer("verify", "r1", 500)]
        assert timers.next_due(t) == 300


def test_a_timer_is_taken_once(tx: Begin) -> None:
    with tx() as t:
        timers.put(t, Timer("verify", "r1", 100))
        first, second = timers.take(t, "verify:r1"), timers.take(t, "verify:r1")

        assert (first, second) == (Timer("verify", "r1", 100), None)
        assert timers.next_due(t) is None


def test_cancelling_forgets_one_timer(tx: Begin) -> None:
    with tx() as t:
        timers.put(t, Timer("verify", "r1", 100))
        timers.put(t, Timer("verify", "r2", 100))
        timers.cancel(t, "verify", "r1")
        timers.cancel(t, "verify", "r9")

        assert not timers.is_set(t, "verify", "r1")
        assert timers.is_set(t, "verify", "r2")


def test_a_subject_loses_its_timers_of_some_kinds_and_nobody_else_does(tx: Begin) -> None:
    with tx() as t:
        for kind, subject in (("verify", "r1"), ("retry", "r1"), ("hold", "r1"), ("verify", "r2")):
            timers.put(t, Timer(kind, subject, 100))
        timers.cancel_each(t, ("verify", "steady", "retry"), "r1")

        assert {timer.id for timer in timers.due(t, 100, 10)} == {"hold:r1", "verify:r2"}


def test_a_kind_is_not_another_that_begins_like_it(tx: Begin) -> None:
    with tx() as t:
        for kind in ("grace", "gracer", "grac"):
            timers.put(t, Timer(kind, "r1", 100))

        assert [timer.kind for timer in timers.of_kind(t, "grace")] == ["grace"]
