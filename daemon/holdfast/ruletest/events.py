"""The events of a test, read by the sources that they come from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from holdfast.model.events import Event
from holdfast.model.ruletests import RuleTest, Send
from holdfast.model.snapshot import Snapshot, Source, SourceKind
from holdfast.model.values import Millis, Severity
from holdfast.sense.draft import Draft, Sender, finish
from holdfast.sense.normalise import normalise

_AUTH: Final = "test"


def event_of(send: Send, snapshot: Snapshot, received: Millis, key: str) -> Event:
    """One event; `key` is the id of one that bears none. Raises Refused as its source would."""
    source = snapshot.sources[send.source]
    if send.payload is not None:
        return normalise(source, snapshot, send.payload, received=received, auth=_AUTH)
    data = dict(send.data)
    draft = Draft(
        raw=data,
        id=key,
        type=send.type or source.type,
        time=received - send.ago,
        severity=_severity(send, source),
        subject=send.subject,
        service=send.service,
        host=send.host,
        data=data,
    )
    return finish(draft, Sender(source, snapshot, received, _AUTH))


def every_event(test: RuleTest, snapshot: Snapshot, received: Millis) -> Iterator[Event]:
    """One event for each `event` of the script. Raises Refused."""
    for number, step in enumerate(test.script):
        if isinstance(step.deed, Send):
            yield event_of(step.deed, snapshot, received, f"{test.name}-{number}")


def _severity(send: Send, source: Source) -> str | None:
    """A probe that is answered well is no trouble; all else is as bad as its source says."""
    if send.severity is not None:
        return str(send.severity)
    if source.kind is SourceKind.HTTP_PROBE and send.data.get("ok") is True:
        return str(Severity.INFO)
    return None
