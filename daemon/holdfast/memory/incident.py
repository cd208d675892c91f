"""Open, join, reopen, clear and close incidents; every change is a line of the timeline."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import msgspec

from holdfast.model.records import Incident, IncidentState
from holdfast.model.values import Json, Millis, Severity
from holdfast.store import incidents
from holdfast.store.database import Tx


class How(StrEnum):
    """What a firing did to the incident."""

    OPENED = "opened"
    JOINED = "joined"
    REOPENED = "reopened"


@dataclass(frozen=True, slots=True)
class Sighting:
    """A firing as the incident sees it."""

    key: str
    type: str
    severity: Severity
    title: str
    service: str | None
    subject: str


def key_of(incident_type: str, values: tuple[Json, ...]) -> str:
    """The text that decides which incident a firing belongs to."""
    return msgspec.json.encode([incident_type, *values]).decode()


def see(tx: Tx, sighting: Sighting, new_id: str, now: Millis) -> tuple[Incident, How]:
    """Open an incident, or find the one that this firing belongs to; its severity never sinks."""
    found = incidents.live(tx, sighting.key)
    if found is None:
        fresh = Incident(
            id=new_id,
            key=sighting.key,
            type=sighting.type,
            severity=sighting.severity,
            title=sighting.title,
            service=sighting.service,
            subject=sighting.subject,
            state=IncidentState.OPEN,
            version=1,
            opened=now,
            changed=now,
        )
        incidents.insert(tx, fresh)
        return fresh, How.OPENED
    severity = max(found.severity, sighting.severity, key=lambda level: level.rank)
    if found.state is IncidentState.CLEARED:
        again = incidents.change(
            tx,
            found,
            now,
            state=IncidentState.OPEN,
            cleared=None,
            severity=severity,
            reopened=found.reopened + 1,
        )
        return again, How.REOPENED
    if severity is not found.severity:
        found = incidents.change(tx, found, now, severity=severity)
    return found, How.JOINED


def clear(tx: Tx, incident: Incident, now: Millis) -> Incident:
    """The fault is observed to be gone."""
    return incidents.change(tx, incident, now, state=IncidentState.CLEARED, cleared=now)


def close(tx: Tx, incident: Incident, now: Millis) -> Incident:
    """It stayed away; the next one like it is a new incident."""
    return incidents.change(tx, incident, now, state=IncidentState.CLOSED)
