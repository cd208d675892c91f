"""What comes in: normalised events, and every other entry of the journal."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import msgspec

from holdfast.model.kinds import EntryKind
from holdfast.model.values import Fact, Json, Millis, Severity, Trust

# What is made anew for every event is a frozen struct, not a frozen dataclass: it is ten times as cheap.
# None of them is part of a cycle, so the garbage collector need not look at them.


class Provenance(msgspec.Struct, frozen=True, gc=False):
    """Why an event is believed: which credential it showed, and which config commit read it."""

    auth: str
    trust: Trust
    commit: str


class Event(msgspec.Struct, frozen=True, gc=False):
    """One normalised signal.

    `(source, id)` is unique: a second arrival is acknowledged and not processed again. `time` is the
    source's clock, clamped around `received`; it decides only membership of a window. `service` is
    None where the event names none that the estate knows; `subject` is never empty.
    """

    id: str
    source: str
    type: str
    time: Millis
    received: Millis
    severity: Severity
    subject: str
    provenance: Provenance
    service: str | None = None
    host: str | None = None
    data: dict[str, Json] = msgspec.field(default_factory=dict)

    def fact(self) -> Fact:
        """The view that conditions see; `service` and `host` are null, not missing, when absent."""
        return {
            "id": self.id,
            "source": self.source,
            "type": self.type,
            "time": self.time,
            "received": self.received,
            "severity": str(self.severity),
            "subject": self.subject,
            "trust": str(self.provenance.trust),
            "service": self.service,
            "host": self.host,
            "data": self.data,
        }


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One line of the journal. `seq` is 0 until it is on disk; `body` is JSON.

    `event` is what the body of an event means, where it is at hand: it spares reading the body.
    """

    kind: EntryKind
    source: str
    id: str
    commit: str
    body: bytes
    received: Millis = 0
    seq: int = 0
    event: Event | None = None


@dataclass(frozen=True, slots=True)
class Tick:
    """A durable timer became due."""

    timer: str


@dataclass(frozen=True, slots=True)
class ConfigSwap:
    """A new snapshot took over."""

    commit: str
    previous: str | None


@dataclass(frozen=True, slots=True)
class Switch:
    """The kill switch was thrown (`stopped`) or released."""

    stopped: bool
    by: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Close:
    """The operator says that an incident is over, whatever is observed."""

    incident: str
    by: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Start:
    """The daemon came up; everything journalled before this is older than the start."""

    boot: str
    version: str


class EngineMode(StrEnum):
    """Who matches events right now."""

    STARTING = "starting"  # native, until the engine process has passed its smoke facts
    DURABLE = "durable"  # the engine process, and native confirms
    RECOVERING = "recovering"  # native, until a new engine process has passed its smoke facts
    NATIVE = "native"  # native, until the next config or start


class EngineTrouble(StrEnum):
    """In which way the engine process failed."""

    DEATH = "death"  # it ended, or never started
    LATE = "late"  # it did not answer in time
    NONSENSE = "nonsense"  # what it answered cannot be an answer
    DIFFERENCE = "difference"  # it answered other than native
    QUARANTINE = "quarantine"  # a fact ended it twice, and is not shown to it again


@dataclass(frozen=True, slots=True)
class EngineNews:
    """What became of the engine; `trouble` is None for good news, and `why` holds nothing of an event."""

    mode: EngineMode
    trouble: EngineTrouble | None
    why: str
