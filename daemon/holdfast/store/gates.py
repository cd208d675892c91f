"""Questions to a human, each decided once, and every reply that ever came."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from sqlalchemy import select, update

from holdfast.model.records import Choice, Gate, GateState
from holdfast.model.values import Millis
from holdfast.store.database import Tx
from holdfast.store.statement import Query, Statement, fixed, given, insert_into
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


_CHOICES: Final = msgspec.json.Decoder(tuple[Choice, ...])


def _gate(row: Any) -> Gate:
    return Gate(
        id=row.id,
        incident=row.incident,
        rule=row.rule,
        run=row.run,
        question=row.question,
        choices=_CHOICES.decode(row.choices),
        silence=row.silence,
        basis=row.basis,
        state=GateState(row.state),
        created=row.created,
        expires=row.expires,
        answer=row.answer,
        answered_by=row.answered_by,
        tries=row.tries,
    )


_INSERT: Final = insert_into(table)
_FIND: Final = Query(select(table).where(table.c.id == given("id")), _gate)
_ALL: Final = select(table).order_by(table.c.created, table.c.id)
_PENDING: Final = table.c.state == fixed(GateState.PENDING)
_OF_INCIDENT: Final = Query(_ALL.where(table.c.incident == given("incident")), _gate)
_WAITING: Final = Query(_ALL.where(_PENDING), _gate)
_WAITING_OF: Final = Query(_ALL.where(_PENDING, table.c.incident == given("incident")), _gate)
_ANSWER: Final = Statement(
    update(table)
    .where(table.c.id == given("gate"), _PENDING, table.c.expires > given("now"))
    .where(table.c.basis == given("seen"), table.c.tries < given("tries_max"))
    .values(state=fixed(GateState.ANSWERED), answer=given("choice"), answered_by=given("by"))
)
_END: Final = Statement(
    update(table)
    .where(table.c.id == given("gate"), _PENDING)
    .values(state=given("state"), answer=given("answer"))
)
_COUNT_TRY: Final = Statement(
    update(table).where(table.c.id == given("gate")).values(tries=table.c.tries + fixed(1))
)
_RECORD: Final = insert_into(answers, instead=True)


def insert(tx: Tx, gate: Gate) -> None:
    """Write a new question; it is durable before anybody is asked."""
    _INSERT.run(
        tx,
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


def find(tx: Tx, gate: str) -> Gate | None:
    """One question."""
    return _FIND.first(tx, id=gate)


def pending(tx: Tx, incident: str | None = None) -> list[Gate]:
    """Questions that wait for an answer, the oldest first."""
    return _WAITING.all(tx) if incident is None else _WAITING_OF.all(tx, incident=incident)


def of_incident(tx: Tx, incident: str) -> list[Gate]:
    """An incident's questions, the oldest first."""
    return _OF_INCIDENT.all(tx, incident=incident)


def beginning_with(tx: Tx, prefix: str, limit: int = 20) -> list[Gate]:
    """Questions whose id begins with these characters, the newest first."""
    query = select(table).where(table.c.id.startswith(prefix, autoescape=True))
    return [
        _gate(row)
        for row in tx.execute(query.order_by(table.c.created.desc(), table.c.id.desc()).limit(limit))
    ]


def answer(tx: Tx, gate: Gate, choice: str, *, by: str, now: Millis, tries_max: int) -> bool:
    """The one statement that decides a question, whatever the channel. False: it was too late."""
    return (
        _ANSWER.run(tx, gate=gate.id, seen=gate.basis, now=now, tries_max=tries_max, choice=choice, by=by)
        == 1
    )


def end(tx: Tx, gate: str, state: GateState, answer: str | None = None) -> bool:
    """End a pending question without an answer of the operator."""
    return _END.run(tx, gate=gate, state=str(state), answer=answer) == 1


def count_try(tx: Tx, gate: str) -> None:
    """One wrong code more."""
    _COUNT_TRY.run(tx, gate=gate)


def record(tx: Tx, wanted: Answer) -> None:
    """Keep what a reply was taken for."""
    _RECORD.run(
        tx,
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


def recorded(tx: Tx, seq: int) -> Answer | None:
    """What the reply at this place of the journal was taken for."""
    row = tx.execute(select(answers).where(answers.c.seq == seq)).first()
    return None if row is None else Answer(**row._mapping)


def answers_of(tx: Tx, incident: str) -> Sequence[Answer]:
    """Every reply about an incident."""
    rows = tx.execute(select(answers).where(answers.c.incident == incident).order_by(answers.c.seq))
    return [Answer(**row._mapping) for row in rows]
