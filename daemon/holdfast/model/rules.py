"""What the operator declares about trouble: patterns, rules, and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from holdfast.model.conditions import Condition
from holdfast.model.values import HOUR, Millis, Ordered, Ref, Severity, Text, Value


class Mode(Ordered):
    """How far a rule may go by itself."""

    OBSERVE = "observe"
    SUGGEST = "suggest"
    AUTO = "auto"


@dataclass(frozen=True, slots=True)
class Pattern:
    """One kind of event that matters, and how often.

    `key` names the pattern in the engine and in the store: `rule/alias`. At most one of `streak`
    (consecutive) and `count` (with `within`; optionally distinct values of a path) is set; with
    neither, every event that satisfies `where` counts.
    """

    key: str
    alias: str
    event: str
    where: Condition
    streak: int | None = None
    count: int | None = None
    within: Millis | None = None
    distinct: str | None = None


class GuardEffect(StrEnum):
    """What an `unless` that holds does to the rule."""

    ASK = "ask"  # the incident opens and asks first
    SILENCE = "silence"  # nothing opens


@dataclass(frozen=True, slots=True)
class Guard:
    """`unless`: an event of this pattern within the last `within` holds the rule back.

    `join` pairs a path of the guard's event with the reference of the firing event that it must
    equal; empty means `join: none`.
    """

    pattern: Pattern
    within: Millis
    join: tuple[tuple[str, Ref], ...]
    effect: GuardEffect = GuardEffect.ASK


@dataclass(frozen=True, slots=True)
class Quiet:
    """`clears: {after: 1h}`: clear when nothing fired for that long."""

    after: Millis


@dataclass(frozen=True, slots=True)
class IncidentSpec:
    """What a firing opens. `key` lists `service`, `subject` or references; None is the default.

    A fault that comes back within `reopen` after it cleared is the same incident again.
    """

    type: str
    severity: Severity
    title: Text
    key: tuple[str | Ref, ...] | None = None
    reopen: Millis = HOUR


class HoldKind(StrEnum):
    """How long a containment lasts."""

    UNTIL_CLEAR = "until-clear"
    UNTIL_ANSWERED = "until-answered"
    DURATION = "duration"
    FOREVER = "forever"


@dataclass(frozen=True, slots=True)
class Hold:
    """The lifetime of a containment; `duration` only for that kind."""

    kind: HoldKind
    duration: Millis | None = None


@dataclass(frozen=True, slots=True)
class Do:
    """One action or playbook to run, and where. `at` None takes the hosts of the service."""

    action: str
    at: Ref | str | None = None
    params: Mapping[str, Value] = field(default_factory=dict)
    hold: Hold | None = None


@dataclass(frozen=True, slots=True)
class Ask:
    """A question with at most three choices; silence names a choice that does nothing."""

    question: Text
    choices: Mapping[str, Do | None]
    silence: str
    within: Millis
    condition: Condition | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule, as loaded. `where` says file and line, for people."""

    name: str
    doc: str
    mode: Mode
    when: Pattern
    incident: IncidentSpec
    clears: Pattern | Quiet
    unless: tuple[Guard, ...] = ()
    per: tuple[str, ...] = ("service",)
    contain: tuple[Do, ...] = ()
    then: tuple[Ask | Do, ...] = ()
    where: str = ""

    def patterns(self) -> tuple[Pattern, ...]:
        """Every pattern that the engine has to watch for this rule."""
        clears = (self.clears,) if isinstance(self.clears, Pattern) else ()
        return (self.when, *(guard.pattern for guard in self.unless), *clears)
