"""What every form of input comes to, and the one place where it becomes an Event."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from holdfast.model.events import Event, Provenance
from holdfast.model.snapshot import FieldType, Snapshot, Source, SourceKind
from holdfast.model.values import DAY, MINUTE, Json, Millis, Severity
from holdfast.sense.cast import fit
from holdfast.sense.mapping import at, place, steps
from holdfast.sense.payload import kind_of
from holdfast.sense.refusal import Unprocessable

#: A source's clock is believed within these bounds around the time of receipt.
LATENESS: Final[Millis] = DAY
SKEW: Final[Millis] = 5 * MINUTE
#: Two equal events that bear neither an id nor a time are one event while within this span.
RETRY_SPAN: Final[Millis] = 10 * MINUTE
MAX_NAME: Final = 256
#: What probes say; nobody else may say it for them.
HTTP_PROBE: Final = "http.probe"

_SEVERITIES: Final[Mapping[str, Severity]] = {str(item): item for item in Severity}
_RANKS: Final[Mapping[Severity, int]] = {item: item.rank for item in Severity}


class Draft(msgspec.Struct, frozen=True, gc=False):
    """The fields of an event as they were read; None is a field that was not sent.

    `raw` is the whole input: its digest is the id of an event that bears none.
    """

    raw: Json
    id: Json = None
    type: Json = None
    time: Millis | None = None
    severity: Json = None
    subject: Json = None
    service: Json = None
    host: Json = None
    data: dict[str, Json] = msgspec.field(default_factory=dict)


def nobody(name: str) -> None:
    """Is told a name, and does not care."""


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sent an input, and how it is read. `unknown` is told each name of a service or
    host that the estate does not have."""

    source: Source
    snapshot: Snapshot
    received: Millis
    auth: str
    unknown: Callable[[str], None] = nobody


def finish(draft: Draft, sender: Sender) -> Event:
    """The event; raises Unprocessable naming the first field that is wrong."""
    source, snapshot, received = sender.source, sender.snapshot, sender.received
    kind = _type(source, draft.type)
    declared = snapshot.events.get(kind)
    return Event(
        id=_digest(draft, received) if draft.id in (None, "") else _id(draft.id),
        source=source.name,
        type=kind,
        time=received if draft.time is None else _clamp(draft.time, received),
        received=received,
        severity=_severity(draft.severity, source),
        subject=_subject(draft.subject) or source.name,
        provenance=Provenance(sender.auth, source.trust, snapshot.commit),
        service=_known(draft.service, source.service, snapshot.services, sender),
        host=_known(draft.host, source.host, snapshot.hosts, sender),
        data=draft.data if declared is None else _conform(draft.data, kind, declared),
    )


def _type(source: Source, value: Json) -> str:
    kind = _name(source.type if value is None else value, "type")
    if kind == HTTP_PROBE and source.kind is not SourceKind.HTTP_PROBE:
        raise Unprocessable(f"Events of type {HTTP_PROBE} come from probes only.", "Send another type.")
    return kind


def _digest(draft: Draft, received: Millis) -> str:
    """The same for a retry; for a repetition another one, as soon as anything tells them apart."""
    span = received // RETRY_SPAN if draft.time is None else 0
    content = msgspec.json.encode([draft.raw, span], order="deterministic")
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _id(value: Json) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    return _name(value, "id")


def _name(value: Json, what: str) -> str:
    if value is None or value == "":
        raise Unprocessable(
            f"The event has no {what}.", f"Send a {what}, or let the source's config give one."
        )
    if not isinstance(value, str):
        raise Unprocessable(f"The {what} is {kind_of(value)}.", f"Send the {what} as a text.")
    if len(value) > MAX_NAME or not value.isprintable():
        raise Unprocessable(
            f"The {what} has more than {MAX_NAME} characters, or some that cannot be printed.",
            f"Send a short, printable {what}.",
        )
    return value


def _clamp(time: Millis, received: Millis) -> Millis:
    return max(received - LATENESS, min(time, received + SKEW))


def _severity(value: Json, source: Source) -> Severity:
    said = source.severity if value is None else None
    if isinstance(value, str):
        said = _SEVERITIES.get(value.lower())
    if said is None:
        raise Unprocessable(
            f"The severity is {kind_of(value)} that is none of the four.",
            f"Send one of {', '.join(_SEVERITIES)}, or give the source's map a table.",
        )
    most = source.max_severity
    # looking an enum up takes longer than the rest
    return said if most is Severity.CRITICAL or _RANKS[said] <= _RANKS[most] else most


def _subject(value: Json) -> str:
    """A subject only names: what cannot be printed in one line becomes a space, never a refusal."""
    if value is None or isinstance(value, dict | list | bool):
        return ""
    text = str(value)[:MAX_NAME]
    if text.isprintable():
        return text.strip()
    return "".join(char if char.isprintable() else " " for char in text).strip()


def _known(value: Json, otherwise: str | None, estate: Mapping[str, object], sender: Sender) -> str | None:
    """A name that the estate has; a name that it does not have is told, and is none."""
    if value is None:
        return otherwise
    if isinstance(value, str) and value in estate:
        return value
    sender.unknown(str(value)[:MAX_NAME])
    return None


def _conform(data: dict[str, Json], kind: str, declared: Mapping[str, FieldType]) -> dict[str, Json]:
    for name, wanted in declared.items():
        root, *path = steps(name)
        if root != "data" or not path:
            continue
        value = at(data, tuple(path))
        if value is None:
            if not wanted.optional:
                raise Unprocessable(
                    f"Events of type {kind} have {name} ({wanted.kind}), and this one has not.",
                    f"Send it, or declare it as optional: {wanted.kind}?.",
                )
            continue
        fitting = _fit(value, name, kind, wanted)
        if fitting is not value:
            data = place(data, tuple(path), fitting)
    return data


def _fit(value: Json, name: str, kind: str, wanted: FieldType) -> Json:
    try:
        return fit(value, wanted.kind)
    except ValueError as error:
        raise Unprocessable(
            f"{name} of events of type {kind} should be {wanted.kind} and is {kind_of(value)}.",
            "Send the declared type, or change the declaration.",
        ) from error
