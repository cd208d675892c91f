"""What the daemon remembers and what travels between its hands: incidents, runs, gates, messages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from holdfast.model.actions import Plan, PlannedStep
from holdfast.model.values import Json, Millis, Severity


class IncidentState(StrEnum):
    """open → cleared → (open again) → closed. Only an observation clears; a closed one never reopens."""

    OPEN = "open"
    CLEARED = "cleared"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Incident:
    """One fault, whatever number of rules saw it."""

    id: str
    key: str
    type: str
    severity: Severity
    title: str
    service: str | None
    subject: str
    state: IncidentState
    version: int
    opened: Millis
    changed: Millis
    cleared: Millis | None = None
    reopened: int = 0


@dataclass(frozen=True, slots=True)
class TimelineItem:
    """One appended line of an incident's story; `data` holds what a machine needs to retell it."""

    incident: str
    at: Millis
    seq: int
    kind: str
    text: str
    commit: str
    data: Mapping[str, Json] = field(default_factory=dict)


class RunState(StrEnum):
    """The life of one `do`."""

    WAITING = "waiting"  # held: start-up grace, kill switch, or a join on another run
    ASKING = "asking"  # a human has to allow it
    RUNNING = "running"
    VERIFYING = "verifying"  # it ran; the fault is being observed
    VERIFIED = "verified"
    INEFFECTIVE = "ineffective"  # it ran; the fault stayed
    FAILED = "failed"
    UNKNOWN = "unknown"  # nobody can say whether it ran
    DENIED = "denied"
    EXPIRED = "expired"
    CANCELLED = "cancelled"

    @property
    def over(self) -> bool:
        """Whether nothing more will happen to the run."""
        return self not in {RunState.WAITING, RunState.ASKING, RunState.RUNNING, RunState.VERIFYING}


@dataclass(frozen=True, slots=True)
class Run:
    """One `do` over all its targets: a plan and how far it got.

    `part` is contain, then, undo or do. `epoch` is how often the incident had been reopened when it
    began. `evidence_seq` is the journal entry that it rests on.
    """

    id: str
    incident: str
    rule: str
    part: str
    plan: Plan
    state: RunState
    step: int
    created: Millis
    changed: Millis
    evidence_seq: int
    epoch: int = 0
    approved_by: str | None = None


@dataclass(frozen=True, slots=True)
class AttemptOrder:
    """Everything a connector needs to make one attempt.

    `id` is run/step/attempt, unique for all daemons that ever act on the target. `deadline` is how
    long the host lets it run.
    """

    id: str
    run: str
    incident: str
    step: PlannedStep
    deadline: Millis


class OutcomeKind(StrEnum):
    """How an attempt ended, as far as anyone can prove."""

    ENDED = "ended"  # there is a receipt with an exit code
    SKIPPED = "skipped"  # skip_if said there was nothing to do
    KILLED = "killed"  # the host killed it at its deadline; there is a receipt
    NOT_STARTED = "not-started"  # provably nothing was started
    UNKNOWN = "unknown"  # nobody can say


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one attempt. `output` is redacted and bounded; `digest` is SHA-256 of what the
    host kept of it."""

    attempt: str
    kind: OutcomeKind
    exit_code: int | None = None
    output: str = ""
    digest: str = ""
    boot: str = ""
    started: Millis | None = None
    ended: Millis | None = None
    detail: str = ""


class GateState(StrEnum):
    """A gate is decided once."""

    PENDING = "pending"
    ANSWERED = "answered"
    EXPIRED = "expired"
    VOID = "void"  # its basis changed; a new card was sent
    NOT_NEEDED = "not-needed"  # the incident cleared first


@dataclass(frozen=True, slots=True)
class Choice:
    """One answer on a card and what it runs; None runs nothing."""

    name: str
    plan: Plan | None = None


@dataclass(frozen=True, slots=True)
class Gate:
    """A question that only a human may answer.

    `run` is set when the gate holds one run back (a verdict of human); its choices are then
    approve and deny. `basis` is the hash of what the answer will be bound to.
    """

    id: str
    incident: str
    rule: str
    question: str
    choices: tuple[Choice, ...]
    silence: str
    basis: str
    state: GateState
    created: Millis
    expires: Millis
    run: str | None = None
    answer: str | None = None
    answered_by: str | None = None
    tries: int = 0


class AuthLevel(StrEnum):
    """How well the sender of a reply is known."""

    NONE = "none"  # a claim only
    KNOWN = "known"  # an allowlisted address, not proven
    PROVEN = "proven"  # proven by the channel (DMARC aligned, local socket)


@dataclass(frozen=True, slots=True)
class InboundReply:
    """A reply from any channel. `text` is the first meaningful line only."""

    channel: str
    sender: str
    message_id: str
    text: str
    thread_ref: str
    auth: AuthLevel
    operator: str | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """One line of the outbox: one message to one channel of one operator.

    `gate` lets the courier fill in the reply code, which is never stored.
    """

    id: str
    incident: str | None
    operator: str
    channel: str
    title: str
    body: str
    gate: str | None = None
    severity: Severity = Severity.WARNING
    attempt: int = 0


class DeliveryState(StrEnum):
    """What is known about a message after handing it over."""

    SENT = "sent"
    FAILED = "failed"
    UNCONFIRMED = "unconfirmed"  # a time-out: it may have arrived


@dataclass(frozen=True, slots=True)
class Delivery:
    """The result for one message and one target."""

    message: str
    state: DeliveryState
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """One number that the daemon shows of itself; one that `counts` only ever grows."""

    name: str
    help: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)
    counts: bool = False
