"""Why rules fire and why they do not: from one event and the config, or from an incident's evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from holdfast.errors import InputError
from holdfast.match.explain import RuleExplained, explain
from holdfast.model.events import Event
from holdfast.model.records import Incident
from holdfast.model.snapshot import Snapshot, SourceKind
from holdfast.model.values import Json, Millis, Severity, Trust
from holdfast.sense.cloudevents import normalise_cloudevent
from holdfast.sense.draft import HTTP_PROBE
from holdfast.sense.normalise import normalise
from holdfast.sense.payload import read_json
from holdfast.store import incidents
from holdfast.store.database import Tx

#: How an event is called that was never sent.
SUPPOSED: Final = "explain"
_FIELDS: Final = frozenset(
    {
        "id",
        "source",
        "type",
        "time",
        "received",
        "severity",
        "subject",
        "service",
        "host",
        "data",
        "trust",
        "provenance",
    }
)


@dataclass(frozen=True, slots=True)
class Explanation:
    """One event, and what every rule of a config says of it."""

    event: Event
    commit: str
    rules: tuple[RuleExplained, ...]


@dataclass(frozen=True, slots=True)
class Fired:
    """One firing: the event, the guards that held, and what the rule says of it by today's config."""

    at: Millis
    seq: int
    rule: str
    text: str
    commit: str
    event: Json
    guards: tuple[dict[str, Json], ...]
    explained: tuple[RuleExplained, ...]


@dataclass(frozen=True, slots=True)
class IncidentReasons:
    """Why the rules of an incident fired. `note` says what of it could not be explained."""

    incident: str
    title: str
    fired: tuple[Fired, ...]
    note: str


def event_from(
    text: bytes, snapshot: Snapshot, now: Millis, *, source: str | None, cloudevent: bool
) -> Event:
    """The event that a file describes: normalised already, or as the source would send it.

    Raises InputError with what is wrong.
    """
    raw = read_json(text)
    if not isinstance(raw, dict):
        raise InputError('the file holds no JSON object: write one event, {"type": ..., "data": {...}}')
    if source is None:
        return _supposed(raw, snapshot, now)
    declared = snapshot.sources.get(source)
    if declared is None:
        known = ", ".join(sorted(snapshot.sources)) or "none is declared"
        raise InputError(f"there is no source {source!r} in the config: name one of {known}")
    read = normalise_cloudevent if cloudevent else normalise
    return read(declared, snapshot, raw, received=now, auth=SUPPOSED)


def explanation(event: Event, snapshot: Snapshot) -> Explanation:
    """What every rule says of an event."""
    rules = [rule for _, rule in sorted(snapshot.rules.items())]
    return Explanation(event, snapshot.commit, explain(rules, event))


def incident_reasons(tx: Tx, incident: Incident, snapshot: Snapshot | None) -> IncidentReasons:
    """Every firing that the timeline holds; without a config, only what was recorded."""
    fired = []
    stale = set()
    for item in incidents.story(tx, incident.id, "evidence"):
        name = item.data.get("rule")
        event = _recorded(item.data.get("event"))
        rule = None if snapshot is None or not isinstance(name, str) else snapshot.rules.get(name)
        known = rule is not None and event is not None
        if snapshot is not None and item.commit != snapshot.commit:
            stale.add(item.commit)
        guards = item.data.get("guards")
        fired.append(
            Fired(
                at=item.at,
                seq=item.seq,
                rule=str(name),
                text=item.text,
                commit=item.commit,
                event=item.data.get("event"),
                guards=tuple(
                    guard for guard in (guards if isinstance(guards, list) else []) if isinstance(guard, dict)
                ),
                explained=explain([rule], event) if known and rule is not None and event is not None else (),
            )
        )
    return IncidentReasons(incident.id, incident.title, tuple(fired), _note(snapshot, stale))


def _note(snapshot: Snapshot | None, stale: set[str]) -> str:
    if snapshot is None:
        return "The config cannot be read (`holdfast check` says why), so the conditions are not shown."
    if stale:
        fired_under = ", ".join(sorted(stale))
        return f"The conditions are those of config {snapshot.commit}; it fired under {fired_under}."
    return ""


def _recorded(value: Json) -> Event | None:
    try:
        return msgspec.convert(value, Event)
    except msgspec.ValidationError:
        return None


def _supposed(raw: Mapping[str, Any], snapshot: Snapshot, now: Millis) -> Event:
    """A normalised event of which only what matters was written down."""
    strange = sorted(set(raw) - _FIELDS)
    if strange:
        raise InputError(
            f"a normalised event has no {', '.join(strange)}: put values under data, or name the source "
            f"of a raw payload with --source (fields: {', '.join(sorted(_FIELDS))})"
        )
    service = raw.get("service")
    source = raw.get("source") or _sender(raw.get("type"), service, snapshot)
    provenance = raw.get("provenance") or {
        "auth": SUPPOSED,
        "trust": raw.get("trust", _trust(source, snapshot)),
        "commit": snapshot.commit,
    }
    whole = {
        "id": SUPPOSED,
        "source": source,
        "time": now,
        "received": now,
        "severity": str(Severity.ERROR),
        "subject": service or source,
        **{key: value for key, value in raw.items() if key not in {"trust", "provenance"}},
        "provenance": provenance,
    }
    try:
        return msgspec.convert(whole, Event)
    except msgspec.ValidationError as error:
        raise InputError(f"this is no event: {error}") from error


def _sender(kind: object, service: object, snapshot: Snapshot) -> str:
    """The one declared source that such an event would come from, if there is one."""
    found = [
        source.name
        for source in snapshot.sources.values()
        if kind == (HTTP_PROBE if source.kind is SourceKind.HTTP_PROBE else source.type)
        and (service is None or source.service == service)
    ]
    return found[0] if len(found) == 1 else SUPPOSED


def _trust(source: object, snapshot: Snapshot) -> str:
    declared = snapshot.sources.get(source) if isinstance(source, str) else None
    return str(Trust.MEDIUM if declared is None else declared.trust)
