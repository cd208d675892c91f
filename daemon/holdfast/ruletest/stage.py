"""One story: entries go down the real road, time passes when it is told to, and commands end as told."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from holdfast.errors import HoldfastError
from holdfast.gate.judge import LOCAL_CHANNEL, JudgementKind
from holdfast.match.native import NativeEngine
from holdfast.model.events import Entry, Event, Start, Tick
from holdfast.model.kinds import EntryKind
from holdfast.model.records import AttemptOrder, AuthLevel, Gate, InboundReply, Outcome, OutcomeKind
from holdfast.model.ruletests import Ends
from holdfast.model.snapshot import Snapshot
from holdfast.model.values import DAY, Millis
from holdfast.pipeline.road import Loaded, Pipeline
from holdfast.pipeline.work import Identity
from holdfast.store import gates, journal, runs, timers
from holdfast.store.database import Database, Tx

#: 1 January 2026, 00:00 UTC.
BEGIN: Final[Millis] = 20_454 * DAY
#: Steps that may follow on one entry before it is believed that they never end.
_MOST: Final = 10_000
_AT_ONCE: Final = 200
_IDENTITY: Final = Identity("test", bytes(32))
_TAKEN: Final = {JudgementKind.ACCEPTED, JudgementKind.DENIED}
_OUTCOMES: Final[Mapping[Ends, tuple[OutcomeKind, int | None]]] = {
    Ends.SUCCEEDS: (OutcomeKind.ENDED, 0),
    Ends.FAILS: (OutcomeKind.ENDED, 1),
    Ends.UNREACHED: (OutcomeKind.NOT_STARTED, None),
    Ends.UNKNOWN: (OutcomeKind.UNKNOWN, None),
}

T = TypeVar("T")


class CannotGoOn(HoldfastError):
    """The story has come to a point at which its next step makes no sense."""


class TooSlow(HoldfastError):
    """Whoever waits for the story has waited long enough."""


class Stage:
    """A daemon right after its start, on an empty database that is its own.

    The engine is the native one: the process is held to the same answers elsewhere, and here it would only
    make every story slower. `until` is when it has to be over, by the monotonic clock.
    """

    def __init__(
        self, snapshot: Snapshot, database: Path, commands: Mapping[str, Ends], *, until: float = math.inf
    ) -> None:
        self.snapshot = snapshot
        self.now = BEGIN
        self._until = math.inf
        self._commands = commands
        self._numbers = itertools.count(1)
        self._seen: set[tuple[str, str]] = set()
        self._coming: Sequence[Entry] = ()
        self._db = Database.open(database)
        self._road = Pipeline(
            self._db,
            Loaded(snapshot, NativeEngine(snapshot.rules.values())),
            _IDENTITY,
            decided=lambda _cursor, _due: None,
            tail=lambda after, _limit: [entry for entry in self._coming if entry.seq > after],
        )
        self._put(EntryKind.START, "app", "start", Start("test", "test"))
        self._until = until

    def close(self) -> None:
        """Let go of the database."""
        self._road.close()
        self._db.close()

    def take(self, event: Event) -> None:
        """An event comes in; a repetition of one that was heard already changes nothing, as ever."""
        self._put(EntryKind.EVENT, event.source, event.id, event)

    def wait(self, span: Millis) -> None:
        """Let time pass; what becomes due on the way happens when it is due."""
        until = self.now + span
        while (soonest := self.look(timers.next_due)) is not None and soonest <= until:
            self.now = max(self.now, soonest)
            for timer in self.look(lambda tx: timers.due(tx, self.now, _AT_ONCE)):
                self._put(EntryKind.TICK, "clock", f"tick-{next(self._numbers)}", Tick(timer.id))
        self.now = until

    def answer(self, choice: str) -> None:
        """Take a choice of the open question that offers it. Raises CannotGoOn where there is not one."""
        gate = self._question(choice)
        operator = next(iter(self.snapshot.operators), None)
        if operator is None:
            raise CannotGoOn("holdfast.yaml declares no operator, so nobody can answer")
        key = f"answer-{next(self._numbers)}"
        reply = InboundReply(LOCAL_CHANNEL, operator, key, choice, gate.id, AuthLevel.PROVEN, operator)
        seq = self._put(EntryKind.REPLY, LOCAL_CHANNEL, key, reply)
        taken = self.look(lambda tx: gates.recorded(tx, seq))
        if taken is None or taken.kind not in _TAKEN:
            raise CannotGoOn(f"the answer was not taken: {'' if taken is None else taken.receipt}")

    def look(self, what: Callable[[Tx], T]) -> T:
        """What the store holds now. Raises TooSlow: every step of a story begins with a look."""
        if time.monotonic() > self._until:
            raise TooSlow
        with self._db.read() as tx:
            return what(tx)

    def _question(self, choice: str) -> Gate:
        waiting = self.look(gates.pending)
        offering = [gate for gate in waiting if any(offer.name == choice for offer in gate.choices)]
        if len(offering) == 1:
            return offering[0]
        if offering:
            raise CannotGoOn(
                f"{len(offering)} open questions offer {choice}, so it is not clear which is meant"
            )
        offered = ", ".join(offer.name for gate in waiting for offer in gate.choices)
        raise CannotGoOn(
            f"no open question offers {choice} (there is {offered})"
            if offered
            else "nothing is asked right now"
        )

    def _put(self, kind: EntryKind, source: str, key: str, body: object) -> int:
        """Take one entry down the road, and all that follows on it; its sequence number, 0 when known."""
        if (source, key) in self._seen:
            return 0
        self._seen.add((source, key))
        seq = self._decide(kind, source, key, body)
        for _ in range(_MOST):
            orders = self.look(lambda tx: runs.ready(tx, _AT_ONCE))
            if not orders:
                return seq
            for order in orders:
                self._decide(EntryKind.OUTCOME, "execute", order.id, self._outcome(order))
        raise CannotGoOn("one action follows on the other without end")

    def _decide(self, kind: EntryKind, source: str, key: str, body: object) -> int:
        seq = self._road.cursor + 1
        encoded = msgspec.json.encode(body)
        self._coming = [Entry(kind, source, key, self.snapshot.commit, encoded, self.now, seq)]
        self._road.drain()
        if self.look(journal.quarantined_count):
            raise CannotGoOn(f"the {kind} {key} cannot be handled and would be set aside: this is a defect")
        return seq

    def _outcome(self, order: AttemptOrder) -> Outcome:
        kind, code = _OUTCOMES[self._commands.get(order.step.action, Ends.SUCCEEDS)]
        return Outcome(order.id, kind, code, started=self.now, ended=self.now, detail="as the test says")
