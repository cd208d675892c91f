"""Runs and their attempts: what is to be done, what was begun, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any, Final

import msgspec
from sqlalchemy import Integer, Text, bindparam, cast, func, literal, literal_column, select, update

from holdfast.model.actions import Plan
from holdfast.model.records import AttemptOrder, Outcome, Run, RunState
from holdfast.model.values import Millis
from holdfast.store.database import Due, Tx, mark
from holdfast.store.statement import Query, Statement, fixed, given, insert_into
from holdfast.store.tables import attempts, firings, outcomes, runs


class AttemptState(StrEnum):
    """ready → intended (written before the world is touched) → ended; or cancelled before it began."""

    READY = "ready"
    INTENDED = "intended"
    ENDED = "ended"
    CANCELLED = "cancelled"


#: The number that SQLite gives a row when it is written, and that ends every entry of its indexes.
_NUMBER: Final = literal_column("attempts.rowid", Integer).label("number")
# said once, because every attempt goes through them
_READY_AFTER: Final = (
    select(_NUMBER, attempts.c.order)
    .where(attempts.c.state == str(AttemptState.READY), bindparam("after", type_=Integer) < _NUMBER)
    .order_by(_NUMBER)
    .limit(bindparam("limit", type_=Integer))
)
_INTEND: Final = Statement(
    update(attempts)
    .where(attempts.c.id == given("wanted"), attempts.c.state == fixed(AttemptState.READY))
    .values(state=fixed(AttemptState.INTENDED), boot=given("to"), changed=given("at"))
)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt as it stands."""

    order: AttemptOrder
    step: int
    number: int
    state: AttemptState
    boot: str
    created: Millis
    outcome: Outcome | None


@dataclass(frozen=True, slots=True)
class Labels:
    """What limits count an attempt by."""

    service: str | None
    group: str | None
    incident_type: str
    rule: str


_PLAN: Final = msgspec.json.Decoder(Plan)
_ORDER: Final = msgspec.json.Decoder(AttemptOrder)
_OUTCOME: Final = msgspec.json.Decoder(Outcome)


def _run(row: Any) -> Run:
    return Run(
        id=row.id,
        incident=row.incident,
        rule=row.rule,
        part=row.part,
        plan=_PLAN.decode(row.plan),
        state=RunState(row.state),
        step=row.step,
        created=row.created,
        changed=row.changed,
        evidence_seq=row.evidence_seq,
        epoch=row.epoch,
        approved_by=row.approved_by,
    )


def _attempt(row: Any) -> Attempt:
    return Attempt(
        order=_ORDER.decode(row.order),
        step=row.step,
        number=row.number,
        state=AttemptState(row.state),
        boot=row.boot,
        created=row.created,
        outcome=None if row.outcome is None else _OUTCOME.decode(row.outcome),
    )


_INSERT: Final = insert_into(runs)
_FIND: Final = Query(select(runs).where(runs.c.id == given("id")), _run)
_ALL: Final = select(runs).order_by(runs.c.created, runs.c.id)
_OF_INCIDENT: Final = Query(_ALL.where(runs.c.incident == given("incident")), _run)
_EQUAL: Final = Query(
    _ALL.where(runs.c.incident == given("incident"), runs.c.plan_hash == given("plan_hash")), _run
)
_UNDER_WAY: Final = Query(
    _ALL.where(
        runs.c.incident == given("incident"),
        runs.c.state.in_([fixed(state) for state in RunState if not state.over]),
    ),
    _run,
)
_WAITING_FOR: Final = Query(
    _ALL.join(firings, firings.c.incident == runs.c.incident)
    .where(firings.c.rule == given("rule"), firings.c.key == given("key"))
    .where(runs.c.rule == given("rule"), runs.c.state == fixed(RunState.WAITING)),
    _run,
)
_MAKE_READY: Final = insert_into(attempts)
_ATTEMPT: Final = Query(select(attempts).where(attempts.c.id == given("id")), _attempt)
_ATTEMPTS_OF: Final = Query(
    select(attempts).where(attempts.c.run == given("run")).order_by(attempts.c.step, attempts.c.number),
    _attempt,
)
_CONCLUDE: Final = Statement(
    update(attempts)
    .where(attempts.c.id == given("attempt"))
    .values(state=fixed(AttemptState.ENDED), outcome=given("outcome"), changed=given("changed"))
)
_CANCEL: Final = Statement(
    update(attempts)
    .where(attempts.c.run == given("of"), attempts.c.state == fixed(AttemptState.READY))
    .values(state=fixed(AttemptState.CANCELLED), changed=given("changed"))
)
_RECORD: Final = insert_into(outcomes, instead=True)


_ACTING: Final = runs.c.state.in_([fixed(RunState.RUNNING), fixed(RunState.VERIFYING)])
_ACTING_ON: Final = Query(
    select(runs.c.id)
    .join(attempts, attempts.c.run == runs.c.id)
    .where(attempts.c.target == given("target"), _ACTING)
    .distinct(),
    lambda row: row.id,
)
# rows are numbered as they are written, in the order of `created`, and none is ever deleted
_ROWID: Final = literal_column("attempts.rowid", Integer)
_NEWEST: Final = select(func.max(_ROWID)).select_from(attempts).scalar_subquery()
_ATTEMPTS_SINCE: Final = Statement(
    select(_NEWEST - _ROWID + fixed(1))
    .select_from(attempts)
    .where(attempts.c.created > given("since"))
    .order_by(attempts.c.created, _ROWID)
)


@cache
def _changing(*names: str) -> Statement:
    """Set these columns of a run."""
    values = {name: given(name) for name in (*names, "changed")}
    return Statement(update(runs).where(runs.c.id == given("wanted")).values(values))


@cache
def _starts(said: tuple[str, ...], missing: tuple[str, ...]) -> Statement:
    """Count the steps whose labels have these values, and these no value."""
    # one text for a step: over two columns the planner would read all that was ever started, in their order
    step = attempts.c.run + literal("/") + cast(attempts.c.step, Text)
    query = select(func.count(step.distinct())).where(attempts.c.created > given("since"))
    query = query.where(attempts.c.state != fixed(AttemptState.CANCELLED))
    query = query.where(*(attempts.c[name] == given(name) for name in said))
    return Statement(query.where(*(attempts.c[name].is_(None) for name in missing)))


@cache
def _busy(column: str) -> Query[str]:
    """Targets with this value in that column on which somebody acts."""
    return Query(
        select(attempts.c.target)
        .join(runs, runs.c.id == attempts.c.run)
        .where(attempts.c[column] == given("value"), attempts.c.run != given("but_run"), _ACTING)
        .distinct(),
        lambda row: row.target,
    )


def insert(tx: Tx, run: Run, plan_hash: str) -> None:
    """Write a new run."""
    _INSERT.run(
        tx,
        id=run.id,
        incident=run.incident,
        rule=run.rule,
        part=run.part,
        plan_hash=plan_hash,
        plan=msgspec.json.encode(run.plan),
        state=str(run.state),
        step=run.step,
        created=run.created,
        changed=run.changed,
        evidence_seq=run.evidence_seq,
        epoch=run.epoch,
        approved_by=run.approved_by,
    )


def change(tx: Tx, run: str, now: Millis, **values: Any) -> None:
    """Change a run's state, step or approver."""
    plain = {name: str(value) if isinstance(value, StrEnum) else value for name, value in values.items()}
    _changing(*values).run(tx, wanted=run, changed=now, **plain)


def find(tx: Tx, run: str) -> Run | None:
    """One run."""
    return _FIND.first(tx, id=run)


def of_incident(tx: Tx, incident: str) -> list[Run]:
    """An incident's runs, oldest first."""
    return _OF_INCIDENT.all(tx, incident=incident)


def under_way(tx: Tx, incident: str) -> list[Run]:
    """An incident's runs that are not over, oldest first."""
    return _UNDER_WAY.all(tx, incident=incident)


def waiting_for(tx: Tx, rule: str, key: str) -> list[Run]:
    """A rule's runs that wait, in the incidents for which it fired with this key, oldest first."""
    return _WAITING_FOR.all(tx, rule=rule, key=key)


def equal(tx: Tx, incident: str, plan_hash: str) -> list[Run]:
    """An incident's runs of one and the same plan, oldest first."""
    return _EQUAL.all(tx, incident=incident, plan_hash=plan_hash)


def in_states(tx: Tx, states: Sequence[RunState]) -> list[Run]:
    """Every run in one of the states, oldest first."""
    wanted = [str(state) for state in states]
    rows = tx.execute(select(runs).where(runs.c.state.in_(wanted)).order_by(runs.c.created, runs.c.id))
    return [_run(row) for row in rows]


def latest(tx: Tx, limit: int, states: Sequence[RunState] = ()) -> list[Run]:
    """The newest runs, newest first; every state when none is named."""
    query = select(runs).order_by(runs.c.created.desc(), runs.c.id.desc()).limit(limit)
    if states:
        query = query.where(runs.c.state.in_([str(state) for state in states]))
    return [_run(row) for row in tx.execute(query)]


def results(tx: Tx) -> dict[tuple[str, str], int]:
    """How often the runs of each rule ended in which state: (rule, state) → count."""
    query = select(outcomes.c.rule, outcomes.c.result, func.count()).group_by(
        outcomes.c.rule, outcomes.c.result
    )
    return {(row[0], row[1]): int(row[2]) for row in tx.execute(query)}


def order(tx: Tx, wanted: AttemptOrder, *, step: int, number: int, labels: Labels, now: Millis) -> None:
    """Make an attempt ready for the hands."""
    mark(tx, Due.ATTEMPTS, wanted)
    _MAKE_READY.run(
        tx,
        id=wanted.id,
        run=wanted.run,
        step=step,
        number=number,
        order=msgspec.json.encode(wanted),
        state=str(AttemptState.READY),
        boot="",
        created=now,
        changed=now,
        outcome=None,
        action=wanted.step.action,
        target=wanted.step.target,
        service=labels.service,
        group=labels.group,
        incident_type=labels.incident_type,
        rule=labels.rule,
    )


def ready(tx: Tx, limit: int, target: str | None = None) -> list[AttemptOrder]:
    """Attempts to be made, on one target or on any, oldest first."""
    query = select(attempts.c.order).where(attempts.c.state == str(AttemptState.READY))
    if target is not None:
        query = query.where(attempts.c.target == target)
    rows = tx.execute(query.order_by(attempts.c.created, attempts.c.id).limit(limit))
    return [msgspec.json.decode(row.order, type=AttemptOrder) for row in rows]


def ready_after(tx: Tx, after: int, limit: int) -> tuple[list[AttemptOrder], int]:
    """Attempts to be made that were written after that number, and the number to go on from."""
    rows = tx.execute(_READY_AFTER, {"after": after, "limit": limit}).all()
    orders = [msgspec.json.decode(row.order, type=AttemptOrder) for row in rows]
    return orders, rows[-1].number if rows else after


def intend(tx: Tx, attempt: str, boot: str, at: Millis) -> bool:
    """Write down that the world is about to be touched; False when it must not be any more."""
    return _INTEND.run(tx, wanted=attempt, to=boot, at=at) == 1


def intended(tx: Tx) -> list[tuple[AttemptOrder, str]]:
    """Attempts that were begun and have no outcome yet, with the boot id of their host then."""
    rows = tx.execute(
        select(attempts.c.order, attempts.c.boot)
        .where(attempts.c.state == str(AttemptState.INTENDED))
        .order_by(attempts.c.created, attempts.c.id)
    )
    return [(msgspec.json.decode(row.order, type=AttemptOrder), row.boot) for row in rows]


def conclude(tx: Tx, outcome: Outcome, now: Millis) -> Attempt | None:
    """Write an outcome once; None when the attempt is unknown or was concluded before."""
    found = attempt(tx, outcome.attempt)
    if found is None or found.state in {AttemptState.ENDED, AttemptState.CANCELLED}:
        return None
    _CONCLUDE.run(tx, attempt=outcome.attempt, outcome=msgspec.json.encode(outcome), changed=now)
    return found


def cancel(tx: Tx, run: str, now: Millis) -> int:
    """Cancel the run's attempts that have not begun; how many."""
    return _CANCEL.run(tx, of=run, changed=now)


def attempt(tx: Tx, wanted: str) -> Attempt | None:
    """One attempt."""
    return _ATTEMPT.first(tx, id=wanted)


def attempts_of(tx: Tx, run: str) -> list[Attempt]:
    """A run's attempts in order."""
    return _ATTEMPTS_OF.all(tx, run=run)


def starts(tx: Tx, since: Millis, where: dict[str, str | None]) -> int:
    """How many steps were started since then, by the given labels; retries of a step count once."""
    said = {name: value for name, value in where.items() if value is not None}
    return int(_starts(tuple(said), tuple(where.keys() - said)).value(tx, since=since, **said))


def starts_at_most(tx: Tx, since: Millis) -> int:
    """No more steps than this were started since then, whatever their labels; costs two look-ups."""
    return int(_ATTEMPTS_SINCE.value(tx, since=since) or 0)


def busy_targets(tx: Tx, column: str, value: str, *, but_run: str) -> set[str]:
    """Targets of a service or group that other runs are acting on or observing right now."""
    return set(_busy(column).all(tx, value=value, but_run=but_run))


def acting_on(tx: Tx, targets: set[str]) -> list[str]:
    """Runs that are acting on one of the targets right now."""
    return sorted({run for target in targets for run in _ACTING_ON.all(tx, target=target)})


def record(tx: Tx, run: Run, incident_type: str, service: str | None, now: Millis) -> None:
    """Keep how a run ended, for what learns from it later."""
    _RECORD.run(
        tx,
        run=run.id,
        incident=run.incident,
        incident_type=incident_type,
        service=service,
        rule=run.rule,
        action=run.plan.name,
        result=str(run.state),
        at=now,
    )
