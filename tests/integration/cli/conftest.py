"""A state directory with a real database, filled through the store's own functions."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from holdfast.cli import main
from holdfast.cli.door import now
from holdfast.effects import crash_point
from holdfast.errors import ConfigError, Problem
from holdfast.journal import Journal
from holdfast.model.actions import Connector, Plan, PlannedStep, Retry, Risk, Service, Touches, Verify
from holdfast.model.events import Entry, Event, Provenance
from holdfast.model.kinds import EntryKind
from holdfast.model.policies import Category, Effect, Verdict, Voice
from holdfast.model.records import (
    AttemptOrder,
    AuthLevel,
    Choice,
    Gate,
    GateState,
    InboundReply,
    Incident,
    IncidentState,
    Message,
    Outcome,
    OutcomeKind,
    Run,
    RunState,
    TimelineItem,
)
from holdfast.model.snapshot import Operator, Snapshot, Source, SourceKind
from holdfast.model.values import MINUTE, SECOND, Millis, Severity, Trust
from holdfast.store import facts, gates, holds, incidents, journal, outbox, runs, timers
from holdfast.store.database import Database, Tx
from holdfast.store.gates import Answer
from holdfast.store.holds import OpenHold
from holdfast.store.outbox import MessageState
from holdfast.store.runs import Labels
from holdfast.store.timers import Timer
from holdfast.web.control import ControlDoors, control_app
from holdfast.web.serve import Served, serve_unix

POINT = crash_point("tests.integration.cli")
COMMIT = "dir-0123456789ab"


@dataclass(frozen=True, slots=True)
class Ended:
    """What a command left behind: exit code, stdout, stderr."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its stdout, which must be one JSON document and nothing else."""
        return msgspec.json.decode(self.out)


Holdfast = Callable[..., Ended]


@pytest.fixture
def state() -> Iterator[Path]:
    # short, because the path of a Unix socket has at most 107 bytes
    directory = Path(tempfile.mkdtemp(prefix="hf-"))
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def database(state: Path) -> Iterator[Database]:
    opened = Database.open(state / "holdfast.db")
    yield opened
    opened.close()


@pytest.fixture
def holdfast(
    state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Holdfast:
    """Run one command on the state directory, and on `tmp_path/config`."""
    for name in ("HOLDFAST_CONFIG", "HOLDFAST_STATE", "STATE_DIRECTORY", "HOLDFAST_OPERATOR", "SUDO_USER"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: str) -> Ended:
        capsys.readouterr()
        code = main(["--state", str(state), "--config", str(tmp_path / "config"), *arguments])
        said = capsys.readouterr()
        return Ended(code, said.out, said.err)

    return run


def event(number: int, at: Millis, **changes: Any) -> Event:
    """One failed probe of the shop."""
    probe = Event(
        id=f"probe-{number}",
        source="shop-probe",
        type="http.probe",
        time=at,
        received=at,
        severity=Severity.ERROR,
        subject="shop",
        provenance=Provenance("probe", Trust.HIGH, COMMIT),
        service="shop",
        data={"ok": False, "status": 503},
    )
    return msgspec.structs.replace(probe, **changes)


def step(action: str = "restart-unit", target: str = "web1", **changes: Any) -> PlannedStep:
    """One bound command."""
    planned = PlannedStep(
        action=action,
        connector=Connector.SSH,
        target=target,
        argv=("sudo", "-n", "systemctl", "restart", "--", "shop.service"),
        params={"unit": "shop.service"},
        risk=Risk.LOW,
        touches=(Touches.AVAILABILITY,),
        idempotent=True,
        irreversible=False,
        deadline=MINUTE,
        retry=Retry(),
        verify=Verify(),
        fresh=True,
    )
    return replace(planned, **changes)


RESTART = Plan("restart-unit", (step(),))
ROLL_BACK = Plan(
    "roll-back-release", (step("roll-back-release", argv=("sudo", "-n", "/usr/local/bin/roll-back", "shop")),)
)


@dataclass(frozen=True, slots=True)
class Filler:
    """Writes what an outage of the shop leaves in the store. `at` is when it began."""

    tx: Tx
    at: Millis

    def outage(self, number: int, title: str = "shop fails its probe (503)", **changes: Any) -> Incident:
        """An incident with one firing as its evidence."""
        incident = Incident(
            id=f"i{number}-abcdefgh",
            key=f'["service-down","shop-{number}"]',
            type="service-down",
            severity=Severity.CRITICAL,
            title=title,
            service="shop",
            subject="shop",
            state=IncidentState.OPEN,
            version=1,
            opened=self.at,
            changed=self.at,
        )
        incident = replace(incident, **changes)
        incidents.insert(self.tx, incident)
        self.note(incident, "opened", f"opened: {title}", {"rule": "shop-down"}, seq=number)
        incidents.fired(self.tx, incident.id, "shop-down", '["shop"]', self.at)
        data = {
            "rule": "shop-down",
            "event": msgspec.to_builtins(event(number, self.at)),
            "event_seq": number,
            "guards": [],
        }
        self.note(incident, "evidence", "http.probe from shop-probe: ok=false, status=503", data, seq=number)
        return incident

    def note(
        self, incident: Incident, kind: str, text: str, data: Any = None, *, seq: int = 0, after: Millis = 0
    ) -> None:
        """One line of the timeline."""
        incidents.append(
            self.tx, TimelineItem(incident.id, self.at + after, seq, kind, text, COMMIT, data or {})
        )

    def run(
        self, incident: Incident, number: int, state: RunState = RunState.INEFFECTIVE, plan: Plan = RESTART
    ) -> Run:
        """A run that was allowed, ran once with exit code 0, and ended in `state`."""
        made = Run(
            id=f"r{number}-abcdefgh",
            incident=incident.id,
            rule="shop-down",
            part="contain",
            plan=plan,
            state=state,
            step=0,
            created=self.at,
            changed=self.at + 2 * SECOND,
            evidence_seq=number,
        )
        runs.insert(self.tx, made, "hash")
        voices = (
            Voice(
                "shop-envelope", Effect.ALLOW, "low risk, availability: within the envelope of service-down"
            ),
            Voice("builtin-rate", Effect.ALLOW, "0 of 3 starts within 1h"),
        )
        verdict = Verdict(Effect.ALLOW, Category.RULES_BASED, voices)
        data = {"run": made.id, "verdict": msgspec.to_builtins(verdict), "steps": ["restart-unit on web1"]}
        self.note(
            incident, "decided", f"{plan.name}: allow (rules-based): within the envelope", data, after=10
        )
        order = AttemptOrder(f"{made.id}/0/1", made.id, incident.id, plan.steps[0], MINUTE)
        runs.order(
            self.tx,
            order,
            step=0,
            number=1,
            labels=Labels("shop", None, "service-down", "shop-down"),
            now=self.at,
        )
        outcome = Outcome(
            order.id,
            OutcomeKind.ENDED,
            exit_code=0,
            output="restarting shop.service\ndone\n",
            started=self.at + 20,
            ended=self.at + 140,
        )
        runs.conclude(self.tx, outcome, self.at + 140)
        self.note(incident, "start", "restart-unit on web1", {"attempt": order.id}, after=20)
        if state.over:
            self.note(
                incident,
                str(state),
                f"{plan.name}: it ran, but the fault is still observed",
                after=90 * SECOND,
            )
            runs.record(self.tx, made, "service-down", "shop", self.at + 90 * SECOND)
        return made

    def gate(self, incident: Incident, number: int, expires: Millis, **changes: Any) -> Gate:
        """A question with a choice that rolls back and one that waits."""
        gate = Gate(
            id=f"g{number}-abcdefgh",
            incident=incident.id,
            rule="shop-down",
            question="Roll shop back to the previous release?",
            choices=(Choice("roll-back", ROLL_BACK), Choice("wait")),
            silence="wait",
            basis="basis",
            state=GateState.PENDING,
            created=self.at,
            expires=expires,
        )
        gate = replace(gate, **changes)
        gates.insert(self.tx, gate)
        self.note(incident, "question", gate.question, {"gate": gate.id}, after=91 * SECOND)
        return gate

    def message(self, incident: Incident, number: int, state: MessageState, detail: str = "") -> None:
        """A message to the operator that ended in `state`."""
        message = Message(
            f"m{number}-abcdefgh", incident.id, "ana", "mail", "Opened [critical]: shop", "body"
        )
        outbox.put(self.tx, message, self.at, self.at)
        outbox.take(self.tx, message.id, self.at)
        outbox.settle(self.tx, message.id, state, detail=detail, now=self.at)

    def hold(self, run: Run, until: Millis | None = None) -> None:
        """The run stays in place."""
        kind = "until-clear" if until is None else "duration"
        holds.insert(self.tx, OpenHold(run.id, run.incident, kind, self.at, None, ""))
        if until is not None:
            timers.put(self.tx, Timer("hold", run.id, until))

    def answer(self, gate: Gate, seq: int, kind: str, receipt: str) -> None:
        """What a reply to the question was taken for."""
        gates.record(
            self.tx, Answer(seq, self.at, gate.id, gate.incident, "mail", "ana", kind, "wait", receipt)
        )

    def journal(self, *bodies: tuple[EntryKind, object]) -> list[int]:
        """Entries of the journal; a body that is bytes is written as it is."""
        entries = [
            Entry(
                kind,
                "shop-probe",
                f"{self.at}-{i}",
                COMMIT,
                body if isinstance(body, bytes) else msgspec.json.encode(body),
            )
            for i, (kind, body) in enumerate(bodies)
        ]
        return journal.append(self.tx, entries, self.at)

    def fact(self, name: str, value: str) -> None:
        """A single value that survives a restart."""
        facts.put(self.tx, name, value)

    def begun(self, run: Run, number: int) -> None:
        """One more attempt that has no outcome yet."""
        order = AttemptOrder(f"{run.id}/0/{number}", run.id, run.incident, run.plan.steps[0], MINUTE)
        labels = Labels("shop", None, "service-down", "shop-down")
        runs.order(self.tx, order, step=0, number=number, labels=labels, now=self.at)

    def release(self, run: Run, at: Millis) -> None:
        """The hold of a run ends."""
        holds.release(self.tx, run.id, at, "the incident cleared")

    def set_aside(self, seq: int, reason: str) -> None:
        """The pipeline could not handle an entry."""
        journal.quarantine(self.tx, seq, reason, self.at)

    @staticmethod
    def step(action: str, target: str, **changes: Any) -> PlannedStep:
        """One bound command."""
        return step(action, target, **changes)


@pytest.fixture
def filling(database: Database) -> Callable[[Millis], contextlib.AbstractContextManager[Filler]]:
    """`with filling(at) as fill:` writes things that began then, in one transaction."""

    @contextlib.contextmanager
    def begin(at: Millis) -> Iterator[Filler]:
        with database.begin(POINT) as tx:
            yield Filler(tx, at)

    return begin


@pytest.fixture
def outage(database: Database) -> Millis:
    """An outage of the shop that began 200 seconds ago, and asks; when it began."""
    at = now() - 200 * SECOND
    with database.begin(POINT) as tx:
        write_outage(tx, at)
    return at


def write_outage(tx: Tx, at: Millis) -> None:
    """i41 is open and asks g44, its run r41 did not help and holds; i7 is cleared, i3 is closed."""
    fill = Filler(tx, at)
    incident = fill.outage(41)
    run = fill.run(incident, 41)
    fill.hold(run, at + 3_600 * SECOND)
    gate = fill.gate(incident, 44, at + 30 * MINUTE)
    fill.answer(gate, 45, "wrong-code", "Nothing ran: that is not your code for this question.")
    fill.message(incident, 42, MessageState.SENT)
    fill.message(incident, 43, MessageState.FAILED, "connection refused")
    cleared = fill.outage(
        7,
        "the queue is long",
        state=IncidentState.CLEARED,
        cleared=at + 5 * MINUTE,
        service=None,
        severity=Severity.WARNING,
    )
    fill.run(cleared, 7, RunState.VERIFIED)
    fill.outage(3, "the disk of db1 was full", state=IncidentState.CLOSED, cleared=at)
    reply = InboundReply(
        "mail", "ana@example.org", "<1>", "roll-back 7kq2-m4", "g44", AuthLevel.PROVEN, "ana"
    )
    seqs = fill.journal(
        (EntryKind.EVENT, event(1, at)),
        (EntryKind.REPLY, reply),
        (EntryKind.EVENT, b'{"broken'),
    )
    journal.quarantine(tx, seqs[2], "DecodeError: Input data was truncated", at)
    journal.advance(tx, seqs[1])
    facts.put(tx, "commit", COMMIT)


class Control:
    """The real control door on a real socket; `decide` is what the pipeline made of a sequence number."""

    def __init__(self, database: Database, socket: Path, snapshot: Snapshot) -> None:
        self.decide: Callable[[int], Any] = lambda seq: {"seq": seq}
        self.problems: list[Problem] = []
        self.hangs = False
        self.says: Any = None
        self._socket, self._snapshot = socket, snapshot
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self.journal = Journal(database, now, on_commit=lambda _: None)
        self.journal.start()
        self._served = self._do(self._serve())

    def add_operator(self, name: str) -> None:
        """One more who may answer."""
        more = {**self._snapshot.operators, name: Operator(name, ("mail",))}
        self._snapshot = replace(self._snapshot, operators=more)

    def no_operators(self) -> None:
        """Nobody may answer."""
        self._snapshot = replace(self._snapshot, operators={})

    def stop(self) -> None:
        """Close the socket; twice is once."""
        if self._thread.is_alive():
            self._do(self._served.stop())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(10)
            self._loop.close()
            self.journal.stop()

    async def _serve(self) -> Served:
        doors = ControlDoors(
            snapshot=lambda: self._snapshot,
            append=self.journal.append_async,
            clock=now,
            handled=self._handled,
            reload=self._reload,
            status=self._status,
            wait=0.2,
        )
        return await serve_unix(control_app(doors), self._socket)

    def _status(self) -> Any:
        if self.says is not None:
            return self.says
        return {"version": "9.9.9", "commit": COMMIT, "operators": sorted(self._snapshot.operators)}

    async def _handled(self, seq: int) -> Any:
        if self.hangs:
            await asyncio.Event().wait()
        return self.decide(seq)

    async def _reload(self) -> Any:
        if self.problems:
            raise ConfigError(self.problems)
        return {"commit": "new", "previous": COMMIT, "changed": True}

    def _do(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)


@pytest.fixture
def control(database: Database, state: Path) -> Iterator[Control]:
    snapshot = Snapshot(
        COMMIT,
        services={"shop": Service("shop")},
        sources={"ops": Source("ops", SourceKind.WEBHOOK, type="ops.alarm", service="shop")},
        operators={"ana": Operator("ana", ("mail",))},
    )
    served = Control(database, state / "control.sock", snapshot)
    yield served
    served.stop()
