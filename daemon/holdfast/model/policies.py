"""What is allowed: policies, proposals, and verdicts that list everyone who spoke."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from holdfast.model.actions import Risk, Touches
from holdfast.model.conditions import Condition
from holdfast.model.rules import Mode
from holdfast.model.values import Fact, Millis, Ordered, Severity, Trust


class Effect(Ordered):
    """What a policy wants; the strictest wins (deny > human > allow)."""

    ALLOW = "allow"
    HUMAN = "human"
    DENY = "deny"


class Category(StrEnum):
    """Who is responsible for a decision."""

    RULES_BASED = "rules-based"
    MODEL_ASSISTED = "model-assisted"
    HUMAN_MANDATED = "human-mandated"


class Origin(StrEnum):
    """Who proposes."""

    RULE = "rule"
    OPERATOR = "operator"
    UNDO = "undo"
    RETRY = "retry"


@dataclass(frozen=True, slots=True)
class EffectPolicy:
    """Says allow, deny or human for every proposal it matches."""

    name: str
    doc: str
    match: Condition
    effect: Effect
    within: Millis | None = None


@dataclass(frozen=True, slots=True)
class Envelope:
    """What may happen by itself for one incident type; allows only what it lists."""

    name: str
    doc: str
    incident_type: str
    risk: Risk
    touches: frozenset[Touches]
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `max` starts per value of `per` (names of proposal fields) within a span."""

    name: str
    doc: str
    match: Condition
    per: tuple[str, ...]
    max: int
    within: Millis
    replaces: str | None = None


class BlastOf(StrEnum):
    """Whose targets are counted."""

    SERVICE = "service"
    GROUP = "group"


@dataclass(frozen=True, slots=True)
class BlastRadius:
    """At most so many targets of a service or a group are acted on at the same time.

    Either `at_once` or `percent` (rounded down, at least 1) is set.
    """

    name: str
    doc: str
    match: Condition
    of: BlastOf
    at_once: int | None = None
    percent: int | None = None
    replaces: str | None = None


Policy = EffectPolicy | Envelope | Limit | BlastRadius


@dataclass(frozen=True, slots=True)
class Proposal:
    """One step that somebody wants to take on one target."""

    origin: Origin
    action: str
    target: str
    touches: frozenset[Touches]
    risk: Risk
    idempotent: bool
    irreversible: bool
    service: str | None
    group: str | None
    incident_type: str
    severity: Severity
    rule: str
    mode: Mode
    trust: Trust = Trust.LOW
    confidence: float | None = None
    approved_by: str | None = None
    guarded: tuple[str, ...] = ()  # `unless` guards that hold right now
    locked_by: str | None = None  # the run of which nobody knows how it ended on this target

    def fact(self) -> Fact:
        """The view that `match:` sees."""
        return {
            "origin": str(self.origin),
            "action": self.action,
            "target": self.target,
            "touches": [str(item) for item in sorted(self.touches)],
            "risk": str(self.risk),
            "idempotent": self.idempotent,
            "irreversible": self.irreversible,
            "service": self.service,
            "group": self.group,
            "incident_type": self.incident_type,
            "severity": str(self.severity),
            "rule": self.rule,
            "mode": str(self.mode),
            "trust": str(self.trust),
            "confidence": self.confidence,
        }


@dataclass(frozen=True, slots=True)
class Usage:
    """How much of a limit or a blast radius is used up, as the store counted it.

    For a Limit: starts within its span. For a BlastRadius: other targets being acted on now, and
    the number of targets there are.
    """

    policy: str
    used: int
    total: int = 0


@dataclass(frozen=True, slots=True)
class Voice:
    """One policy's say, with its reason in words."""

    policy: str
    effect: Effect
    why: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """The merged answer. `voices` holds every policy that spoke, the strictest first."""

    effect: Effect
    category: Category
    voices: tuple[Voice, ...]
    within: Millis | None = None
