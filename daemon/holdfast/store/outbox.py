"""Messages that have to reach the operator. A row is written with the decision it speaks of."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final

from sqlalchemy import func, select, update

from holdfast.model.records import Message
from holdfast.model.values import Millis, Severity
from holdfast.store.database import Due, Tx, mark
from holdfast.store.statement import Query, Statement, fixed, given, insert_into
from holdfast.store.tables import messages as table


class MessageState(StrEnum):
    """The life of one message."""

    PENDING = "pending"
    SENDING = "sending"
    SENT = "sent"
    FAILED = "failed"
    UNCONFIRMED = "unconfirmed"


def _message(row: Any) -> Message:
    return Message(
        id=row.id,
        incident=row.incident,
        operator=row.operator,
        channel=row.channel,
        title=row.title,
        body=row.body,
        gate=row.gate,
        severity=Severity(row.severity),
        attempt=row.attempt,
    )


_PENDING: Final = table.c.state == fixed(MessageState.PENDING)
_OLDEST: Final = select(table).order_by(table.c.due, table.c.id).limit(given("limit"))
_PUT: Final = insert_into(table, unless_there=True)
_FIND: Final = Query(
    select(table).where(table.c.id == given("id")), lambda row: (_message(row), MessageState(row.state))
)
_DUE: Final = Query(_OLDEST.where(_PENDING, table.c.due <= given("now")), _message)
_SENDING: Final = Query(_OLDEST.where(table.c.state == fixed(MessageState.SENDING)), _message)
_NEXT_DUE: Final = Statement(select(table.c.due).where(_PENDING).order_by(table.c.due))
_TAKE: Final = Statement(
    update(table)
    .where(table.c.id == given("message"), _PENDING)
    .values(state=fixed(MessageState.SENDING), attempt=table.c.attempt + fixed(1), changed=given("changed"))
)
_SETTLE: Final = Statement(
    update(table)
    .where(table.c.id == given("message"))
    .values(
        state=given("state"),
        detail=given("detail"),
        changed=given("changed"),
        due=func.coalesce(given("again"), table.c.due),
    )
)


def put(tx: Tx, message: Message, due: Millis, now: Millis) -> None:
    """Queue a message; a second one with the same id is ignored."""
    mark(tx, Due.MESSAGES)
    _PUT.run(
        tx,
        id=message.id,
        incident=message.incident,
        gate=message.gate,
        operator=message.operator,
        channel=message.channel,
        title=message.title,
        body=message.body,
        severity=str(message.severity),
        state=str(MessageState.PENDING),
        attempt=message.attempt,
        due=due,
        created=now,
        changed=now,
        detail="",
    )


def due(tx: Tx, now: Millis, limit: int) -> list[Message]:
    """Messages to be handed over now, oldest first."""
    return _DUE.all(tx, now=now, limit=limit)


def sending(tx: Tx) -> list[Message]:
    """Messages that were being handed over; at start, what a crash left behind."""
    return _SENDING.all(tx, limit=10_000)


def next_due(tx: Tx) -> Millis | None:
    """When the next pending message is due."""
    soonest: Millis | None = _NEXT_DUE.value(tx)
    return soonest


def take(tx: Tx, message: str, at: Millis) -> bool:
    """Claim a pending message for sending and count the attempt; False when somebody else did."""
    return _TAKE.run(tx, message=message, changed=at) == 1


def find(tx: Tx, message: str) -> tuple[Message, MessageState] | None:
    """One message and its state."""
    return _FIND.first(tx, id=message)


def of_incident(tx: Tx, incident: str) -> list[tuple[Message, MessageState, str]]:
    """An incident's messages with state and detail, oldest first."""
    rows = tx.execute(select(table).where(table.c.incident == incident).order_by(table.c.created, table.c.id))
    return [(_message(row), MessageState(row.state), row.detail) for row in rows]


def count(tx: Tx) -> dict[MessageState, int]:
    """How many messages there are in each state; a state without any is left out."""
    rows = tx.execute(select(table.c.state, func.count()).group_by(table.c.state))
    return {MessageState(row[0]): int(row[1]) for row in rows}


def settle(
    tx: Tx,
    message: str,
    state: MessageState,
    *,
    detail: str,
    now: Millis,
    due: Millis | None = None,
) -> None:
    """Write what became of it; with PENDING and `due` it is tried again then."""
    mark(tx, Due.MESSAGES)
    _SETTLE.run(tx, message=message, state=str(state), detail=detail[:500], changed=now, again=due)
