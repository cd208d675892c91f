"""What every stage is handed: one journal entry's transaction, time, config and tools."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from holdfast.model.events import Event
from holdfast.model.policies import Verdict
from holdfast.model.records import Incident, Run, TimelineItem
from holdfast.model.rules import Rule
from holdfast.model.snapshot import Snapshot
from holdfast.model.values import Json, Millis
from holdfast.store import facts, incidents
from holdfast.store.database import Tx

STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who this daemon is: a random id of its database, and the key that reply codes come from."""

    install: str
    gate_key: bytes


@dataclass(frozen=True, slots=True)
class Cause:
    """Why something is proposed: the incident, the rule and the event that it rests on."""

    incident: Incident
    rule: Rule
    part: str
    event: Event
    evidence_seq: int
    guards: tuple[str, ...] = ()
    unknown_guards: tuple[str, ...] = ()
    approved_by: str | None = None


@dataclass(slots=True)
class Work:
    """One entry on its way down the road. `now` is when it was received, never a clock."""

    tx: Tx
    seq: int
    now: Millis
    snapshot: Snapshot
    identity: Identity
    started_at: int
    #: (incident, rule) of which something has ended: the road lets their responses go on.
    settled: list[tuple[str, str]] = field(default_factory=list)
    #: What was decided while this entry was handled.
    decided: list[tuple[Run, Verdict]] = field(default_factory=list)
    _made: dict[str, int] = field(default_factory=dict)

    def new_id(self, letter: str) -> str:
        """An id from the entry's place in the journal: the same journal gives the same ids.

        The install id keeps two daemons, or two databases of one, apart on the hosts they act on.
        """
        count = self._made.get(letter, 0) + 1
        self._made[letter] = count
        suffix = "" if count == 1 else f".{count}"
        return f"{letter}{self.seq}{suffix}-{self.identity.install}"

    def note(self, incident: str, kind: str, text: str, data: Mapping[str, Json] | None = None) -> None:
        """Add a line to the incident's timeline, with the config commit that led to it."""
        item = TimelineItem(incident, self.now, self.seq, kind, text, self.snapshot.commit, data or {})
        incidents.append(self.tx, item)

    @property
    def stopped(self) -> bool:
        """Whether the kill switch is on."""
        return facts.get(self.tx, STOPPED) == "1"
