"""From a request to journal entries: which form it has, and what that form means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from holdfast.model.events import Entry
from holdfast.model.kinds import EntryKind
from holdfast.sense.cloudevents import BATCH, STRUCTURED, from_binary, is_binary, read_cloudevent
from holdfast.sense.draft import Sender
from holdfast.sense.normalise import read_plain
from holdfast.sense.payload import MAX_BATCH, MAX_EVENT, read_events
from holdfast.sense.refusal import Refused, Unsupported
from holdfast.web.request import media_type

PLAIN: Final = "application/json"
_LIMITS: Final[Mapping[str, int]] = {PLAIN: MAX_BATCH, BATCH: MAX_BATCH, STRUCTURED: MAX_EVENT}


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
        raws, read = [from_binary(headers, body)], read_cloudevent
    else:
        raws, read = read_events(body), read_plain if media == PLAIN else read_cloudevent
        if media == STRUCTURED and body.lstrip()[:1] == b"[":
            raise Refused("The body is an array.", f"Send Content-Type: {BATCH}.")
    entries: list[Entry] = []
    for raw in raws:
        try:
            event = read(raw, sender)
        except Refused as error:
            if len(raws) == 1:
                raise
            place = len(entries) + 1
            raise type(error)(f"Event {place} of the batch: {error.what}", error.fix) from error
        written = msgspec.json.encode(event)
        entries.append(
            Entry(EntryKind.EVENT, event.source, event.id, sender.snapshot.commit, written, event=event)
        )
    return entries
