"""Messages that have to reach the operator. A row is written with the decision it speaks of."""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy import func, select, update

from holdfast.model.records import Message
from holdfast.model.values import Millis, Severity
from holdfast.store.database import Tx
from holdfast.store.tables import messages as table


class MessageState(StrEnum):
    """The life of one message."""

    PENDING = "pending"
    SENDING = "sending"
    SENT = "sent"
    FAILED = "failed"
    UNCONFIRMED = "unconfirmed"


def put(tx: Tx, message: Message, due: Millis, now: Millis) -> None:
    """Queue a message; a second one with the same id is ignored."""
    tx.execute(
        table.insert()
        .prefix_with("OR IGNORE")
        .values(
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
    )


def due(tx: Tx, now: Millis, limit: int) -> list[Message]:
    """Messages to be handed over now, oldest first."""
    return _messages(tx, MessageState.PENDING, now, limit)


def sending(tx: Tx) -> list[Message]:
    """Messages that were being handed over; at start, what a crash left behind."""
    return _messages(tx, MessageState.SENDING, None, 10_000)


def next_due(tx: Tx) -> Millis | None:
    """When the next pending message is due."""
    query = (
        select(table.c.due).where(table.c.state == str(MessageState.PENDING)).order_by(table.c.due).limit(1)
    )
    return tx.execute(query).scalar()


def take(tx: Tx, message: str, at: Millis) -> bool:
    """Claim a pending message for sending and count the attempt; False when somebody else did."""
    done = tx.execute(
        update(table)
        .where(table.c.id == message, table.c.state == str(MessageState.PENDING))
        .values(state=str(MessageState.SENDING), attempt=table.c.attempt + 1, changed=at)
    )
    return done.rowcount == 1


def find(tx: Tx, message: str) -> tuple[Message, MessageState] | None:
    """One message and its state."""
    row = tx.execute(select(table).where(table.c.id == message)).first()
    return None if row is None else (_message(row), MessageState(row.state))


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
    values: dict[str, object] = {
        "state": str(state),
        "detail": detail[:500],
        "changed": now,
    }
    if due is not None:
        values["due"] = due
    tx.execute(update(table).where(table.c.id == message).values(**values))


def _messages(tx: Tx, state: MessageState, now: Millis | None, limit: int) -> list[Message]:
    query = select(table).where(table.c.state == str(state)).order_by(table.c.due, table.c.id).limit(limit)
    if now is not None:
        query = query.where(table.c.due <= now)
    return [_message(row) for row in tx.execute(query)]


def _message(row: object) -> Message:
    get = row._mapping.__getitem__  # type: ignore[attr-defined]
    return Message(
        id=get("id"),
        incident=get("incident"),
        operator=get("operator"),
        channel=get("channel"),
        title=get("title"),
        body=get("body"),
        gate=get("gate"),
        severity=Severity(get("severity")),
        attempt=get("attempt"),
    )
