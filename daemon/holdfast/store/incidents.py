"""Incidents, their timelines, the rules that hold them open, and how far each rule has come."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any, Final

import msgspec
from sqlalchemy import false, func, select, true, update
from sqlalchemy.dialects.sqlite import insert as upsert

from holdfast.model.events import Event
from holdfast.model.records import Incident, IncidentState, TimelineItem
from holdfast.model.values import Json, Millis, Severity
from holdfast.store.database import Tx
from holdfast.store.statement import Query, Statement, fixed, given, insert_into
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

_EVENT: Final = msgspec.json.Decoder(Event)
_DATA: Final = msgspec.json.Decoder(dict[str, Any])


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


def _item(row: Any) -> TimelineItem:
    data: Mapping[str, Json] = _DATA.decode(row.data)
    return TimelineItem(row.incident, row.at, row.seq, row.kind, row.text, row.commit, data)


def _response(row: Any) -> Response:
    return Response(row.incident, row.rule, row.epoch, row.stage, _EVENT.decode(row.firing_event))


_INSERT: Final = insert_into(table)
_FIND: Final = Query(select(table).where(table.c.id == given("id")), _incident)
_LIVE: Final = Query(
    select(table).where(table.c.key == given("key"), table.c.state != fixed(IncidentState.CLOSED)), _incident
)
_APPEND: Final = insert_into(timeline, without=("item",))
_STORY: Final = select(timeline).where(timeline.c.incident == given("incident")).order_by(timeline.c.item)
_STORY_WHOLE: Final = Query(_STORY, _item)
_STORY_KIND: Final = Query(_STORY.where(timeline.c.kind == given("kind")), _item)
_OF_FIRING: Final = (
    firings.c.incident == given("incident"),
    firings.c.rule == given("rule"),
    firings.c.key == given("key"),
)
_FIRED: Final = Statement(
    upsert(firings)
    .values(
        incident=given("incident"),
        rule=given("rule"),
        key=given("key"),
        clear=false(),
        last=given("last"),
        count=fixed(1),
    )
    .on_conflict_do_update(
        index_elements=["incident", "rule", "key"],
        set_={"clear": false(), "last": given("last"), "count": firings.c.count + fixed(1)},
    )
    .returning(firings.c.count)
)
_HELD_OPEN_BY: Final = Query(
    select(table)
    .join(firings, firings.c.incident == table.c.id)
    .where(firings.c.rule == given("rule"), firings.c.key == given("key"), firings.c.clear == false())
    .where(table.c.state == fixed(IncidentState.OPEN)),
    _incident,
)
_CLEAR: Final = Statement(update(firings).where(*_OF_FIRING).values(clear=true()))
_STILL_FIRING: Final = Statement(
    select(func.count())
    .select_from(firings)
    .where(firings.c.incident == given("incident"), firings.c.clear == false())
)
_HOLDERS: Final = Query(
    select(firings).where(firings.c.incident == given("incident")).order_by(firings.c.rule, firings.c.key),
    lambda row: (row.rule, row.key, bool(row.clear)),
)
_RESPONSES: Final = select(responses).where(responses.c.incident == given("incident"))
_RESPONSE: Final = Query(_RESPONSES.where(responses.c.rule == given("rule")), _response)
_RESPONSES_OF: Final = Query(_RESPONSES.order_by(responses.c.rule), _response)
_PUT_RESPONSE: Final = insert_into(responses, instead=True)


@cache
def _changing(*names: str) -> Query[Incident]:
    """Compare-and-swap of these columns."""
    values = {name: given(name) for name in (*names, "version", "changed")}
    swapped = update(table).where(table.c.id == given("wanted"), table.c.version == given("seen"))
    return Query(swapped.values(values).returning(*table.columns), _incident)


def insert(tx: Tx, incident: Incident) -> None:
    """Write a new incident; the database refuses a second live one with the same key."""
    _INSERT.run(
        tx,
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


def change(tx: Tx, incident: Incident, now: Millis, **values: Any) -> Incident:
    """Compare-and-swap on the version; returns the incident as it is now."""
    plain = {name: str(value) if isinstance(value, StrEnum) else value for name, value in values.items()}
    plain |= {"wanted": incident.id, "seen": incident.version, "version": incident.version + 1}
    changed = _changing(*values).first(tx, **plain, changed=now)
    if changed is None:
        raise RuntimeError(f"incident {incident.id} changed under our feet (version {incident.version})")
    return changed


def find(tx: Tx, incident: str) -> Incident | None:
    """One incident."""
    return _FIND.first(tx, id=incident)


def live(tx: Tx, key: str) -> Incident | None:
    """The incident of a key that is open or cleared."""
    return _LIVE.first(tx, key=key)


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
    _APPEND.run(
        tx,
        incident=item.incident,
        at=item.at,
        seq=item.seq,
        kind=item.kind,
        text=item.text,
        commit=item.commit,
        data=msgspec.json.encode(item.data),
    )


def story(tx: Tx, incident: str, kind: str | None = None) -> list[TimelineItem]:
    """An incident's timeline in order, or its lines of one kind."""
    if kind is None:
        return _STORY_WHOLE.all(tx, incident=incident)
    return _STORY_KIND.all(tx, incident=incident, kind=kind)


def tail(tx: Tx, after: int, limit: int) -> list[tuple[int, TimelineItem]]:
    """What was added to any incident's story after an item number, with the numbers."""
    rows = tx.execute(select(timeline).where(timeline.c.item > after).order_by(timeline.c.item).limit(limit))
    return [(row.item, _item(row)) for row in rows]


def fired(tx: Tx, incident: str, rule: str, key: str, now: Millis) -> int:
    """The rule holds the incident open for this key; returns how often it has fired."""
    return int(_FIRED.value(tx, incident=incident, rule=rule, key=key, last=now))


def held_open_by(tx: Tx, rule: str, key: str) -> list[Incident]:
    """Open incidents that this rule holds open for this key."""
    return _HELD_OPEN_BY.all(tx, rule=rule, key=key)


def clear_firing(tx: Tx, incident: str, rule: str, key: str) -> int:
    """The rule is clear for this key; returns how many firings still hold the incident open."""
    _CLEAR.run(tx, incident=incident, rule=rule, key=key)
    return int(_STILL_FIRING.value(tx, incident=incident))


def holders(tx: Tx, incident: str) -> list[tuple[str, str, bool]]:
    """(rule, key, clear) of everything that fired for an incident."""
    return _HOLDERS.all(tx, incident=incident)


def firing_counts(tx: Tx) -> dict[str, tuple[int, Millis]]:
    """How often each rule has fired for an incident, and when it did last."""
    rows = tx.execute(
        select(firings.c.rule, func.sum(firings.c.count), func.max(firings.c.last)).group_by(firings.c.rule)
    )
    return {row[0]: (int(row[1]), int(row[2])) for row in rows}


def response(tx: Tx, incident: str, rule: str) -> Response | None:
    """How far a rule has come with an incident."""
    return _RESPONSE.first(tx, incident=incident, rule=rule)


def responses_of(tx: Tx, incident: str) -> list[Response]:
    """Every rule's response to an incident."""
    return _RESPONSES_OF.all(tx, incident=incident)


def put_response(tx: Tx, wanted: Response) -> None:
    """Write how far a rule has come."""
    _PUT_RESPONSE.run(
        tx,
        incident=wanted.incident,
        rule=wanted.rule,
        epoch=wanted.epoch,
        stage=wanted.stage,
        firing_event=msgspec.json.encode(wanted.event),
    )
