"""Messages: each handed over by one sender at a time, tried again when it is due."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager

from holdfast.model.records import Message
from holdfast.store import outbox
from holdfast.store.database import Database, Tx
from holdfast.store.outbox import MessageState

Begin = Callable[[], AbstractContextManager[Tx]]
MakeMessage = Callable[..., Message]


def ids(messages: list[Message]) -> list[str]:
    return [message.id for message in messages]


def test_a_message_is_due_from_its_time_on_the_oldest_first(tx: Begin, message: MakeMessage) -> None:
    with tx() as t:
        outbox.put(t, message("m2"), 200, 100)
        outbox.put(t, message("m1"), 100, 100)
        outbox.put(t, message("m3"), 300, 100)

        assert outbox.next_due(t) == 100
        assert ids(outbox.due(t, 99, 10)) == []
        assert ids(outbox.due(t, 200, 10)) == ["m1", "m2"]
        assert ids(outbox.due(t, 900, 2)) == ["m1", "m2"]


def test_the_same_message_is_queued_once(tx: Begin, message: MakeMessage) -> None:
    with tx() as t:
        outbox.put(t, message(), 100, 100)
        outbox.put(t, message(title="another"), 200, 100)

        assert outbox.due(t, 900, 10) == [message()]


def test_of_twenty_senders_one_takes_a_message(database: Database, point: str, message: MakeMessage) -> None:
    with database.begin(point) as t:
        outbox.put(t, message(), 100, 100)
    together, taken = threading.Barrier(20), []

    def take() -> None:
        together.wait()
        with database.begin(point) as t:
            taken.append(outbox.take(t, "m1", 110))

    senders = [threading.Thread(target=take) for _ in range(20)]
    for each in senders:
        each.start()
    for each in senders:
        each.join()
    with database.read() as t:
        (left,) = outbox.sending(t)
        due = outbox.due(t, 900, 10)

    assert sorted(taken) == [*[False] * 19, True]
    assert left == message(attempt=1)
    assert due == []


def test_what_failed_waits_until_it_is_due_again_and_counts_its_tries(
    tx: Begin, message: MakeMessage
) -> None:
    with tx() as t:
        outbox.put(t, message(), 100, 100)
        outbox.take(t, "m1", 110)
        outbox.settle(t, "m1", MessageState.PENDING, detail="refused", now=120, due=500)
        before = outbox.due(t, 499, 10)
        outbox.take(t, "m1", 500)
        found = outbox.find(t, "m1")

    assert before == []
    assert found == (message(attempt=2), MessageState.SENDING)


def test_what_was_settled_is_over(tx: Begin, message: MakeMessage) -> None:
    with tx() as t:
        for name, state in (("m1", MessageState.SENT), ("m2", MessageState.FAILED), ("m3", None)):
            outbox.put(t, message(name), 100, 100)
            if state is not None:
                outbox.take(t, name, 110)
                outbox.settle(t, name, state, detail="x" * 600, now=120)

        assert not outbox.take(t, "m1", 130)
        assert outbox.sending(t) == []
        assert outbox.count(t) == {MessageState.SENT: 1, MessageState.FAILED: 1, MessageState.PENDING: 1}
        assert [(m.id, state, len(detail)) for m, state, detail in outbox.of_incident(t, "i1")] == [
            ("m1", MessageState.SENT, 500),
            ("m2", MessageState.FAILED, 500),
            ("m3", MessageState.PENDING, 0),
        ]
        assert outbox.find(t, "m9") is None
