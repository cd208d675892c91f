"""One thread takes the journal's entries down the road, a batch to a transaction.

The stages, in order: match → correlate → fault (the incident) → respond (propose, decide, ask,
order). What the orders, questions and messages do to the world happens after the commit, by those
who are woken then; what comes back is a new entry of the journal.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import structlog

from holdfast.correlate import Correlator, Firing, Signals
from holdfast.correlate.keys import key_of
from holdfast.correlate.signals import NOTHING
from holdfast.effects import crash_point
from holdfast.errors import HoldfastError, StoreError
from holdfast.match.engine import Engine, Findings
from holdfast.model.events import Close, ConfigSwap, EngineNews, Entry, Event, Start, Switch, Tick
from holdfast.model.kinds import EntryKind
from holdfast.model.records import Delivery, InboundReply, Outcome
from holdfast.model.snapshot import Snapshot
from holdfast.model.values import Truth
from holdfast.pipeline import adoption, clockwork, engine_news, faults, messages, outcomes, replies, responses
from holdfast.pipeline.intake import Intake, Tail, not_at_hand
from holdfast.pipeline.work import Identity, Work
from holdfast.store import correlation, facts, journal
from holdfast.store.database import Database, Dues, Tx, marks, together

_DECIDE: Final = crash_point("pipeline.decide")
_QUARANTINE: Final = crash_point("pipeline.quarantine")
_PASS: Final = crash_point("pipeline.pass")
#: So many entries that meant nothing are passed by before the cursor is saved on their account.
PASSED: Final = 10_000
COMMIT: Final = "commit"

_EVENTS: Final = msgspec.json.Decoder(Event)
#: What is neither an event nor about the road itself: how it is read, and what it leads to.
_OTHERS: Final[Mapping[EntryKind, tuple[msgspec.json.Decoder[Any], Callable[[Work, Any], None]]]] = {
    EntryKind.TICK: (msgspec.json.Decoder(Tick), clockwork.on_tick),
    EntryKind.OUTCOME: (msgspec.json.Decoder(Outcome), outcomes.on_outcome),
    EntryKind.DELIVERY: (msgspec.json.Decoder(Delivery), messages.on_delivery),
    EntryKind.REPLY: (msgspec.json.Decoder(InboundReply), replies.on_reply),
    EntryKind.SWITCH: (msgspec.json.Decoder(Switch), clockwork.on_switch),
    EntryKind.CLOSE: (msgspec.json.Decoder(Close), faults.on_close),
    EntryKind.ENGINE: (msgspec.json.Decoder(EngineNews), engine_news.on_news),
}

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A config and the engine that was made for it."""

    snapshot: Snapshot
    engine: Engine


class _Pen:
    """A transaction that begins with the first thing that is written."""

    def __init__(self, begin: Callable[[], Tx]) -> None:
        self._begin = begin
        self._tx: Tx | None = None

    @property
    def used(self) -> bool:
        """Whether it has begun."""
        return self._tx is not None

    @property
    def tx(self) -> Tx:
        """The transaction."""
        if self._tx is None:
            self._tx = self._begin()
        return self._tx


class Pipeline:
    """The only reader of the journal, and the only one who decides."""

    def __init__(
        self,
        database: Database,
        loaded: Loaded,
        identity: Identity,
        *,
        decided: Callable[[int, Dues], None],
        tail: Tail = not_at_hand,
    ) -> None:
        """`decided` is told each new cursor, after its commit, and what became due with it. The cursor of
        events that mean nothing is saved now and then only. `tail` gives the next entries
        after a sequence number, at most so many, where they are at hand; None: the store has them."""
        self._db = database
        self._identity = identity
        self._offered: dict[str, Loaded] = {}
        self._idle = True
        self._decided = decided
        self._intake = Intake(database, tail)
        self._wake = threading.Event()
        self._stopping = False
        self._due: list[Dues] = []
        self._resting = threading.Event()
        self._thread: threading.Thread | None = None
        self.failed: str | None = None
        self.started_seq = 0
        self._started_at = 0
        with database.read() as tx:
            self.cursor = self._saved = journal.cursor(tx)
        self._loaded: Loaded
        self._correlator: Correlator
        self._use(loaded)

    @property
    def snapshot(self) -> Snapshot:
        """The config that decides right now."""
        return self._loaded.snapshot

    @property
    def engine(self) -> Engine:
        """The engine that matches right now."""
        return self._loaded.engine

    def start(self) -> None:
        """Begin to take entries down the road."""
        self._thread = threading.Thread(target=self._run, name="pipeline", daemon=True)
        self._thread.start()

    def offer(self, loaded: Loaded) -> None:
        """A config that an entry of the journal is about to call for."""
        self.withdraw(loaded.snapshot.commit)
        self._offered[loaded.snapshot.commit] = loaded

    def withdraw(self, commit: str) -> None:
        """No entry will call for that config: what was started for it ends."""
        loaded = self._offered.pop(commit, None)
        if loaded is not None:
            loaded.engine.close()

    @property
    def idle(self) -> bool:
        """Whether everything that was in the journal has been handled."""
        return self._idle

    def wake(self) -> None:
        """There may be new entries."""
        self._wake.set()

    def stop(self, timeout: float) -> None:
        """Finish the batch in hand and stop."""
        self._stopping = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout)

    def close(self) -> None:
        """End the engine that matches now, which may have taken over since the start, and those to come."""
        for commit in list(self._offered):
            self.withdraw(commit)
        self.engine.close()

    def drain(self) -> int:
        """Handle everything that is in the journal; how many entries that were."""
        handled = 0
        while not self._stopping:
            entries = self._intake.next(self.cursor)
            self._idle = not entries
            if not entries:
                break
            begun = time.monotonic()
            self._handle_batch(entries)
            self._intake.took(len(entries), time.monotonic() - begun)
            handled += len(entries)
            due, self._due = self._due, []
            self._decided(self.cursor, together(due))
        return handled

    def _run(self) -> None:
        while not self._stopping:
            woken = self._wake.wait(1.0)
            if (pause := self._intake.pause()) and not self._stopping:
                self._resting.wait(pause)
            self._wake.clear()
            try:
                if self.failed is not None:
                    self._use(self._loaded)
                self._intake.looked(self.drain())
                if not woken or self._stopping:
                    self._save_cursor()
                self.failed = None
            except Exception as error:
                # the disk may be full or gone: nothing is lost, the entries stay; try again
                self.failed = f"{type(error).__name__}: {error}"
                foreseen = isinstance(error, HoldfastError)
                log.error("pipeline.waiting", why=self.failed, exc_info=not foreseen)  # noqa: TRY400

    def _handle_batch(self, entries: Sequence[Entry]) -> None:
        try:
            self._commit(entries)
        except StoreError:
            raise
        except Exception:  # whatever it is: find the one entry that does it and set that aside
            log.exception("pipeline.batch_failed", first=entries[0].seq, last=entries[-1].seq)
            self._use(self._loaded)
            for entry in entries:
                self._handle_alone(entry)

    def _handle_alone(self, entry: Entry) -> None:
        try:
            self._commit([entry])
        except StoreError:
            raise
        except Exception as error:
            log.exception("pipeline.quarantined", seq=entry.seq, kind=str(entry.kind))
            self._use(self._loaded)
            reason = f"{type(error).__name__}: {error}"
            with self._db.begin(_QUARANTINE) as tx:
                journal.quarantine(tx, entry.seq, reason, entry.received)
                journal.advance(tx, entry.seq)
                messages.quarantined(self._work(tx, entry), entry, reason)
                due = marks(tx)
            self._due.append(due)  # only now: what is rolled back is due to nobody
            self.cursor = self._saved = entry.seq

    def _commit(self, entries: Sequence[Entry]) -> None:
        before = self._loaded
        try:
            self._decide(entries)
        except BaseException:
            self._loaded = before  # what was not committed did not take over
            raise
        if self._loaded is not before:
            self._offered.pop(self.snapshot.commit, None)
            before.engine.close()
            # after the last word of the one before it, so that this one's counts
            self.engine.announce()

    def _decide(self, entries: Sequence[Entry]) -> None:
        events = [_event(entry) for entry in entries if entry.kind is EntryKind.EVENT]
        found = self.engine.match(events)
        due: Dues = {}
        with contextlib.ExitStack() as open_until_here:
            pen = _Pen(lambda: open_until_here.enter_context(self._db.begin(_DECIDE, derived=True)))
            last = self._handle(entries, zip(events, found, strict=True), pen).seq
            changed = self._correlator.changed()
            if changed or pen.used:
                correlation.save(pen.tx, changed)
                journal.advance(pen.tx, last)
                due = marks(pen.tx)
        self._due.append(due)  # only now: what is rolled back is due to nobody
        self.cursor = last
        if pen.used:
            self._saved = last
        elif last - self._saved >= PASSED:
            self._save_cursor()

    def _handle(
        self, entries: Sequence[Entry], matched: Iterator[tuple[Event, Findings]], pen: _Pen
    ) -> Entry:
        """Take each entry down the road; the last one that was: a new config takes the rest."""
        before = self._loaded
        for entry in entries:
            if entry.kind is not EntryKind.EVENT:
                work = self._work(pen.tx, entry)
                self._on_entry(work, entry)
            else:
                event, findings = next(matched)
                signals = self._correlator.advance(event, findings) if findings else NOTHING
                if signals is NOTHING and not self._may_be_fresh(entry, findings):
                    continue  # most events of a busy day: no rule is about them, or none is moved
                work = self._work(pen.tx, entry)
                self._on_event(work, event, findings, signals)
            _respond(work)
            if self._loaded is not before:
                return entry
        return entries[-1]

    def _save_cursor(self) -> None:
        """What was passed by meant nothing: to pass it by once more after a crash changes nothing either."""
        if self._saved == self.cursor:
            return
        with self._db.begin(_PASS) as tx:
            journal.advance(tx, self.cursor)
        self._saved = self.cursor

    def _may_be_fresh(self, entry: Entry, findings: Findings) -> bool:
        """Whether it may be evidence that a run waits for which the last life left."""
        soon = entry.received - self._started_at <= clockwork.GRACE_OVER
        return soon and Truth.TRUE in findings.values()

    def _on_event(self, work: Work, event: Event, findings: Findings, signals: Signals) -> None:
        for firing in signals.firings:
            faults.on_firing(work, firing)
        for cleared in signals.cleared:
            faults.on_cleared(work, cleared)
        for silenced in signals.silenced:
            guards = [guard.name for guard in silenced.guards]
            log.info("rule.silenced", rule=silenced.rule, seq=work.seq, unless=guards)
        if clockwork.any_in_grace(work):
            self._fresh(work, event, findings, signals.firings)

    def _on_entry(self, work: Work, entry: Entry) -> None:
        if entry.kind is EntryKind.CONFIG:
            self._on_config(work, msgspec.json.decode(entry.body, type=ConfigSwap))
        elif entry.kind is EntryKind.START:
            self._on_start(work, msgspec.json.decode(entry.body, type=Start))
        else:
            read, handle = _OTHERS[entry.kind]
            handle(work, read.decode(entry.body))

    def _on_config(self, work: Work, swap: ConfigSwap) -> None:
        loaded = self._offered.get(swap.commit)
        if loaded is None or facts.get(work.tx, COMMIT) == swap.commit:
            self.withdraw(swap.commit)
            return
        correlation.save(work.tx, self._correlator.changed())
        snapshot = loaded.snapshot
        self._loaded, work.snapshot = loaded, snapshot
        self._correlator = Correlator(snapshot.rules.values(), correlation.load(work.tx))
        facts.put(work.tx, COMMIT, snapshot.commit)
        adoption.adopt(work)
        log.info("config.swapped", commit=snapshot.commit, previous=swap.previous)

    def _on_start(self, work: Work, start: Start) -> None:
        self._started_at = work.now
        work.started_at = work.now
        self.started_seq = work.seq
        changed = facts.get(work.tx, COMMIT) != self.snapshot.commit
        facts.put(work.tx, COMMIT, self.snapshot.commit)
        clockwork.on_start(work)
        if changed:
            adoption.adopt(work)
        log.info("pipeline.started", seq=work.seq, version=start.version, commit=self.snapshot.commit)

    def _fresh(self, work: Work, event: Event, findings: Findings, firings: Sequence[Firing]) -> None:
        """Evidence need not fire again to be fresh: a streak that goes on is enough."""
        fired = {(firing.rule, faults.firing_key(firing.key)) for firing in firings}
        for rule in self.snapshot.rules.values():
            if findings.get(rule.when.key) is Truth.TRUE:
                fired.add((rule.name, faults.firing_key(key_of(event.fact(), rule.per))))
        for rule_name, key in sorted(fired):
            clockwork.on_fresh_evidence(work, rule_name, key)

    def _work(self, tx: Tx, entry: Entry) -> Work:
        return Work(tx, entry.seq, entry.received, self.snapshot, self._identity, self._started_at)

    def _use(self, loaded: Loaded) -> None:
        """Take a config up, with the correlation state as the store has it."""
        self._loaded = loaded
        with self._db.read() as tx:
            self._correlator = Correlator(loaded.snapshot.rules.values(), correlation.load(tx))


def _respond(work: Work) -> None:
    """Let every response go on of which something has ended, until nothing ends any more."""
    while work.settled:
        incident, rule = work.settled.pop()
        responses.advance(work, incident, rule)


def _event(entry: Entry) -> Event:
    """The journal's word on when an event was received counts, not the door's."""
    event = entry.event or _EVENTS.decode(entry.body)
    if event.received == entry.received:
        return event
    return msgspec.structs.replace(event, received=entry.received)
