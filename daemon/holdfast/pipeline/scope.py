"""What `$alias.path` means when a rule has fired, and how a title becomes text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from holdfast.conditions import MISSING, Missing, dereference
from holdfast.gate.wording import clean
from holdfast.model.actions import Service
from holdfast.model.events import Event
from holdfast.model.records import Incident
from holdfast.model.rules import Rule
from holdfast.model.snapshot import Snapshot
from holdfast.model.values import Fact, Json, Ref, Text

#: Event text is hostile and ends up on phones and terminals: it is cut and loses its controls.
TEXT_LIMIT: Final = 300


class Scope:
    """The values that one firing can name."""

    def __init__(
        self, snapshot: Snapshot, rule: Rule, event: Event, incident: Incident | None = None
    ) -> None:
        self.service = snapshot.services.get(event.service or "")
        self._facts: dict[str, Fact] = {rule.when.alias: event.fact()}
        if self.service is not None:
            self._facts["service"] = _service_fact(self.service)
        if event.host is not None and (host := snapshot.hosts.get(event.host)) is not None:
            self._facts["host"] = {"name": host.name, "address": host.address, "group": host.group}
        if incident is not None:
            self._facts["incident"] = {
                "id": incident.id,
                "type": incident.type,
                "severity": str(incident.severity),
                "title": incident.title,
            }
        self._facts["estate"] = {"own_ips": [host.address for host in snapshot.hosts.values()]}

    def resolve(self, ref: Ref) -> Json | Missing:
        """The value of a reference, or MISSING."""
        fact = self._facts.get(ref.alias)
        if fact is None:
            return MISSING
        if not ref.path:
            name: Json | Missing = fact.get("name", MISSING)
            return name
        return dereference(fact, ref.path)

    def text(self, template: Text) -> str:
        """The template with every reference filled in; what is missing shows as `?`."""
        parts = [part if isinstance(part, str) else self._shown(part) for part in template.parts]
        return clean("".join(parts), TEXT_LIMIT)

    def _shown(self, ref: Ref) -> str:
        value = self.resolve(ref)
        return "?" if isinstance(value, Missing) else clean(shown(value), 120)


def shown(value: Json) -> str:
    """A JSON value as people read it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def evidence_line(event: Event) -> str:
    """One event in one line: what it is, who said it, and its few first values."""
    values = ", ".join(f"{name}={shown(value)}" for name, value in _leaves(event.data)[:6])
    return clean(f"{event.type} from {event.source}" + (f": {values}" if values else ""), TEXT_LIMIT)


def _leaves(data: Mapping[str, Json]) -> list[tuple[str, Json]]:
    return [(name, value) for name, value in data.items() if not isinstance(value, dict | list)]


def _service_fact(service: Service) -> Fact:
    return {
        "name": service.name,
        "hosts": list(service.hosts),
        "unit": service.unit,
        "url": service.url,
        "labels": dict(service.labels),
    }
