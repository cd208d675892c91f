"""From a request to journal entries: which form it has, and what that form means."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from holdfast.model.events import Entry, EntryKind, Event
from holdfast.model.snapshot import Snapshot, Source
from holdfast.model.values import Json, Millis
from holdfast.sense.cloudevents import BATCH, STRUCTURED, from_binary, is_binary, normalise_cloudevent
from holdfast.sense.normalise import normalise
from holdfast.sense.payload import MAX_BATCH, MAX_EVENT, read_events
from holdfast.sense.refusal import Refused, Unsupported
from holdfast.web.request import media_type

PLAIN: Final = "application/json"
_LIMITS: Final[Mapping[str, int]] = {PLAIN: MAX_BATCH, BATCH: MAX_BATCH, STRUCTURED: MAX_EVENT}


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sent it and how it is read. `unknown` is told names that the estate does not have."""

    source: Source
    snapshot: Snapshot
    received: Millis
    auth: str
    unknown: Callable[[str], None]

    def event(self, raw: Mapping[str, Json], *, cloudevent: bool) -> Event:
        """One event of this sender."""
        read = normalise_cloudevent if cloudevent else normalise
        return read(
            self.source,
            self.snapshot,
            raw,
            received=self.received,
            auth=self.auth,
            unknown=self.unknown,
        )


def body_limit(headers: Mapping[str, str]) -> int:
    """The most bytes that a body of this form may have; Unsupported for a form that nobody reads."""
    if headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise Unsupported("The body is compressed.", "Send it without a Content-Encoding.")
    if is_binary(headers):
        return MAX_EVENT
    limit = _LIMITS.get(media_type(headers))
    if limit is None:
        raise Unsupported(
            "The content type is none that is read here.",
            f"Send Content-Type: {PLAIN}, {STRUCTURED} or {BATCH}.",
        )
    return limit


def entries_of(sender: Sender, headers: Mapping[str, str], body: bytes) -> list[Entry]:
    """Every event of a request, all or none. Raises Refused and its kinds."""
    media = media_type(headers)
    if is_binary(headers):
        raws, cloudevent = [from_binary(headers, body)], True
    else:
        raws, cloudevent = read_events(body), media != PLAIN
    if media == STRUCTURED and not is_binary(headers) and body.lstrip()[:1] == b"[":
        raise Refused("The body is an array.", f"Send Content-Type: {BATCH}.")
    return [
        _entry(sender, raw, place if len(raws) > 1 else 0, cloudevent=cloudevent)
        for place, raw in enumerate(raws, 1)
    ]


def _entry(sender: Sender, raw: Mapping[str, Json], place: int, *, cloudevent: bool) -> Entry:
    try:
        event = sender.event(raw, cloudevent=cloudevent)
    except Refused as error:
        if not place:
            raise
        raise type(error)(f"Event {place} of the batch: {error.what}", error.fix) from error
    body = msgspec.json.encode(event)
    return Entry(EntryKind.EVENT, event.source, event.id, sender.snapshot.commit, body, event=event)
