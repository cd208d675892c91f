from __future__ import annotations

from tests.unit.config.conftest import Load, Problems

from holdfast.model.actions import Risk, Touches
from holdfast.model.conditions import AllOf, Compare, Op, Over
from holdfast.model.policies import BlastOf, BlastRadius, Effect, EffectPolicy, Envelope, Limit
from holdfast.model.values import HOUR, MINUTE

POLICIES = """
policy: service-down-envelope
doc: What may happen when a service is down.
envelope:
  incident_type: service-down
  allow: {risk: medium, touches: [availability, access]}
  confidence: 0.8
---
policy: ask
doc: Ask.
match: {touches: {any: [schema, data]}}
effect: {require: human, within: 15m}
---
policy: ask-for-long
doc: Ask.
match: {risk: {gte: high}, target: {in: [web1, local]}}
effect: {require: human}
---
policy: never
doc: Never.
match: {}
effect: deny
---
policy: fine
doc: Fine.
match: {action: restart-unit, service: shop}
effect: allow
---
policy: rate
doc: Rate.
match: {service: shop}
limit: {per: [action, target], max: 3, within: 1h}
replaces: builtin-rate
---
policy: one
doc: One.
blast-radius: {of: service, at_once: 1}
---
policy: some
doc: Some.
blast-radius: {of: group, percent: 20}
replaces: builtin-blast-radius
"""
RULE = """
rule: {name}
doc: An example.
when: {{probe: {{event: http.probe}}}}
incident: {{type: {type}, severity: critical, title: down}}
clears: {{after: 1h}}
"""


def test_policies_are_built(snapshot: Load) -> None:
    everything = AllOf(())

    assert snapshot(policies=POLICIES).policies == {
        "service-down-envelope": Envelope(
            "service-down-envelope",
            "What may happen when a service is down.",
            "service-down",
            Risk.MEDIUM,
            frozenset({Touches.AVAILABILITY, Touches.ACCESS}),
            0.8,
        ),
        "ask": EffectPolicy(
            "ask", "Ask.", Compare("touches", Op.IN, ("schema", "data"), Over.ANY), Effect.HUMAN, 15 * MINUTE
        ),
        "ask-for-long": EffectPolicy(
            "ask-for-long",
            "Ask.",
            AllOf((Compare("risk", Op.GTE, "high"), Compare("target", Op.IN, ("web1", "local")))),
            Effect.HUMAN,
        ),
        "never": EffectPolicy("never", "Never.", everything, Effect.DENY),
        "fine": EffectPolicy(
            "fine",
            "Fine.",
            AllOf((Compare("action", Op.EQ, "restart-unit"), Compare("service", Op.EQ, "shop"))),
            Effect.ALLOW,
        ),
        "rate": Limit(
            "rate", "Rate.", Compare("service", Op.EQ, "shop"), ("action", "target"), 3, HOUR, "builtin-rate"
        ),
        "one": BlastRadius("one", "One.", everything, BlastOf.SERVICE, at_once=1),
        "some": BlastRadius(
            "some", "Some.", everything, BlastOf.GROUP, percent=20, replaces="builtin-blast-radius"
        ),
    }


def test_every_rule_without_an_envelope_is_named(problems: Problems) -> None:
    lines = problems(
        RULE.format(name="a", type="x"),
        RULE.format(name="b", type="service-dwn"),
        RULE.format(name="c", type="service-down"),
    )

    assert [line.split(":", 1)[0] for line in lines] == ["rules/document0.yaml", "rules/document1.yaml"]
    assert "add an `envelope`" in lines[0]
    assert "did you mean service-down?" in lines[1]


def test_while_a_policy_is_wrong_no_envelope_is_called_missing(problems: Problems) -> None:
    (line,) = problems(
        RULE.format(name="a", type="x"), policies="policy: x\ndoc: y\nenvelope: {incident_type: x}\n"
    )

    assert "`allow` is missing" in line


def test_a_policy_may_speak_of_a_rule_that_exists(snapshot: Load, problems: Problems) -> None:
    policies = POLICIES.replace("match: {}", "match: {rule: a, incident_type: whatever}")

    assert snapshot(RULE.format(name="a", type="service-down"), policies=policies).policies
    assert (
        "`a` is no rule (did you mean"
        not in problems(RULE.format(name="b", type="service-down"), policies=policies)[0]
    )
    assert "`a` is no rule" in problems(RULE.format(name="b", type="service-down"), policies=policies)[0]
