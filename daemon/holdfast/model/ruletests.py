"""What the operator expects of the rules: a script of events, and what they are to lead to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from holdfast.model.policies import Effect
from holdfast.model.records import IncidentState, RunState
from holdfast.model.values import Json, Millis, Severity


class Ends(StrEnum):
    """How a command ends in a test; nothing is really run."""

    SUCCEEDS = "succeeds"  # exit 0
    FAILS = "fails"  # exit 1
    UNREACHED = "unreached"  # the host does not answer, so nothing was started
    UNKNOWN = "unknown"  # nobody can say whether it ran


@dataclass(frozen=True, slots=True)
class Send:
    """Events of one source, `every` apart; None takes what the source's config says.

    `payload` is what the source itself would send, read through its `map:`; otherwise the other fields
    say what the event is. `ago` is how much older than its receipt the source says that it is.
    """

    source: str
    type: str | None = None
    severity: Severity | None = None
    subject: str | None = None
    service: str | None = None
    host: str | None = None
    data: Mapping[str, Json] = field(default_factory=dict)
    payload: Mapping[str, Json] | None = None
    ago: Millis = 0
    times: int = 1
    every: Millis = 0


@dataclass(frozen=True, slots=True)
class Wait:
    """Time passes, and what is due happens."""

    span: Millis


@dataclass(frozen=True, slots=True)
class Answer:
    """The operator takes this choice of the one open question that offers it."""

    choice: str


@dataclass(frozen=True, slots=True)
class ExpectedIncident:
    """One incident; None is not looked at."""

    type: str | None = None
    state: IncidentState | None = None
    severity: Severity | None = None
    service: str | None = None
    subject: str | None = None
    title: str | None = None


@dataclass(frozen=True, slots=True)
class ExpectedRun:
    """One run of an action or a playbook; `verdict` is the last one about it, `by` who gave it.

    An approval is no verdict: the one that asked stays.
    """

    do: str | None = None
    at: tuple[str, ...] | None = None
    verdict: Effect | None = None
    by: str | None = None
    state: RunState | None = None


@dataclass(frozen=True, slots=True)
class ExpectedQuestion:
    """One question that waits for an answer."""

    question: str | None = None
    choices: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Expect:
    """How everything stands at this moment; None is not looked at.

    Every list is complete, and in the order in which it came about: an empty one says that there is none.
    """

    fired: tuple[str, ...] | None = None
    incidents: tuple[ExpectedIncident, ...] | None = None
    runs: tuple[ExpectedRun, ...] | None = None
    asks: tuple[ExpectedQuestion, ...] | None = None
    holds: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the script, and where it stands; lines and columns count from 1."""

    deed: Send | Wait | Answer | Expect
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class RuleTest:
    """One test. Commands that `commands` does not name succeed; `where` says file and line, for people."""

    name: str
    doc: str
    file: str
    where: str
    script: tuple[Step, ...]
    commands: Mapping[str, Ends] = field(default_factory=dict)
