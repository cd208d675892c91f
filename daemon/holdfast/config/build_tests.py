"""`test:` documents."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from holdfast.config.build_site import Site, unknown
from holdfast.config.catalog import Catalog
from holdfast.config.papers import Papers
from holdfast.config.references import duration
from holdfast.config.tree import Path, Sheet, quoted
from holdfast.model.policies import Effect
from holdfast.model.records import IncidentState, RunState
from holdfast.model.ruletests import (
    Answer,
    Ends,
    Expect,
    ExpectedIncident,
    ExpectedQuestion,
    ExpectedRun,
    RuleTest,
    Send,
    Step,
    Wait,
)
from holdfast.model.snapshot import Source, SourceKind
from holdfast.model.values import DAY, SECOND, Millis, Severity

#: A push waits for the tests, so what one of them may ask for is bounded.
MAX_EVENTS: Final = 10_000
MAX_WAIT: Final[Millis] = 30 * DAY
_UNDO: Final = "undo "
#: Policies of this kind of name are in force everywhere.
_BUILT_IN: Final = "builtin-"
_ALWAYS: Final = frozenset({"source", "data"})
#: Where local commands run.
_HERE: Final = frozenset({"local"})

T = TypeVar("T")


def build_tests(papers: Papers, site: Site, catalog: Catalog) -> dict[str, RuleTest]:
    """Every rule test, checked against what is declared."""
    rules = frozenset(papers.declared["rule"]) if papers.complete else None
    policies = frozenset(papers.declared["policy"]) if papers.complete else None
    return {
        name: _TestReader(sheet, name, site, catalog, rules, policies).test()
        for name, sheet in papers.of("test").items()
    }


@dataclass(frozen=True, slots=True)
class _TestReader:
    """Reads one test; whatever is wrong is written on its sheet, and the rest goes on."""

    sheet: Sheet
    name: str
    site: Site
    catalog: Catalog
    rules: frozenset[str] | None
    policies: frozenset[str] | None

    def test(self) -> RuleTest:
        """The test; only worth something while its sheet has no problems."""
        document = self.sheet.document
        data: Mapping[str, Any] = document.data
        commands = {}
        for name, ends in data.get("commands", {}).items():
            self._name(("commands", name), "action", name, self.catalog.declared)
            if name in self.catalog.playbooks:
                message = f"{quoted(name)} is a playbook (say how its actions end)"
                self.sheet.say(("commands", name), message, key=True)
            commands[name] = Ends(ends)
        script = tuple(self._step(place, item) for place, item in enumerate(data["script"]))
        events = sum(step.deed.times for step in script if isinstance(step.deed, Send))
        if events > MAX_EVENTS:
            self.sheet.say(("script",), f"the script sends {events:,} events (at most {MAX_EVENTS:,})")
        return RuleTest(self.name, data["doc"], document.file, document.where, script, commands)

    def _step(self, number: int, item: Mapping[str, Any]) -> Step:
        path: Path = ("script", number)
        place = self.sheet.document.place(path)
        return Step(self._deed(path, item), place.line, place.column)

    def _deed(self, path: Path, item: Mapping[str, Any]) -> Send | Wait | Answer | Expect:
        if "event" in item:
            return self._send(path, item)
        if "wait" in item:
            span = duration(item["wait"])
            if span > MAX_WAIT:
                self.sheet.say((*path, "wait"), "this is too long (at most 30d)")
            return Wait(span)
        if "answer" in item:
            return Answer(item["answer"])
        return self._expect((*path, "expect"), item["expect"])

    def _send(self, path: Path, item: Mapping[str, Any]) -> Send:
        event = item["event"]
        here: Path = (*path, "event")
        if "payload" in event and len(event) > len({"source", "payload"}):
            beside = next(key for key in event if key not in {"source", "payload"})
            message = "stands beside `payload`, which says it all (leave one out)"
            self.sheet.say((*here, beside), f"`{beside}` {message}", key=True)
        unknown(self.sheet, (*here, "source"), "source", event["source"], self.site.names("sources"))
        for kind in ("service", "host"):
            if kind in event:
                unknown(self.sheet, (*here, kind), kind, event[kind], self.site.names(f"{kind}s"))
        source = self.site.sources.get(event["source"])
        for key in () if source is None or "payload" in event else event.keys() - _said_by(source):
            message = f"`{key}` is not for {event['source']} to say: its config does (leave it out)"
            self.sheet.say((*here, key), message, key=True)
        probed = source is not None and source.kind is SourceKind.HTTP_PROBE
        if probed and "payload" in event:
            self.sheet.say((*here, "payload"), "a probe reads no payload (write `data`)", key=True)
        pause = source.every if source is not None and probed else SECOND
        times, every = item.get("times", 1), duration(item["every"]) if "every" in item else pause
        if (times - 1) * every > MAX_WAIT:
            self.sheet.say((*path, "times"), "from the first to the last takes too long (at most 30d)")
        return Send(
            source=event["source"],
            type=event.get("type"),
            severity=Severity(event["severity"]) if "severity" in event else None,
            subject=event.get("subject"),
            service=event.get("service"),
            host=event.get("host"),
            data=event.get("data", {}),
            payload=event.get("payload"),
            ago=duration(event["ago"]) if "ago" in event else 0,
            times=times,
            every=every,
        )

    def _expect(self, path: Path, data: Mapping[str, Any]) -> Expect:
        for place, name in enumerate(data.get("fired", ())):
            self._name((*path, "fired", place), "rule", name, self.rules)
        for place, name in enumerate(data.get("holds", ())):
            self._name((*path, "holds", place), "action", name, self.catalog.declared)
        return Expect(
            fired=_tuple(data.get("fired")),
            incidents=_each(self._incident, (*path, "incidents"), data.get("incidents")),
            runs=_each(self._run, (*path, "runs"), data.get("runs")),
            asks=_each(self._question, (*path, "asks"), data.get("asks")),
            holds=_tuple(data.get("holds")),
        )

    def _incident(self, path: Path, item: Mapping[str, Any]) -> ExpectedIncident:
        if "service" in item:
            self._name((*path, "service"), "service", item["service"], self.site.names("services"))
        return ExpectedIncident(
            type=item.get("type"),
            state=IncidentState(item["state"]) if "state" in item else None,
            severity=Severity(item["severity"]) if "severity" in item else None,
            service=item.get("service"),
            subject=item.get("subject"),
            title=item.get("title"),
        )

    def _run(self, path: Path, item: Mapping[str, Any]) -> ExpectedRun:
        if "do" in item:
            self._name((*path, "do"), "action", item["do"].removeprefix(_UNDO), self.catalog.declared)
        hosts = self.site.names("hosts")
        for place, name in enumerate(item.get("at", ())):
            self._name((*path, "at", place), "host", name, None if hosts is None else hosts | _HERE)
        if not item.get("by", _BUILT_IN).startswith(_BUILT_IN):
            self._name((*path, "by"), "policy", item["by"], self.policies)
        return ExpectedRun(
            do=item.get("do"),
            at=_tuple(item.get("at")),
            verdict=Effect(item["verdict"]) if "verdict" in item else None,
            by=item.get("by"),
            state=RunState(item["state"]) if "state" in item else None,
        )

    def _question(self, _path: Path, item: Mapping[str, Any]) -> ExpectedQuestion:
        return ExpectedQuestion(item.get("question"), _tuple(item.get("choices")))

    def _name(self, path: Path, kind: str, name: str, known: frozenset[str] | None) -> None:
        unknown(self.sheet, path, kind, name, known)


def _said_by(source: Source) -> frozenset[str]:
    """What a source may say of an event; a sender describes, and only a map lets it choose a target."""
    if source.kind is SourceKind.HTTP_PROBE:
        return _ALWAYS
    mapped = {item.target for item in source.map} & {"service", "host"}
    return _ALWAYS | {"severity", "subject", "ago"} | mapped | ({"type"} if source.type is None else set())


def _tuple(items: Iterable[str] | None) -> tuple[str, ...] | None:
    return None if items is None else tuple(items)


def _each(
    read: Callable[[Path, Mapping[str, Any]], T], path: Path, items: Iterable[Mapping[str, Any]] | None
) -> tuple[T, ...] | None:
    """Each item of a list that is there, read with its path."""
    return None if items is None else tuple(read((*path, place), item) for place, item in enumerate(items))
