"""Plain JSON becomes an event: by the source's map, or by the six names that need none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from holdfast.model.events import Event
from holdfast.model.snapshot import Cast, Snapshot, Source
from holdfast.model.values import Json, Millis
from holdfast.sense.cast import moment
from holdfast.sense.draft import Draft, Sender, finish, nobody
from holdfast.sense.mapping import place, read, steps
from holdfast.sense.payload import kind_of
from holdfast.sense.refusal import Unprocessable

_TIMES: Final = frozenset({Cast.EPOCH, Cast.EPOCH_MS, Cast.RFC3339})
_NAMES: Final = frozenset({"id", "type", "time", "severity", "subject", "data"})


def normalise(
    source: Source,
    snapshot: Snapshot,
    raw: Mapping[str, Json],
    *,
    received: Millis,
    auth: str,
    unknown: Callable[[str], None] = nobody,
) -> Event:
    """One event of a source. `unknown` is told each service or host that the estate does not have.

    Raises Unprocessable where a field is not what the map or the event type declares.
    """
    return read_plain(raw, Sender(source, snapshot, received, auth, unknown))


def read_plain(raw: Mapping[str, Json], sender: Sender) -> Event:
    """The same for whoever reads many events."""
    source = sender.source
    document = raw if isinstance(raw, dict) else dict(raw)
    return finish(_mapped(source, document) if source.map else _plain(source, document), sender)


def read_time(value: Json) -> Millis | None:
    """A time as a sender wrote it; None where there is none. Raises Unprocessable."""
    if value is None or value == "":
        return None
    try:
        return moment(value)
    except ValueError as error:
        raise Unprocessable(
            f"The time is {kind_of(value)} that cannot be read as one.",
            "Send RFC 3339 (2026-01-31T12:00:00Z), or seconds or milliseconds since 1970.",
        ) from error


def as_data(value: Json) -> dict[str, Json]:
    """Data is always an object; anything else stands under `value`."""
    if value is None:
        return {}
    return value if isinstance(value, dict) else {"value": value}


def _plain(source: Source, raw: dict[str, Json]) -> Draft:
    """Names that are not known go to the data: a sender describes, and never chooses a target."""
    extra = {} if raw.keys() <= _NAMES else {name: raw[name] for name in raw if name not in _NAMES}
    data = as_data(raw.get("data"))
    if source.type is not None and "type" in raw:
        extra["type"] = raw["type"]
    return Draft(
        raw=raw,
        id=raw.get("id"),
        type=raw.get("type") if source.type is None else None,
        time=read_time(raw.get("time")),
        severity=raw.get("severity"),
        subject=raw.get("subject"),
        data={**extra, **data} if extra else data,
    )


def _mapped(source: Source, raw: dict[str, Json]) -> Draft:
    fields: dict[str, Json] = {}
    data: dict[str, Json] = {}
    time: Millis | None = None
    for item in source.map:
        value = read(item, raw)
        root, *path = steps(item.target)
        if root == "data" and path:
            data = data if value is None else place(data, tuple(path), value)
        elif root == "time":
            time = value if item.cast in _TIMES and isinstance(value, int) else read_time(value)
        else:
            fields[str(root)] = value
    return Draft(
        raw=raw,
        id=fields.get("id"),
        type=fields.get("type"),
        time=time,
        severity=fields.get("severity"),
        subject=fields.get("subject"),
        service=fields.get("service"),
        host=fields.get("host"),
        data=data,
    )
