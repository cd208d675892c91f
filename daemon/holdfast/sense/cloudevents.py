"""CloudEvents 1.0 over HTTP: structured, binary, and each member of a batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import unquote

from holdfast.model.events import Event
from holdfast.model.snapshot import Snapshot, Source
from holdfast.model.values import Json, Millis
from holdfast.sense.draft import Draft, Sender, finish, nobody
from holdfast.sense.normalise import as_data, read_time
from holdfast.sense.payload import kind_of, read_json
from holdfast.sense.refusal import Refused, Unprocessable, Unsupported

STRUCTURED: Final = "application/cloudevents+json"
BATCH: Final = "application/cloudevents-batch+json"

_PREFIX: Final = "ce-"
_RESERVED: Final = ("ce-data", "ce-data_base64")
_ATTRIBUTES: Final = frozenset(
    {"specversion", "id", "source", "type", "time", "subject", "datacontenttype", "dataschema"}
    | {"severity", "data", "data_base64"}
)


def is_binary(headers: Mapping[str, str]) -> bool:
    """Whether the attributes of a CloudEvent stand in these headers (names in lower case)."""
    return f"{_PREFIX}specversion" in headers


def from_binary(headers: Mapping[str, str], body: bytes | bytearray) -> dict[str, Json]:
    """The structured form of a CloudEvent in binary form. Raises Refused and its kinds."""
    found: dict[str, Json] = {
        name.removeprefix(_PREFIX): unquote(value)
        for name, value in headers.items()
        if name.startswith(_PREFIX) and name not in _RESERVED
    }
    if body:
        found["data"] = _content(headers.get("content-type", ""), body)
    return found


def normalise_cloudevent(
    source: Source,
    snapshot: Snapshot,
    raw: Mapping[str, Json],
    *,
    received: Millis,
    auth: str,
    unknown: Callable[[str], None] = nobody,
) -> Event:
    """The event of a CloudEvent in structured form; its id is `source#id` of the CloudEvent.

    Extension attributes, and the CloudEvent's source as `ce_source`, stand beside its data.
    Raises Unprocessable.
    """
    return read_cloudevent(raw, Sender(source, snapshot, received, auth, unknown))


def read_cloudevent(raw: Mapping[str, Json], sender: Sender) -> Event:
    """The same for whoever reads many events."""
    version = raw.get("specversion")
    if not isinstance(version, str) or not version.startswith("1."):
        raise Unprocessable("The CloudEvent is not of version 1.0.", 'Send "specversion": "1.0".')
    origin, own_id = _required(raw, "source"), _required(raw, "id")
    extra: dict[str, Json] = {name: value for name, value in raw.items() if name not in _ATTRIBUTES}
    extra["ce_source"] = origin
    if sender.source.type is not None:
        extra["type"] = raw.get("type")
    draft = Draft(
        raw=None,
        id=f"{origin}#{own_id}",
        type=_required(raw, "type") if sender.source.type is None else None,
        time=read_time(raw.get("time")),
        severity=raw.get("severity"),
        subject=raw.get("subject"),
        data={**extra, **_data(raw)},
    )
    return finish(draft, sender)


def _required(raw: Mapping[str, Json], name: str) -> str:
    value = raw.get(name)
    if not isinstance(value, str) or not value:
        raise Unprocessable(
            f"The CloudEvent's {name} is {kind_of(value)}, or empty.", f"Send {name} as a text."
        )
    return value


def _data(raw: Mapping[str, Json]) -> dict[str, Json]:
    if "data" in raw:
        return as_data(raw["data"])
    return {"base64": raw["data_base64"]} if "data_base64" in raw else {}


def _content(media: str, body: bytes | bytearray) -> Json:
    """The data of a binary CloudEvent: JSON is read, text is kept, anything else is refused."""
    kind = media.partition(";")[0].strip().lower()
    if kind == "application/json" or kind.endswith("+json") or not kind:
        return read_json(body)
    if not kind.startswith("text/"):
        raise Unsupported("The CloudEvent's data is neither JSON nor text.", "Send JSON data.")
    try:
        return {"text": body.decode()}
    except UnicodeDecodeError as error:
        raise Refused("The CloudEvent's data is not UTF-8.", "Send UTF-8 text.") from error
