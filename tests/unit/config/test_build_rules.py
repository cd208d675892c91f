from __future__ import annotations

import pytest
from tests.unit.config.conftest import Load, Problems

from holdfast.model.conditions import AllOf, Compare, Op
from holdfast.model.rules import (
    Ask,
    Do,
    Guard,
    GuardEffect,
    Hold,
    HoldKind,
    IncidentSpec,
    Mode,
    Pattern,
    Quiet,
    Rule,
)
from holdfast.model.values import DAY, HOUR, MINUTE, Ref, Severity, Text

RULE = """
rule: shop-down
doc: The shop fails its probe.
mode: auto
when:
  probe: {event: http.probe, where: {data.ok: false}, streak: 3}
unless:
  deploy: {event: deploy.started, where: {service: {same: $probe.service}, data.late: false}, within: 10m}
  quiet: {event: night.began, join: none, within: 1d, effect: silence}
per: [service, source]
incident:
  type: service-down
  severity: critical
  title: "$service.name fails its probe ($probe.data.status)."
  key: [service, $probe.data.error]
  reopen: 2h
clears: {event: http.probe, where: {data.ok: true}, count: 3, within: 1m, distinct: data.status}
contain:
  - {do: restart-unit, at: $service.hosts, with: {unit: $service.unit}}
  - {do: page-up, hold: until-clear}
  - {do: purge, with: {zone: eu}}
then:
  - ask: "Put the page up for $service.name?"
    if: {firing: true, contain.outcome: ineffective}
    choices: {page: {do: page-up, at: web1}, wait: {}}
    silence: wait
    within: 30m
  - {do: page-up}
"""
SMALL = """
rule: {name}
doc: An example.
when: {{it: {{event: {event}, where: {where}}}}}
incident: {{type: service-down, severity: error, title: "{title}"}}
clears: {{after: 1h}}
"""


def test_a_whole_rule_is_built(snapshot: Load) -> None:
    assert snapshot(RULE).rules == {
        "shop-down": Rule(
            name="shop-down",
            doc="The shop fails its probe.",
            mode=Mode.AUTO,
            when=Pattern(
                "shop-down/probe", "probe", "http.probe", Compare("data.ok", Op.EQ, False), streak=3
            ),
            incident=IncidentSpec(
                "service-down",
                Severity.CRITICAL,
                Text(
                    (Ref("service", ("name",)), " fails its probe (", Ref("probe", ("data", "status")), ").")
                ),
                ("service", Ref("probe", ("data", "error"))),
                2 * HOUR,
            ),
            clears=Pattern(
                "shop-down/clears",
                "clears",
                "http.probe",
                Compare("data.ok", Op.EQ, True),
                count=3,
                within=MINUTE,
                distinct="data.status",
            ),
            unless=(
                Guard(
                    Pattern(
                        "shop-down/unless.deploy",
                        "deploy",
                        "deploy.started",
                        Compare("data.late", Op.EQ, False),
                    ),
                    10 * MINUTE,
                    (("service", Ref("probe", ("service",))),),
                ),
                Guard(
                    Pattern("shop-down/unless.quiet", "quiet", "night.began", AllOf(())),
                    DAY,
                    (),
                    GuardEffect.SILENCE,
                ),
            ),
            per=("service", "source"),
            contain=(
                Do("restart-unit", Ref("service", ("hosts",)), {"unit": Ref("service", ("unit",))}),
                Do("page-up", hold=Hold(HoldKind.UNTIL_CLEAR)),
                Do("purge", params={"zone": "eu"}),
            ),
            then=(
                Ask(
                    Text(("Put the page up for ", Ref("service", ("name",)), "?")),
                    {"page": Do("page-up", "web1"), "wait": None},
                    "wait",
                    30 * MINUTE,
                    AllOf((Compare("firing", Op.EQ, True), Compare("contain.outcome", Op.EQ, "ineffective"))),
                ),
                Do("page-up"),
            ),
            where="rules/document0.yaml:2",
        )
    }


def test_what_is_not_said_has_its_default(snapshot: Load) -> None:
    rule = snapshot(SMALL.format(name="x", event="http.probe", where="{}", title="$service.name")).rules["x"]

    assert (rule.mode, rule.per, rule.unless, rule.contain, rule.then) == (
        Mode.SUGGEST,
        ("service",),
        (),
        (),
        (),
    )
    assert rule.clears == Quiet(HOUR)
    assert rule.incident.key is None
    assert [pattern.key for pattern in rule.patterns()] == ["x/it"]


@pytest.mark.parametrize(
    ("hold", "expected"),
    [
        ("until-clear", Hold(HoldKind.UNTIL_CLEAR)),
        ("forever", Hold(HoldKind.FOREVER)),
        ("90m", Hold(HoldKind.DURATION, 90 * MINUTE)),
    ],
)
def test_a_hold_has_its_kind(snapshot: Load, hold: str, expected: Hold) -> None:
    rule = snapshot(RULE.replace("until-clear", hold)).rules["shop-down"]

    assert rule.contain[1].hold == expected


@pytest.mark.parametrize(
    ("event", "where", "title"),
    [
        ("http.probe", "{}", "$service.unit"),
        ("deploy.started", "{source: deploys}", "$service.name"),
        ("deploy.started", "{service: {ne: null}}", "$service.name"),
        ("deploy.started", "{service: shop}", "$service.unit $service.labels.dir"),
        ("deploy.started", "{service: {startswith: sh}}", '$service.labels[\\"a/b\\"]'),
        ("something.else", "{service: {in: [shop]}}", "$service.url"),
        ("something.else", "{}", "$it.service $it.subject $it.data.x.y"),
        ("something.else", "{host: web1}", "$host.name $host.address $host.group"),
    ],
)
def test_a_service_that_every_event_has_can_be_named(
    snapshot: Load, event: str, where: str, title: str
) -> None:
    assert snapshot(SMALL.format(name="x", event=event, where=where, title=title)).rules


@pytest.mark.parametrize(
    ("event", "where", "title", "says"),
    [
        ("deploy.started", "{}", "$service.name", "may come without one"),
        ("deploy.started", "{service: {ne: shop}}", "$service.name", "may come without one"),
        ("something.else", "{}", "$service.name", "may come without one"),
        ("something.else", "{}", "$host.name", "may come without one"),
        ("deploy.started", "{service: {ne: null}}", "$service.unit", "mailer has no `unit`"),
        ("http.probe", "{}", "$service.labels.nope", "shop has no `labels.nope`"),
        ("http.probe", "{}", "$service", "does not exist"),
        ("http.probe", "{}", "$host.port", "does not exist"),
        ("http.probe", "{}", "$it.data", "is no plain value"),
        ("deploy.started", "{service: shop}", "$it.data.files", "is no plain value"),
        ("http.probe", "{}", "$estate.own_ips", "cannot stand here"),
    ],
)
def test_what_an_event_may_lack_cannot_be_named(
    problems: Problems, event: str, where: str, title: str, says: str
) -> None:
    (line,) = problems(SMALL.format(name="x", event=event, where=where, title=title))

    assert says in line


def test_two_rules_may_open_the_same_type_of_incident(snapshot: Load) -> None:
    first = SMALL.format(name="x", event="http.probe", where="{}", title="a")
    second = SMALL.format(name="y", event="http.probe", where="{}", title="b")

    assert set(snapshot(first, second).rules) == {"x", "y"}


def test_the_mistakes_of_a_rule_are_all_found(problems: Problems) -> None:
    wrong = (
        RULE.replace("data.ok: false", "data.okay: false")
        .replace("mode: auto", "mode: atuo")
        .replace("$probe.service", "$prob.service")
        .replace("[service, source]", "[service, data.user]")
        .replace("$probe.data.status).", "$probe.data.stat).")
        .replace("{do: purge", "{do: purge-all")
        .replace("zone: eu", "zone: asia")
        .replace("silence: wait", "silence: page")
        .replace("at: web1", "at: web9")
        .replace("contain.outcome: ineffective", "contain.outcome: broken")
        .replace("type: service-down", "type: service-slow")
    )

    assert [line.split(": ", 2)[1] for line in problems(wrong)] == [
        "mode",
        "when.probe.where.data.okay",
        "unless.deploy.where.service.same",
        "per[1]",
        "incident.type",
        "incident.title",
        "contain[2].do",
        "then[0].if.contain.outcome",
        "then[0].choices.page.at",
        "then[0].silence",
    ]
