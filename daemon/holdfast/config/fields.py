"""What conditions and references can look at: the fields of events, proposals and outcomes.

A vocabulary answers a path with its Field, or raises UnknownField with a sentence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from holdfast.conditions import parse_path
from holdfast.config.shape import did_you_mean
from holdfast.config.tree import quoted
from holdfast.errors import InputError
from holdfast.model.actions import Risk, Touches
from holdfast.model.policies import Category, Origin
from holdfast.model.rules import Mode
from holdfast.model.snapshot import FieldType
from holdfast.model.values import Severity, Trust

#: The event that probes make.
HTTP_PROBE: Final = "http.probe"
BUILT_IN: Final[Mapping[str, Mapping[str, FieldType]]] = {
    HTTP_PROBE: {
        "data.ok": FieldType("bool"),
        "data.status": FieldType("int", optional=True),
        "data.latency_ms": FieldType("float", optional=True),
        "data.error": FieldType("str", optional=True),
    }
}


class UnknownField(ValueError):
    """Nothing stands at this path."""


@dataclass(frozen=True, slots=True)
class Field:
    """The type of what stands at a path, and its words where only some make sense.

    `what` names the words for a message: "severity", "service of the estate".
    """

    kind: str
    optional: bool = False
    words: frozenset[str] | None = None
    what: str = ""


Vocabulary = Callable[[str], Field]
_ANY: Final = Field("any", optional=True)


def _words(kind: type[StrEnum], what: str) -> Field:
    return Field("str", words=frozenset(map(str, kind)), what=what)


_EVENT: Final[Mapping[str, Field]] = {
    "id": Field("str"),
    "source": Field("str", what="source"),
    "type": Field("str"),
    "time": Field("int"),
    "received": Field("int"),
    "severity": _words(Severity, "severity"),
    "subject": Field("str"),
    "trust": _words(Trust, "trust"),
    "service": Field("str", optional=True, what="service"),
    "host": Field("str", optional=True, what="host"),
    "data": _ANY,
}
_PROPOSAL: Final[Mapping[str, Field]] = {
    "origin": _words(Origin, "origin"),
    "action": Field("str", what="action"),
    "target": Field("str", what="target"),
    "touches": replace(_words(Touches, "thing to touch"), kind="list"),
    "risk": _words(Risk, "risk"),
    "idempotent": Field("bool"),
    "irreversible": Field("bool"),
    "service": Field("str", optional=True, what="service"),
    "group": Field("str", optional=True, what="group"),
    "category": _words(Category, "category"),
    "incident_type": Field("str", what="incident type"),
    "severity": _words(Severity, "severity"),
    "rule": Field("str", what="rule"),
    "mode": _words(Mode, "mode"),
    "trust": _words(Trust, "trust"),
    "confidence": Field("float", optional=True),
}
_OUTCOMES: Final = frozenset({"verified", "ineffective", "failed", "denied", "expired", "none"})
_OUTCOME: Final[Mapping[str, Field]] = {
    "firing": Field("bool"),
    "contain.outcome": Field("str", words=_OUTCOMES, what="outcome"),
}

#: Names that a field's value must be one of: "service" → the services. Absent: not known, not checked.
Known = Mapping[str, frozenset[str]]


def of_event(declared: Mapping[str, FieldType] | None, known: Known) -> Vocabulary:
    """The fields of one event type; without a declaration, whatever stands under `data`."""

    def look(path: str) -> Field:
        head, *rest = _steps(path)
        if head == "data" and rest and declared is not None:
            return _declared(path, declared)
        return _top(_EVENT, path, head, rest, known)

    return look


def of_proposal(known: Known) -> Vocabulary:
    """What `match` of a policy sees."""

    def look(path: str) -> Field:
        head, *rest = _steps(path)
        return _top(_PROPOSAL, path, head, rest, known)

    return look


def of_outcome(path: str) -> Field:
    """What `if` of a question sees."""
    if path not in _OUTCOME:
        raise UnknownField(f"unknown field {quoted(path)}{did_you_mean(path, _OUTCOME)}")
    return _OUTCOME[path]


def countable_fields() -> frozenset[str]:
    """What starts are remembered with, so that a limit can count by it."""
    return frozenset({"action", "target", "service", "group", "incident_type", "rule"})


def _steps(path: str) -> tuple[str | int, ...]:
    try:
        return parse_path(path)
    except InputError as error:
        right = 'write data.status or data.labels["a/b"]'
        raise UnknownField(f"{quoted(path)} is not a path ({right})") from error


def _top(
    fields: Mapping[str, Field], path: str, head: str | int, rest: list[str | int], known: Known
) -> Field:
    field = fields.get(str(head))
    if field is None:
        hint = did_you_mean(str(head), fields)
        if "data" in fields and hint.startswith(" (there"):
            hint = f" (what the sender wrote is under data: write data.{head})"
        raise UnknownField(f"unknown field {quoted(path)}{hint}")
    if not rest:
        return replace(field, words=known.get(field.what)) if field.words is None else field
    if field.kind != "any":
        raise UnknownField(f"{quoted(path)} leads nowhere: {head} is a plain value")
    return _ANY


def _declared(path: str, declared: Mapping[str, FieldType]) -> Field:
    exact = declared.get(path)
    if exact is not None:
        return Field(exact.kind, exact.optional)
    for name, field in declared.items():
        if path.startswith((f"{name}.", f"{name}[")):
            if field.kind in {"any", "list"}:
                return _ANY
            raise UnknownField(f"{quoted(path)} leads nowhere: {name} is declared as {field.kind}")
        if name.startswith((f"{path}.", f"{path}[")):
            return _ANY
    raise UnknownField(f"unknown field {quoted(path)}{did_you_mean(path, declared)}")
