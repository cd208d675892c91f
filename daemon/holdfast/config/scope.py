"""What the references of a rule may name, and which services its events can be about."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from holdfast.conditions import evaluate
from holdfast.config.fields import HTTP_PROBE, UnknownField, Vocabulary
from holdfast.config.shape import did_you_mean
from holdfast.config.tree import quoted
from holdfast.model.conditions import AllOf, Compare, Condition
from holdfast.model.snapshot import Mapped, Source, SourceKind
from holdfast.model.values import Fact, Ref, Truth

SERVICE: Final = ("name", "unit", "url", "labels")
HOST: Final = ("name", "address", "group")
INCIDENT: Final = ("id", "type", "severity", "title")
#: Aliases that the language keeps for itself; `clears` names a pattern of every rule.
_ELSEWHERE: Final[Mapping[str, str]] = {
    "secret": "a secret never leaves holdfast.yaml",
    "estate": "only `never_in` of a parameter reads the estate as a whole",
}
_PLAIN: Final = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Reach:
    """What the events of a pattern can be about: these services; and whether they may lack one."""

    services: frozenset[str]
    lacks_service: bool
    lacks_host: bool


@dataclass(slots=True)
class Scope:
    """The names that one rule can refer to. What it needs of services and hosts is collected."""

    alias: str
    event: str
    fields: Vocabulary
    guards: frozenset[str]
    reach: Reach | None
    needs: set[str] = field(default_factory=set)
    said: set[str] = field(default_factory=set)

    def flaw(self, ref: Ref, *, incident: bool = True) -> str | None:
        """Why a reference cannot stand in this rule, or None. `incident` says whether one is open."""
        if ref.alias == self.alias:
            return self._event_flaw(ref)
        if ref.alias == "service":
            return self._service_flaw(ref)
        if ref.alias == "host":
            return _one_of(ref, HOST) or self._bound(ref, "host", "lacks_host")
        if ref.alias == "incident":
            return (
                _one_of(ref, INCIDENT) if incident else "there is no incident yet where its title is written"
            )
        if ref.alias in _ELSEWHERE:
            return f"{quoted(str(ref))} cannot stand here: {_ELSEWHERE[ref.alias]}"
        if ref.alias in self.guards:
            return f"{quoted(str(ref))} names a guard, whose event need not exist (refer to ${self.alias})"
        known = (self.alias, "service", "host", *(("incident",) if incident else ()))
        return f"{quoted(str(ref))} names no alias of this rule{did_you_mean(ref.alias, known)}"

    def _event_flaw(self, ref: Ref) -> str | None:
        if not ref.path:
            return f"{quoted(str(ref))} is a whole event (write ${ref.alias}.service or ${ref.alias}.data.x)"
        try:
            found = self.fields(spelled_path(ref.path))
        except UnknownField as error:
            return str(error)
        if found.kind == "list" or ref.path == ("data",):
            return f"{quoted(str(ref))} is no plain value, and cannot become text or a parameter"
        return None

    def _service_flaw(self, ref: Ref) -> str | None:
        if ref.path[:1] in {("hosts",), ("depends_on",)}:
            return (
                f"{quoted(str(ref))} is a list, and cannot become text or a parameter (it can stand in `at`)"
            )
        flaw = _one_of(ref, SERVICE) or self._bound(ref, "service", "lacks_service")
        if flaw is None:
            self.needs.add(spelled_path(ref.path))
        return flaw

    def _bound(self, ref: Ref, what: str, lacks: str) -> str | None:
        if self.reach is None or not getattr(self.reach, lacks) or what in self.said:
            return None
        self.said.add(what)  # one mistake is one line
        right = f"bind its source to one with `{what}:`, or add `{what}: {{ne: null}}` to where"
        return f"{quoted(str(ref))} needs a {what}, and an event {self.event} may come without one ({right})"

    def target_flaw(self, text: str, hosts: frozenset[str] | None) -> str | None:
        """Why `at` cannot be this, or None. An event never chooses a target."""
        if text == "$service.hosts":
            self.needs.add("hosts")
            return self._bound(Ref("service", ("hosts",)), "service", "lacks_service")
        if text == "$host":
            return self._bound(Ref("host"), "host", "lacks_host")
        if text.startswith("$"):
            right = "write $service.hosts, $host or a host of the estate; an event never chooses"
            return f"{quoted(text)} is no target ({right})"
        if hosts is not None and text not in hosts:
            return f"unknown host {quoted(text)}{did_you_mean(text, hosts)}"
        return None


def spelled_path(parts: Iterable[str]) -> str:
    """A reference's path as conditions write it."""
    text = ""
    for part in parts:
        plain = bool(_PLAIN.fullmatch(part))
        text += (f".{part}" if text else part) if plain else f'["{part}"]'
    return text


def _one_of(ref: Ref, known: tuple[str, ...]) -> str | None:
    head = ref.path[0] if ref.path else ""
    if head in known and len(ref.path) == (2 if head == "labels" else 1):
        return None
    listed = ", ".join(f"${ref.alias}.{name}" + (".x" if name == "labels" else "") for name in known)
    return f"{quoted(str(ref))} does not exist (there is {listed})"


def reach(event: str, where: Condition, sources: Mapping[str, Source], services: frozenset[str]) -> Reach:
    """What the events that a pattern accepts can be about, as far as the config can say."""
    accepted = _top(where)
    makers = [source for source in sources.values() if _makes(source, event)]
    if event == HTTP_PROBE and not makers:
        return Reach(frozenset(), lacks_service=False, lacks_host=True)
    about: set[str] = set()
    lacks = {"service": not makers, "host": not makers}
    for source in makers:
        if not _accepts(accepted, {"source": source.name}):
            continue
        lacks = {kind: so_far or _bound_to(source, kind) is None for kind, so_far in lacks.items()}
        bound = _bound_to(source, "service")
        about |= services if bound is None else {bound}
    return Reach(
        frozenset(name for name in (about if makers else services) if _accepts(accepted, {"service": name})),
        lacks_service=lacks["service"] and _accepts(accepted, {"service": None}),
        lacks_host=lacks["host"] and _accepts(accepted, {"host": None}),
    )


def _top(where: Condition) -> tuple[Compare, ...]:
    """The comparisons that must hold, whatever else does."""
    items = where.items if isinstance(where, AllOf) else (where,)
    return tuple(item for item in items if isinstance(item, Compare))


def _accepts(compares: tuple[Compare, ...], fact: Fact) -> bool:
    return all(evaluate(item, fact) is Truth.TRUE for item in compares if item.path in fact)


def _makes(source: Source, event: str) -> bool:
    if source.kind is SourceKind.HTTP_PROBE or event == HTTP_PROBE:
        return source.kind is SourceKind.HTTP_PROBE and event == HTTP_PROBE
    mapped = _field(source, "type")
    if mapped is not None:
        return mapped.source is not None or mapped.constant == event
    return source.type in {None, event}


def _bound_to(source: Source, kind: str) -> str | None:
    """The service or host that the config itself names for every event of the source."""
    fixed = source.service if kind == "service" else source.host
    mapped = _field(source, kind)
    if fixed is None and mapped is not None and mapped.source is None:
        return str(mapped.constant)
    return fixed


def _field(source: Source, target: str) -> Mapped | None:
    return next((item for item in source.map if item.target == target), None)
