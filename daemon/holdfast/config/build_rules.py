"""`rule:` documents."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from holdfast.conditions import split_join
from holdfast.config.build_conditions import Reader
from holdfast.config.build_site import Site
from holdfast.config.build_steps import Steps, read_text
from holdfast.config.catalog import Catalog
from holdfast.config.fields import HTTP_PROBE, UnknownField, Vocabulary, of_event
from holdfast.config.papers import Papers
from holdfast.config.references import BadReference, duration, reference
from holdfast.config.scope import Reach, Scope, reach
from holdfast.config.shape import close_to
from holdfast.config.tree import Path, Sheet, quoted
from holdfast.model.conditions import AllOf, Condition
from holdfast.model.rules import Guard, GuardEffect, IncidentSpec, Mode, Pattern, Quiet, Rule
from holdfast.model.values import HOUR, Ref, Severity

_KEYS: Final = ("service", "subject")


def build_rules(papers: Papers, site: Site, catalog: Catalog) -> dict[str, Rule]:
    """Every rule, checked against the estate, the sources, and what can be done."""
    known = {kind: names for kind in ("service", "host", "source") if (names := site.names(f"{kind}s"))}
    types = event_types(site)
    return {
        name: _RuleReader(sheet, name, site, catalog, known, types).rule()
        for name, sheet in papers.of("rule").items()
    }


def event_types(site: Site) -> frozenset[str]:
    """Every type of event that the config names outside of rules."""
    fixed = {source.type for source in site.sources.values() if source.type}
    mapped = {
        str(field.constant)
        for source in site.sources.values()
        for field in source.map
        if field.target == "type" and field.source is None
    }
    return frozenset({HTTP_PROBE, *site.events, *fixed, *mapped})


@dataclass(frozen=True, slots=True)
class _RuleReader:
    """Reads one rule; whatever is wrong is written on its sheet, and the rest goes on."""

    sheet: Sheet
    name: str
    site: Site
    catalog: Catalog
    known: Mapping[str, frozenset[str]]
    types: frozenset[str]

    def rule(self) -> Rule:
        """The rule; only worth something while its sheet has no problems."""
        data: Mapping[str, Any] = self.sheet.document.data
        alias, when = self._when(data["when"])
        scope = Scope(
            alias=alias,
            event=when.event,
            fields=self._fields(when.event),
            guards=frozenset(data.get("unless", {})),
            reach=self._reach(when),
        )
        steps = Steps(self.sheet, scope, self.catalog, self.site)
        rule = Rule(
            name=self.name,
            doc=data["doc"],
            mode=Mode(data.get("mode", Mode.SUGGEST)),
            when=when,
            incident=self._incident(data["incident"], scope),
            clears=self._clears(data["clears"]),
            unless=tuple(self._guard(name, item, scope) for name, item in data.get("unless", {}).items()),
            per=self._per(data.get("per", ["service"]), when, data["clears"]),
            contain=steps.contain(data.get("contain", []), data.get("then", [])),
            then=steps.then(data.get("then", [])),
            where=self.sheet.document.where,
        )
        self._check_needs(scope)
        return rule

    def _when(self, data: Mapping[str, Any]) -> tuple[str, Pattern]:
        [(alias, item)] = data.items()
        return alias, self._pattern(("when", alias), alias, item)

    def _pattern(self, path: Path, alias: str, item: Mapping[str, Any]) -> Pattern:
        if "streak" in item and "count" in item:
            self.sheet.say(
                (*path, "count"), "`streak` and `count` stand side by side (write one of them)", key=True
            )
        if "distinct" in item:
            self._check_field((*path, "distinct"), item["distinct"], item["event"])
        return Pattern(
            key=f"{self.name}/{alias}",
            alias=alias,
            event=self._event(path, item["event"]),
            where=Reader(self.sheet, self._fields(item["event"])).condition(
                (*path, "where"), item.get("where", {})
            ),
            streak=item.get("streak"),
            count=item.get("count"),
            within=duration(item["within"]) if "within" in item else None,
            distinct=item.get("distinct"),
        )

    def _event(self, path: Path, event: str) -> str:
        """A type that nobody declared is fine; one letter off a known type is a mistake."""
        close = self._misspelled(event)
        if close:
            message = f"no source makes {quoted(event)} (did you mean {close}? else declare it under events)"
            self.sheet.say((*path, "event"), message)
        return event

    def _misspelled(self, event: str) -> str | None:
        if event in self.types or not self.site.sources_known:
            return None
        return close_to(event, self.types, cutoff=0.85)

    def _fields(self, event: str) -> Vocabulary:
        return of_event(self.site.events.get(event), self.known)

    def _check_field(self, path: Path, name: str, event: str) -> None:
        try:
            found = self._fields(event)(name)
        except UnknownField as error:
            self.sheet.say(path, str(error))
            return
        if found.kind == "list" or name == "data":
            self.sheet.say(path, f"{name} is no plain value, and cannot be counted by")

    def _reach(self, when: Pattern) -> Reach | None:
        services = self.site.names("services")
        if services is None or not self.site.sources_known or self._misspelled(when.event):
            return None
        return reach(when.event, when.where, self.site.sources, services)

    def _incident(self, data: Mapping[str, Any], scope: Scope) -> IncidentSpec:
        path: Path = ("incident", "title")
        title = read_text(self.sheet, path, data["title"], scope, incident=False)
        key = self._key(data["key"], scope) if "key" in data else None
        reopen = duration(data["reopen"]) if "reopen" in data else HOUR
        return IncidentSpec(data["type"], Severity(data["severity"]), title, key, reopen)

    def _key(self, items: Iterable[str], scope: Scope) -> tuple[str | Ref, ...]:
        found: list[str | Ref] = []
        for place, item in enumerate(items):
            path: Path = ("incident", "key", place)
            if item.startswith("$"):
                ref = self._reference(path, item, scope)
                found += [ref] if ref else []
            elif item in _KEYS:
                found.append(item)
            else:
                self.sheet.say(
                    path, f"{quoted(item)} is no key (write service, subject or ${scope.alias}.data.x)"
                )
        return tuple(found)

    def _reference(self, path: Path, item: str, scope: Scope) -> Ref | None:
        """A reference to the event that fired."""
        try:
            ref = reference(item)
        except BadReference as error:
            self.sheet.say(path, str(error))
            return None
        flaw = scope.flaw(ref, incident=False)
        if flaw is None and ref.alias != scope.alias:
            flaw = f"{quoted(item)} is not of the event that fired (write ${scope.alias}.…)"
        if flaw:
            self.sheet.say(path, flaw)
            return None
        return ref

    def _clears(self, data: Mapping[str, Any]) -> Pattern | Quiet:
        if "after" in data:
            return Quiet(duration(data["after"]))
        return self._pattern(("clears",), "clears", data)

    def _guard(self, name: str, item: Mapping[str, Any], scope: Scope) -> Guard:
        path: Path = ("unless", name)
        if name == scope.alias:
            self.sheet.say(path, f"{quoted(name)} is the alias of `when` already (take another)", key=True)
        reader = Reader(
            self.sheet, self._fields(item["event"]), lambda here, text: self._reference(here, text, scope)
        )
        kept, join = split_join(reader.condition((*path, "where"), item.get("where", {})))
        if not join and "join" not in item:
            right = f"add `service: {{same: ${scope.alias}.service}}` to where, or `join: none`"
            self.sheet.say(path, f"nothing joins this guard to the event that fired ({right})")
        if join and "join" in item:
            self.sheet.say((*path, "join"), "`join: none` beside `same` (leave one out)")
        pattern = Pattern(f"{self.name}/unless.{name}", name, self._event(path, item["event"]), _plain(kept))
        return Guard(
            pattern, duration(item["within"]), join, GuardEffect(item.get("effect", GuardEffect.ASK))
        )

    def _per(self, items: Iterable[str], when: Pattern, clears: Mapping[str, Any]) -> tuple[str, ...]:
        for place, item in enumerate(items):
            before = len(self.sheet.problems)
            self._check_field(("per", place), item, when.event)
            if len(self.sheet.problems) == before and "event" in clears:
                self._check_field(("per", place), item, clears["event"])
        return tuple(items)

    def _check_needs(self, scope: Scope) -> None:
        """Every service that the rule can be about has what its steps and titles take from it."""
        for name in sorted(scope.reach.services if scope.reach else ()):
            service = self.site.services.get(name)
            if service is None:
                continue
            has = {
                "name": True,
                "hosts": bool(service.hosts),
                "unit": bool(service.unit),
                "url": bool(service.url),
            }
            has |= {f"labels.{label}": True for label in service.labels}
            for need in sorted(scope.needs):
                label = need.replace('labels["', "labels.").removesuffix('"]')
                if not has.get(label, False):
                    right = f"add it in holdfast.yaml, or name the services in where of ${scope.alias}"
                    self.sheet.say(
                        ("when",), f"the service {name} has no `{label}`, and this rule needs it ({right})"
                    )


def _plain(condition: Condition) -> Condition:
    """A group of one item as the item."""
    if isinstance(condition, AllOf) and len(condition.items) == 1:
        return condition.items[0]
    return condition
