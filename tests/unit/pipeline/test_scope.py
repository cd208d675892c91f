"""What a firing can name, and how hostile values become text."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.conditions import MISSING
from holdfast.model.conditions import AllOf
from holdfast.model.events import Event, Provenance
from holdfast.model.records import Incident, IncidentState
from holdfast.model.rules import IncidentSpec, Mode, Pattern, Quiet, Rule
from holdfast.model.snapshot import Snapshot
from holdfast.model.values import Ref, Severity, Text, Trust
from holdfast.pipeline.scope import TEXT_LIMIT, Scope, evidence_line, shown

MakeEvent = Callable[..., Event]


def ref(text: str) -> Ref:
    alias, *path = text.split(".")
    return Ref(alias, tuple(path))


@pytest.fixture
def scope(snapshot: Snapshot, rule: Rule, event: MakeEvent) -> Scope:
    incident = Incident(
        "i1", "k", "service-down", Severity.CRITICAL, "down", "shop", "shop", IncidentState.OPEN, 1, 100, 100
    )
    return Scope(snapshot, rule, event(), incident)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("probe.data.status", 500),
        ("probe.data.error", None),
        ("probe.service", "shop"),
        ("service", "shop"),
        ("service.unit", "shop.service"),
        ("service.hosts", ["web1"]),
        ("service.url", "https://shop.example"),
        ("service.labels.tier", 1),
        ("service.labels.who", None),
        ("host", "web1"),
        ("host.address", "10.0.0.5"),
        ("host.group", "web"),
        ("incident.id", "i1"),
        ("incident.severity", "critical"),
        ("estate.own_ips", ["10.0.0.5", "10.0.0.6"]),
    ],
)
def test_a_reference_has_the_value_that_it_names(scope: Scope, name: str, wanted: object) -> None:
    assert scope.resolve(ref(name)) == wanted


@pytest.mark.parametrize(
    "name",
    ["probe.data.nothing", "probe.data.status.deeper", "nobody", "nobody.id", "service.nothing", "probe"],
)
def test_what_is_not_there_is_missing(scope: Scope, name: str) -> None:
    assert scope.resolve(ref(name)) is MISSING


@pytest.mark.parametrize("changes", [{"service": None}, {"service": "unknown"}])
def test_without_a_service_there_is_none_to_name(
    snapshot: Snapshot, rule: Rule, event: MakeEvent, changes: dict[str, object]
) -> None:
    scope = Scope(snapshot, rule, event(**changes))

    assert scope.service is None
    assert scope.resolve(ref("service.name")) is MISSING


@pytest.mark.parametrize("changes", [{"host": None}, {"host": "unknown"}])
def test_without_a_host_and_an_incident_there_are_none_to_name(
    snapshot: Snapshot, rule: Rule, event: MakeEvent, changes: dict[str, object]
) -> None:
    scope = Scope(snapshot, rule, event(**changes))

    assert scope.resolve(ref("host.address")) is MISSING
    assert scope.resolve(ref("incident.id")) is MISSING


def test_a_template_is_filled_and_what_is_missing_shows(scope: Scope) -> None:
    parts = (ref("service.name"), " says ", ref("probe.data.status"), ", ", ref("probe.data.nothing"))

    assert scope.text(Text(parts)) == "shop says 500, ?"


@given(st.text(max_size=2000))
def test_whatever_an_event_holds_a_title_is_one_bounded_line(said: str) -> None:
    pattern = Pattern("r/probe", "probe", "x", AllOf(()))
    rule = Rule("r", "", Mode.AUTO, pattern, IncidentSpec("t", Severity.INFO, Text(())), Quiet(1))
    provenance = Provenance("none", Trust.LOW, "c1")
    event = Event("e", "hook", "x", 1, 1, Severity.INFO, "s", provenance, data={"said": said})
    title = Scope(Snapshot("c1"), rule, event).text(Text(("It says: ", ref("probe.data.said"))))

    assert len(title) <= TEXT_LIMIT
    assert title.isprintable()
    assert "{code}" not in title
    assert len(evidence_line(event)) <= TEXT_LIMIT
    assert evidence_line(event).isprintable()


@pytest.mark.parametrize(
    ("value", "words"),
    [(None, "none"), (True, "true"), (False, "false"), (0, "0"), (1.5, "1.5"), ("x", "x"), ([1], "[1]")],
)
def test_a_value_reads_as_people_write_it(value: object, words: str) -> None:
    assert shown(value) == words


def test_evidence_is_told_in_one_line_with_the_first_plain_values(event: MakeEvent) -> None:
    many = {f"v{number}": number for number in range(9)}

    assert evidence_line(event()) == "http.probe from hook: status=500, ok=false, error=none"
    assert evidence_line(event(data={})) == "http.probe from hook"
    assert evidence_line(event(data=many)) == "http.probe from hook: v0=0, v1=1, v2=2, v3=3, v4=4, v5=5"
