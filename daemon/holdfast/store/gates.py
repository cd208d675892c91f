"""Questions to a human, each decided once, and every reply that ever came."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import select, update

from holdfast.model.records import Choice, Gate, GateState
from holdfast.model.values import Millis
from holdfast.store.database import Tx
from holdfast.store.tables import answers
from holdfast.store.tables import gates as table


@dataclass(frozen=True, slots=True)
class Answer:
    """What one reply was taken for; `seq` is its place in the journal."""

    seq: int
    at: Millis
    gate: str | None
    incident: str | None
    channel: str
    operator: str | None
    kind: str
    choice: str | None
    receipt: str


def insert(tx: Tx, gate: Gate) -> None:
    """Write a new question; it is durable before anybody is asked."""
    tx.execute(
        table.insert().values(
            id=gate.id,
            incident=gate.incident,
            rule=gate.rule,
            run=gate.run,
            question=gate.question,
            choices=msgspec.json.encode(gate.choices),
            silence=gate.silence,
            basis=gate.basis,
            state=str(gate.state),
            created=gate.created,
            expires=gate.expires,
            answer=gate.answer,
            answered_by=gate.answered_by,
            tries=gate.tries,
        )
    )


def find(tx: Tx, gate: str) -> Gate | None:
    """One question."""
    row = tx.execute(select(table).where(table.c.id == gate)).first()
    return None if row is None else _gate(row)


def pending(tx: Tx, incident: str | None = None) -> list[Gate]:
    """Questions that wait for an answer, the oldest first."""
    query = select(table).where(table.c.state == str(GateState.PENDING)).order_by(table.c.created, table.c.id)
    if incident is not None:
        query = query.where(table.c.incident == incident)
    return [_gate(row) for row in tx.execute(query)]


def of_incident(tx: Tx, incident: str) -> list[Gate]:
    """An incident's questions, the oldest first."""
    query = select(table).where(table.c.incident == incident).order_by(table.c.created, table.c.id)
    return [_gate(row) for row in tx.execute(query)]


def beginning_with(tx: Tx, prefix: str, limit: int = 20) -> list[Gate]:
    """Questions whose id begins with these characters, the newest first."""
    query = select(table).where(table.c.id.startswith(prefix, autoescape=True))
    return [
        _gate(row)
        for row in tx.execute(query.order_by(table.c.created.desc(), table.c.id.desc()).limit(limit))
    ]


def answer(tx: Tx, gate: Gate, choice: str, *, by: str, now: Millis, tries_max: int) -> bool:
    """The one statement that decides a question, whatever the channel. False: it was too late."""
    done = tx.execute(
        update(table)
        .where(table.c.id == gate.id, table.c.state == str(GateState.PENDING))
        .where(table.c.expires > now, table.c.basis == gate.basis, table.c.tries < tries_max)
        .values(state=str(GateState.ANSWERED), answer=choice, answered_by=by)
    )
    return done.rowcount == 1


def end(tx: Tx, gate: str, state: GateState, answer: str | None = None) -> bool:
    """End a pending question without an answer of the operator."""
    done = tx.execute(
        update(table)
        .where(table.c.id == gate, table.c.state == str(GateState.PENDING))
        .values(state=str(state), answer=answer)
    )
    return done.rowcount == 1


def count_try(tx: Tx, gate: str) -> None:
    """One wrong code more."""
    tx.execute(update(table).where(table.c.id == gate).values(tries=table.c.tries + 1))


def record(tx: Tx, wanted: Answer) -> None:
    """Keep what a reply was taken for."""
    tx.execute(
        answers.insert()
        .prefix_with("OR REPLACE")
        .values(
            seq=wanted.seq,
            at=wanted.at,
            gate=wanted.gate,
            incident=wanted.incident,
            channel=wanted.channel,
            operator=wanted.operator,
            kind=wanted.kind,
            choice=wanted.choice,
            receipt=wanted.receipt,
        )
    )


def recorded(tx: Tx, seq: int) -> Answer | None:
    """What the reply at this place of the journal was taken for."""
    row = tx.execute(select(answers).where(answers.c.seq == seq)).first()
    return None if row is None else Answer(**row._mapping)


def answers_of(tx: Tx, incident: str) -> Sequence[Answer]:
    """Every reply about an incident."""
    rows = tx.execute(select(answers).where(answers.c.incident == incident).order_by(answers.c.seq))
    return [Answer(**row._mapping) for row in rows]


def _gate(row: Any) -> Gate:
    return Gate(
        id=row.id,
        incident=row.incident,
        rule=row.rule,
        run=row.run,
        question=row.question,
        choices=tuple(msgspec.json.decode(row.choices, type=list[Choice])),
        silence=row.silence,
        basis=row.basis,
        state=GateState(row.state),
        created=row.created,
        expires=row.expires,
        answer=row.answer,
        answered_by=row.answered_by,
        tries=row.tries,
    )
