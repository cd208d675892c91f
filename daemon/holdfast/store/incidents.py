"""Incidents, their timelines, the rules that hold them open, and how far each rule has come."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec
from sqlalchemy import func, select, update

from holdfast.model.events import Event
from holdfast.model.records import Incident, IncidentState, TimelineItem
from holdfast.model.values import Json, Millis, Severity
from holdfast.store.database import Tx
from holdfast.store.tables import firings, responses, timeline
from holdfast.store.tables import incidents as table


@dataclass(frozen=True, slots=True)
class Response:
    """How far one rule has come with one incident.

    `epoch` is the incident's `reopened` when it began; `stage` is CONTAINING, the index of the item
    of `then` that is under way, or DONE. `event` is the firing that began it.
    """

    incident: str
    rule: str
    epoch: int
    stage: int
    event: Event


CONTAINING = -1
DONE = 1_000


def insert(tx: Tx, incident: Incident) -> None:
    """Write a new incident; the database refuses a second live one with the same key."""
    tx.execute(
        table.insert().values(
            id=incident.id,
            key=incident.key,
            type=incident.type,
            severity=str(incident.severity),
            title=incident.title,
            service=incident.service,
            subject=incident.subject,
            state=str(incident.state),
            version=incident.version,
            opened=incident.opened,
            changed=incident.changed,
            cleared=incident.cleared,
            reopened=incident.reopened,
        )
    )


def change(tx: Tx, incident: Incident, now: Millis, **values: Any) -> Incident:
    """Compare-and-swap on the version; returns the incident as it is now."""
    plain = {name: str(value) if isinstance(value, StrEnum) else value for name, value in values.items()}
    done = tx.execute(
        update(table)
        .where(table.c.id == incident.id, table.c.version == incident.version)
        .values(version=incident.version + 1, changed=now, **plain)
    )
    if done.rowcount != 1:
        raise RuntimeError(f"incident {incident.id} changed under our feet (version {incident.version})")
    row = tx.execute(select(table).where(table.c.id == incident.id)).one()
    return _incident(row)


def find(tx: Tx, incident: str) -> Incident | None:
    """One incident."""
    row = tx.execute(select(table).where(table.c.id == incident)).first()
    return None if row is None else _incident(row)


def live(tx: Tx, key: str) -> Incident | None:
    """The incident of a key that is open or cleared."""
    row = tx.execute(
        select(table).where(table.c.key == key, table.c.state != str(IncidentState.CLOSED))
    ).first()
    return None if row is None else _incident(row)


def listed(tx: Tx, states: Sequence[IncidentState] = (), limit: int = 100) -> list[Incident]:
    """Incidents, the newest first; every state when none is named."""
    query = select(table).order_by(table.c.opened.desc(), table.c.id.desc()).limit(limit)
    if states:
        query = query.where(table.c.state.in_([str(state) for state in states]))
    return [_incident(row) for row in tx.execute(query)]


def beginning_with(tx: Tx, prefix: str, limit: int = 20) -> list[Incident]:
    """Incidents whose id begins with these characters, the newest first."""
    query = select(table).where(table.c.id.startswith(prefix, autoescape=True))
    rows = tx.execute(query.order_by(table.c.opened.desc(), table.c.id.desc()).limit(limit))
    return [_incident(row) for row in rows]


def count(tx: Tx) -> dict[IncidentState, int]:
    """How many incidents there are in each state; a state without any is left out."""
    rows = tx.execute(select(table.c.state, func.count()).group_by(table.c.state))
    return {IncidentState(row[0]): int(row[1]) for row in rows}


def append(tx: Tx, item: TimelineItem) -> None:
    """Add a line to an incident's story; lines are never changed."""
    tx.execute(
        timeline.insert().values(
            incident=item.incident,
            at=item.at,
            seq=item.seq,
            kind=item.kind,
            text=item.text,
            commit=item.commit,
            data=msgspec.json.encode(item.data),
        )
    )


def story(tx: Tx, incident: str, kind: str | None = None) -> list[TimelineItem]:
    """An incident's timeline in order, or its lines of one kind."""
    query = select(timeline).where(timeline.c.incident == incident).order_by(timeline.c.item)
    if kind is not None:
        query = query.where(timeline.c.kind == kind)
    return [
        TimelineItem(row.incident, row.at, row.seq, row.kind, row.text, row.commit, _json(row.data))
        for row in tx.execute(query)
    ]


def fired(tx: Tx, incident: str, rule: str, key: str, now: Millis) -> int:
    """The rule holds the incident open for this key; returns how often it has fired."""
    where = (firings.c.incident == incident, firings.c.rule == rule, firings.c.key == key)
    count = tx.execute(select(firings.c.count).where(*where)).scalar()
    if count is None:
        tx.execute(
            firings.insert().values(incident=incident, rule=rule, key=key, clear=False, last=now, count=1)
        )
        return 1
    tx.execute(update(firings).where(*where).values(clear=False, last=now, count=count + 1))
    return int(count) + 1


def held_open_by(tx: Tx, rule: str, key: str) -> list[Incident]:
    """Open incidents that this rule holds open for this key."""
    rows = tx.execute(
        select(table)
        .join(firings, firings.c.incident == table.c.id)
        .where(firings.c.rule == rule, firings.c.key == key, firings.c.clear.is_(False))
        .where(table.c.state == str(IncidentState.OPEN))
    )
    return [_incident(row) for row in rows]


def clear_firing(tx: Tx, incident: str, rule: str, key: str) -> int:
    """The rule is clear for this key; returns how many firings still hold the incident open."""
    tx.execute(
        update(firings)
        .where(firings.c.incident == incident, firings.c.rule == rule, firings.c.key == key)
        .values(clear=True)
    )
    query = select(func.count()).select_from(firings)
    return int(
        tx.execute(query.where(firings.c.incident == incident, firings.c.clear.is_(False))).scalar() or 0
    )


def holders(tx: Tx, incident: str) -> list[tuple[str, str, bool]]:
    """(rule, key, clear) of everything that fired for an incident."""
    rows = tx.execute(
        select(firings).where(firings.c.incident == incident).order_by(firings.c.rule, firings.c.key)
    )
    return [(row.rule, row.key, row.clear) for row in rows]


def firing_counts(tx: Tx) -> dict[str, tuple[int, Millis]]:
    """How often each rule has fired for an incident, and when it did last."""
    rows = tx.execute(
        select(firings.c.rule, func.sum(firings.c.count), func.max(firings.c.last)).group_by(firings.c.rule)
    )
    return {row[0]: (int(row[1]), int(row[2])) for row in rows}


def response(tx: Tx, incident: str, rule: str) -> Response | None:
    """How far a rule has come with an incident."""
    row = tx.execute(
        select(responses).where(responses.c.incident == incident, responses.c.rule == rule)
    ).first()
    return None if row is None else _response(row)


def responses_of(tx: Tx, incident: str) -> list[Response]:
    """Every rule's response to an incident."""
    rows = tx.execute(select(responses).where(responses.c.incident == incident).order_by(responses.c.rule))
    return [_response(row) for row in rows]


def put_response(tx: Tx, wanted: Response) -> None:
    """Write how far a rule has come."""
    tx.execute(
        responses.insert()
        .prefix_with("OR REPLACE")
        .values(
            incident=wanted.incident,
            rule=wanted.rule,
            epoch=wanted.epoch,
            stage=wanted.stage,
            firing_event=msgspec.json.encode(wanted.event),
        )
    )


def _response(row: Any) -> Response:
    event = msgspec.json.decode(row.firing_event, type=Event)
    return Response(row.incident, row.rule, row.epoch, row.stage, event)


def _json(raw: bytes) -> Mapping[str, Json]:
    return msgspec.json.decode(raw, type=dict[str, Any])


def _incident(row: Any) -> Incident:
    return Incident(
        id=row.id,
        key=row.key,
        type=row.type,
        severity=Severity(row.severity),
        title=row.title,
        service=row.service,
        subject=row.subject,
        state=IncidentState(row.state),
        version=row.version,
        opened=row.opened,
        changed=row.changed,
        cleared=row.cleared,
        reopened=row.reopened,
    )


def tail(tx: Tx, after: int, limit: int) -> list[tuple[int, TimelineItem]]:
    """What was added to any incident's story after an item number, with the numbers."""
    rows = tx.execute(select(timeline).where(timeline.c.item > after).order_by(timeline.c.item).limit(limit))
    return [
        (
            row.item,
            TimelineItem(row.incident, row.at, row.seq, row.kind, row.text, row.commit, _json(row.data)),
        )
        for row in rows
    ]
