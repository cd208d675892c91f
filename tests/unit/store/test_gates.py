"""Questions: one statement decides, however many answer at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import pytest

from holdfast.model.records import Gate, GateState
from holdfast.store import gates
from holdfast.store.database import Database, Tx
from holdfast.store.gates import Answer

Begin = Callable[[], AbstractContextManager[Tx]]
MakeGate = Callable[..., Gate]


def answer(tx: Tx, gate: Gate, choice: str = "roll-back", **changes: Any) -> bool:
    return gates.answer(tx, gate, choice, **{"by": "me", "now": 500, "tries_max": 5, **changes})


def test_a_question_is_found_as_it_was_written(tx: Begin, gate: MakeGate) -> None:
    wanted = gate(run="r1", tries=2)
    with tx() as t:
        gates.insert(t, wanted)

        assert gates.find(t, "g1") == wanted
        assert gates.find(t, "g2") is None


def test_of_twenty_answers_at_once_exactly_one_counts(database: Database, point: str, gate: MakeGate) -> None:
    asked = gate()
    with database.begin(point) as t:
        gates.insert(t, asked)
    together, won = threading.Barrier(20), []

    def say(number: int) -> None:
        together.wait()
        with database.begin(point) as t:
            if answer(t, asked, "roll-back" if number % 2 else "wait", by=f"operator-{number}"):
                won.append(number)

    people = [threading.Thread(target=say, args=(number,)) for number in range(20)]
    for each in people:
        each.start()
    for each in people:
        each.join()
    with database.read() as t:
        found = gates.find(t, "g1")

    assert len(won) == 1
    assert found is not None
    assert found == replace(
        asked,
        state=GateState.ANSWERED,
        answer="roll-back" if won[0] % 2 else "wait",
        answered_by=f"operator-{won[0]}",
    )


@pytest.mark.parametrize(
    ("stored", "changes"),
    [
        ({"expires": 500}, {}),
        ({"tries": 5}, {}),
        ({"basis": "basis-2"}, {}),
        ({"state": GateState.EXPIRED}, {}),
        ({"state": GateState.VOID}, {}),
        ({"state": GateState.NOT_NEEDED}, {}),
        ({"state": GateState.ANSWERED}, {}),
    ],
)
def test_an_answer_that_is_too_late_or_to_something_else_does_not_count(
    tx: Begin, gate: MakeGate, stored: dict[str, Any], changes: dict[str, Any]
) -> None:
    with tx() as t:
        gates.insert(t, gate(**stored))

        assert not answer(t, gate(), **changes)
        assert gates.find(t, "g1") == gate(**stored)


def test_an_answer_in_the_last_millisecond_counts(tx: Begin, gate: MakeGate) -> None:
    with tx() as t:
        gates.insert(t, gate(expires=501, tries=4))

        assert answer(t, gate(), now=500)


def test_a_question_ends_once(tx: Begin, gate: MakeGate) -> None:
    with tx() as t:
        gates.insert(t, gate())
        first = gates.end(t, "g1", GateState.EXPIRED, "wait")
        second = gates.end(t, "g1", GateState.NOT_NEEDED)
        found = gates.find(t, "g1")

    assert (first, second) == (True, False)
    assert found == gate(state=GateState.EXPIRED, answer="wait")


def test_wrong_codes_are_counted_for_their_question_alone(tx: Begin, gate: MakeGate) -> None:
    with tx() as t:
        gates.insert(t, gate())
        gates.insert(t, gate("g2"))
        gates.count_try(t, "g1")
        gates.count_try(t, "g1")

        assert [found.tries for found in gates.pending(t)] == [2, 0]


def test_what_waits_is_listed_oldest_first(tx: Begin, gate: MakeGate) -> None:
    with tx() as t:
        gates.insert(t, gate("g2", created=200, incident="i2"))
        gates.insert(t, gate("g1", created=100))
        gates.insert(t, gate("g3", created=300, state=GateState.VOID))

        assert [found.id for found in gates.pending(t)] == ["g1", "g2"]
        assert [found.id for found in gates.pending(t, "i2")] == ["g2"]
        assert [found.id for found in gates.of_incident(t, "i1")] == ["g1", "g3"]


def test_the_beginning_of_an_id_is_taken_literally(tx: Begin, gate: MakeGate) -> None:
    with tx() as t:
        for name in ("g1-a", "g1_b", "g10-a", "h1"):
            gates.insert(t, gate(name))

        assert {found.id for found in gates.beginning_with(t, "g1")} == {"g1-a", "g1_b", "g10-a"}
        assert [found.id for found in gates.beginning_with(t, "g1_")] == ["g1_b"]
        assert gates.beginning_with(t, "%") == []
        assert len(gates.beginning_with(t, "g", 2)) == 2


def test_every_reply_is_kept_with_what_it_was_taken_for(tx: Begin) -> None:
    first = Answer(7, 100, "g1", "i1", "mail", "me", "wrong-code", None, "That code is wrong.")
    second = Answer(9, 200, "g1", "i1", "cli", "me", "accepted", "roll-back", "Done.")
    with tx() as t:
        gates.record(t, second)
        gates.record(t, first)

        assert gates.recorded(t, 7) == first
        assert gates.recorded(t, 8) is None
        assert gates.answers_of(t, "i1") == [first, second]
