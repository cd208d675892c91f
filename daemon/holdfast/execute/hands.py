"""The hands: take attempts that are ready, make them, and journal what became of each."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

import msgspec
import structlog

from holdfast.effects import crash_point, touch
from holdfast.errors import ConnectorError, HoldfastError
from holdfast.execute.connector import Connector, Ending
from holdfast.execute.desk import Desk, Job, Look
from holdfast.model.actions import Connector as Way
from holdfast.model.events import Entry
from holdfast.model.kinds import EntryKind
from holdfast.model.records import AttemptOrder, Outcome, OutcomeKind
from holdfast.model.values import SECOND, Millis
from holdfast.store import runs
from holdfast.store.database import Database
from holdfast.store.runs import AttemptState

INTEND: Final = crash_point("execute.intend")
ATTEMPT: Final = crash_point("execute.attempt")

#: How many ready attempts are read at a time.
_LOOK: Final = 1000
#: How many wait here for one place; more wait in the store.
_LINE: Final = 100
#: A forgotten wake costs at most this long.
_POLL_S: Final = 10.0
#: Pauses between two questions about an attempt: doubled from the first up to the second.
_ASK_FIRST_S: Final = 0.1
_ASK_MOST_S: Final = 2.0
#: After its deadline and this, an attempt that nobody can say anything about is unknown.
_GRACE_S: Final = 20.0
#: How long a thread may take to come back from a connection that was closed under it.
_LET_GO_S: Final = 2.0
#: Pause before what the disk or the journal refused is tried again.
_AGAIN_S: Final = 1.0

log = structlog.get_logger(__name__)


class Hands:
    """A few threads that touch the world; one attempt per target at a time.

    Before an attempt its intent is committed; after it an OUTCOME entry goes to `put`, whose id is
    the attempt's, so that the journal takes the first and only the first. Whatever a crash leaves
    without an outcome is settled by asking its host. `may_start` is asked before a host is
    reached, and right before an intent (the kill switch); attempts that it holds back stay ready.
    """

    def __init__(
        self,
        db: Database,
        put: Callable[[Sequence[Entry]], object],
        connectors: Mapping[Way, Connector],
        clock: Callable[[], Millis],
        *,
        redact: Callable[[str], str],
        commit: Callable[[], str],
        may_start: Callable[[], bool] = lambda: True,
        workers: int = 8,
        grace_s: float = _GRACE_S,
    ) -> None:
        self._db = db
        self._put = put
        self._connectors = connectors
        self._clock = clock
        self._redact = redact
        self._commit = commit
        self._may_start = may_start
        self._grace_s = grace_s
        self._desk = Desk(_LINE)
        self._looking = threading.Lock()
        self._seen = 0
        self._look_again = 0.0
        self._started = False
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._work_loop, name=f"hand-{number}", daemon=True)
            for number in range(workers)
        ]

    def start(self) -> None:
        """Settle what a crash left, then take what is ready."""
        self.settle()
        self._started = True
        for thread in self._threads:
            thread.start()
        self.wake()

    def settle(self) -> int:
        """Ask about every attempt that was begun and has no outcome; how many there are.

        They keep their targets to themselves until they are settled.
        """
        with self._db.read() as tx:
            left = runs.intended(tx)
        for order, boot in left:
            self._desk.take(Job(order, boot, until=self._until(order)))
        return len(left)

    def wake(self, ready: Sequence[AttemptOrder] = ()) -> None:
        """These attempts have become ready, and are on disk; without any, somebody has to look for them."""
        if ready and self._started:
            self._desk.offer(ready)
        else:
            self._desk.look()

    def stop(self, timeout_s: float) -> None:
        """Begin nothing more and wait for what runs; then let go of it: its receipt stays on its host."""
        self._stopping.set()
        self._desk.close()
        until = time.monotonic() + timeout_s
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(0.0, until - time.monotonic()))
        for connector in self._connectors.values():
            connector.close()
        until = time.monotonic() + _LET_GO_S
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(0.0, until - time.monotonic()))

    # -- what is ready ------------------------------------------------------------------------------

    def _look(self, target: str | None = None) -> None:
        """Line up what became ready since the last look, everything now and then, or all for one target.

        One at a time: of what came meanwhile, the next sees everything.
        """
        try:
            with self._looking:
                if self._stopping.is_set() or not self._may_start():
                    self._look_again = 0.0
                elif target is not None:
                    self._look_for(target)
                else:
                    self._look_for_new()
            self._desk.look(_POLL_S)
        except Exception:
            log.exception("execute.look")
            self._look_again = 0.0
            self._desk.look(_AGAIN_S)

    def _look_for_new(self) -> None:
        if time.monotonic() >= self._look_again:
            self._seen = 0
            self._look_again = time.monotonic() + _POLL_S
        with self._db.read() as tx:
            full = True
            while full:
                orders, self._seen = runs.ready_after(tx, self._seen, _LOOK)
                for order in orders:
                    self._desk.line_up(order)
                full = len(orders) == _LOOK

    def _look_for(self, target: str) -> None:
        with self._db.read() as tx:
            for order in runs.ready(tx, 2 * _LINE, target):
                self._desk.line_up(order)

    # -- work ---------------------------------------------------------------------------------------

    def _work_loop(self) -> None:
        while (job := self._desk.next()) is not None:
            if isinstance(job, Look):
                self._look()
                continue
            left = self._work(job)
            if left is not None and not self._stopping.is_set():
                self._desk.put_back(left)
            elif self._desk.free(job):
                self._look(job.order.step.target)

    def _work(self, job: Job) -> Job | None:
        """Take a job as far as it goes now; what is left of it, if anything."""
        left: Job | None = job
        while left is not None:
            job = left
            step = self._begin if job.boot is None else self._ask if job.ending is None else self._conclude
            try:
                left = step(job)
            except Exception:
                # a defect, or a disk that refuses: the attempt is where it was, and is looked at again
                log.exception("execute.work", attempt=job.order.id)
                return replace(job, pause=_AGAIN_S)
            if left is not None and (left.pause or (self._stopping.is_set() and left.ending is None)):
                return left
        return None

    def _begin(self, job: Job) -> Job | None:
        """Make an attempt that is ready. None when it must not be made (any more)."""
        if self._held_back():
            return None
        order = job.order
        connector = self._connectors[order.step.connector]
        try:
            boot = connector.boot(order.step.target)
        except Exception as error:
            if not isinstance(error, ConnectorError):
                log.exception("execute.boot", attempt=order.id)
            # intended without a boot: whoever settles it later knows that nothing was sent
            begun = self._intend(job, "")
            why = str(error) or type(error).__name__
            return begun and replace(begun, ending=Ending(OutcomeKind.NOT_STARTED, detail=why))
        begun = self._intend(job, boot)
        if begun is None or begun.boot != boot:
            return begun
        try:
            ending = touch(ATTEMPT, lambda: connector.run(order, boot))
        except ConnectorError as error:
            return replace(begun, ending=Ending(OutcomeKind.NOT_STARTED, detail=str(error)))
        except Exception:
            log.exception("execute.attempt", attempt=order.id)
            return begun
        if ending.kind is OutcomeKind.UNKNOWN:
            log.warning("execute.lost", attempt=order.id, target=order.step.target, why=ending.detail)
            return begun
        return replace(begun, ending=ending)

    def _held_back(self) -> bool:
        """Whether nothing may begin now; what does not stays ready, and the next look has to see it again."""
        held = self._stopping.is_set() or not self._may_start()
        if held:
            self._look_again = 0.0
        return held

    def _intend(self, job: Job, boot: str) -> Job | None:
        """Commit the intent; the job as begun. None when it must not begin."""
        order = job.order
        if self._held_back():
            return None
        with self._db.begin(INTEND) as tx:
            intended = runs.intend(tx, order.id, boot, self._clock())
            found = None if intended else runs.attempt(tx, order.id)
        if intended:
            return replace(job, boot=boot, until=self._until(order))
        if found is not None and found.state is AttemptState.INTENDED:
            # by ourselves, in a transaction whose success we were not told of; nothing was sent then
            return replace(job, boot="", until=self._until(order))
        return None

    def _ask(self, job: Job) -> Job:
        """Ask what became of an attempt that was begun."""
        order, boot = job.order, job.boot
        if not boot:
            return replace(job, ending=Ending(OutcomeKind.NOT_STARTED, detail="nothing was sent to its host"))
        try:
            ending = self._connectors[order.step.connector].status(order, boot)
            why = "it still runs after its deadline: its host could not end it"
        except HoldfastError as error:
            ending, why = None, str(error)
        except Exception as error:
            log.exception("execute.status", attempt=order.id)
            ending, why = None, f"asking about it failed ({type(error).__name__})"
        if ending is None and time.monotonic() >= job.until:
            ending = Ending(OutcomeKind.UNKNOWN, detail=why)
        if ending is not None:
            return replace(job, ending=ending, pause=0.0)
        return replace(job, pause=min(_ASK_MOST_S, max(_ASK_FIRST_S, 2 * job.pause)))

    def _conclude(self, job: Job) -> Job | None:
        """Journal how an attempt ended; the job again when the journal does not take it now."""
        if job.ending is None:
            return None
        outcome = self._outcome(job, job.ending)
        body = msgspec.json.encode(outcome)
        try:
            self._put([Entry(EntryKind.OUTCOME, "execute", outcome.attempt, self._commit(), body)])
        except HoldfastError as error:
            log.error("execute.not_journalled", attempt=outcome.attempt, why=str(error))  # noqa: TRY400
            return replace(job, pause=_AGAIN_S)
        return None

    def _outcome(self, job: Job, ending: Ending) -> Outcome:
        """The record of it: without secrets, on our own clock."""
        now = self._clock()
        return Outcome(
            job.order.id,
            ending.kind,
            exit_code=ending.exit_code,
            output=self._redact(ending.output),
            digest=ending.digest,
            boot=job.boot or "",
            started=None if ending.started_ago is None else now - ending.started_ago,
            ended=None if ending.ended_ago is None else now - ending.ended_ago,
            detail=self._redact(ending.detail),
        )

    def _until(self, order: AttemptOrder) -> float:
        return time.monotonic() + order.deadline / SECOND + self._grace_s
