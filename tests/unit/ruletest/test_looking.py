from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.ruletest.conftest import (
    ACTIONS,
    ASKS,
    DOWN,
    ORDER,
    ORDERS,
    POLICIES,
    SHOP,
    SITE,
    SUGGESTS,
    UP,
    Staged,
    played,
)

from holdfast.model.policies import Effect
from holdfast.model.records import IncidentState, RunState
from holdfast.model.ruletests import Expect, ExpectedIncident, ExpectedQuestion, ExpectedRun
from holdfast.model.values import Severity
from holdfast.ruletest.looking import differences, standing

INCIDENT = ExpectedIncident(
    "service-down", IncidentState.OPEN, Severity.CRITICAL, "shop", "shop-probe", "shop fails (500)"
)
RUN = ExpectedRun("restart-unit", ("web1",), Effect.ALLOW, "service-down-envelope", RunState.VERIFYING)
QUESTION = ExpectedQuestion("Roll shop back?", ("roll-back", "wait"))
THERE = Expect(("shop-down",), (INCIDENT,), (RUN,), (QUESTION,), ("page-up",))


def said(wanted: Expect, there: Expect = THERE) -> list[str]:
    return [f"{path}: {message}" for path, message in differences(wanted, there)]


def test_an_empty_store_stands_empty(staged: Staged) -> None:
    assert staged().look(standing) == Expect((), (), (), (), ())


def test_everything_that_can_be_expected_is_looked_up() -> None:
    wanted = """- wait: 90s
- expect:
    fired: [orders-fail, shop-down]
    incidents:
      - {type: orders-failing, state: open, severity: error, subject: ana, title: "ana: no"}
      - {type: service-down, state: open, severity: critical, service: shop, subject: shop-probe}
    runs:
      - {do: page-up, at: [web2], verdict: allow, by: orders-envelope, state: verified}
      - {do: restart-unit, at: [web1], verdict: allow, by: service-down-envelope, state: ineffective}
    asks: [{question: "Roll shop back?", choices: [roll-back, wait]}]
    holds: [page-up]
"""

    assert played(ORDER + DOWN + wanted) == []


def test_what_is_not_named_is_not_looked_at() -> None:
    assert said(Expect()) == []
    assert said(Expect(incidents=(ExpectedIncident(),), runs=(ExpectedRun(),))) == []
    assert said(Expect(asks=(ExpectedQuestion(),))) == []


def test_what_is_as_expected_is_no_difference() -> None:
    assert said(THERE) == []


def test_the_order_of_rules_that_fired_does_not_matter() -> None:
    assert said(Expect(fired=("b", "a")), Expect(fired=("a", "b"))) == []


def test_rules_that_fired_are_named_beside_those_expected() -> None:
    assert said(Expect(fired=())) == ["fired: shop-down fired (expected none)"]
    assert said(Expect(fired=("x", "y"))) == ["fired: shop-down fired (expected x, y)"]
    assert said(Expect(fired=("x",)), Expect()) == ["fired: no rule fired (expected x)"]


def test_what_is_held_is_named_in_its_order() -> None:
    assert said(Expect(holds=())) == ["holds: page-up is held (expected nothing)"]
    assert said(Expect(holds=("a", "b")), Expect(holds=("b", "a"))) == ["holds: b, a is held (expected a, b)"]
    assert said(Expect(holds=("a",)), Expect(holds=())) == ["holds: nothing is held (expected a)"]


@pytest.mark.parametrize(
    ("name", "found", "wanted"),
    [
        ("type", "service-down", "x"),
        ("state", "open", IncidentState.CLEARED),
        ("severity", "critical", Severity.INFO),
        ("service", "shop", "x"),
        ("subject", "shop-probe", "x"),
        ("title", "shop fails (500)", "x"),
    ],
)
def test_each_key_of_an_incident_is_compared(name: str, found: str, wanted: str) -> None:
    expected = ExpectedIncident(**{name: wanted})  # type: ignore[arg-type]

    assert said(Expect(incidents=(expected,))) == [
        f"incidents[0].{name}: it is `{found}` (expected `{wanted}`)"
    ]


@pytest.mark.parametrize(
    ("expected", "line"),
    [
        (ExpectedRun(do="x"), "do: it is `restart-unit` (expected `x`)"),
        (ExpectedRun(at=("web2", "web1")), "at: it is [web1] (expected [web2, web1])"),
        (ExpectedRun(at=()), "at: it is [web1] (expected [])"),
        (ExpectedRun(verdict=Effect.DENY), "verdict: it is `allow` (expected `deny`)"),
        (ExpectedRun(by="x"), "by: it is `service-down-envelope` (expected `x`)"),
        (ExpectedRun(state=RunState.FAILED), "state: it is `verifying` (expected `failed`)"),
    ],
)
def test_each_key_of_a_run_is_compared(expected: ExpectedRun, line: str) -> None:
    assert said(Expect(runs=(expected,))) == [f"runs[0].{line}"]


def test_each_key_of_a_question_is_compared() -> None:
    wanted = ExpectedQuestion("Well?", ("wait",))

    assert said(Expect(asks=(wanted,))) == [
        "asks[0].question: it is `Roll shop back?` (expected `Well?`)",
        "asks[0].choices: it is [roll-back, wait] (expected [wait])",
    ]


def test_what_is_not_there_is_called_so() -> None:
    there = Expect(incidents=(replace(INCIDENT, service=None),))

    assert said(Expect(incidents=(INCIDENT,)), there) == [
        "incidents[0].service: it is not there (expected `shop`)"
    ]


def test_everything_that_differs_is_told_with_its_place() -> None:
    there = Expect(incidents=(INCIDENT, INCIDENT), holds=())
    wanted = Expect(incidents=(INCIDENT, ExpectedIncident(type="a", title="b")), holds=("c",))

    assert [path for path, _ in differences(wanted, there)] == [
        "incidents[1].type",
        "incidents[1].title",
        "holds",
    ]


def test_a_list_of_another_length_is_shown_once_and_whole() -> None:
    shown = "do `restart-unit`, at [web1], verdict `allow`, by `service-down-envelope`, state `verifying`"

    assert said(Expect(runs=())) == [f"runs: there is 1 run ({shown}) (expected 0)"]
    assert said(Expect(incidents=(INCIDENT,)), Expect(incidents=())) == [
        "incidents: there are 0 incidents (expected 1)"
    ]
    assert said(Expect(asks=()), Expect(asks=(ExpectedQuestion("A?"), ExpectedQuestion("B?")))) == [
        "asks: there are 2 open questions (question `A?`; question `B?`) (expected 0)"
    ]


def test_of_a_long_list_the_first_are_shown() -> None:
    five = tuple(ExpectedRun(do=f"a{number}") for number in range(5))
    shown = "; ".join(f"do `a{number}`" for number in range(5))

    assert said(Expect(runs=()), Expect(runs=five)) == [f"runs: there are 5 runs ({shown}) (expected 0)"]
    assert said(Expect(runs=()), Expect(runs=(*five, *five))) == [
        f"runs: there are 10 runs ({shown}; and 5 more) (expected 0)"
    ]


def test_what_happens_in_one_millisecond_stays_in_order() -> None:
    names = "abcdefghijkl"
    orders = "".join(ORDER.replace("ana", name) for name in names)
    incidents = ", ".join(f"{{subject: {name}}}" for name in names)
    questions = ", ".join(f'{{question: "Well, {name}?"}}' for name in names)

    assert played(f"{orders}- expect: {{incidents: [{incidents}]}}\n") == []
    assert played(f"{orders}- expect: {{incidents: [{incidents}]}}\n", orders=SUGGESTS) == []
    assert played(f"{orders}- expect: {{asks: [{questions}]}}\n", orders=ASKS) == []


def test_runs_and_holds_of_one_millisecond_stay_in_order() -> None:
    names = "abcdefgh"
    actions, contain = ACTIONS, "contain:\n"
    for name in names:
        actions += f"""---
action: up-{name}
doc: Up.
ssh: {{argv: [page, {name}]}}
params: {{}}
verify: none
undo: {{do: page-down}}
touches: [customers-see]
risk: low
"""
    for name in reversed(names):
        contain += f"  - {{do: up-{name}, at: web2, hold: until-clear}}\n"
    listed = [f"up-{name}" for name in reversed(names)]
    policies = (
        f"{POLICIES}---\npolicy: wide\ndoc: All at once.\nmatch: {{}}\n"
        "blast-radius: {of: service, at_once: 100}\nreplaces: builtin-one-target\n"
    )
    orders = ORDERS.partition("contain:")[0] + contain
    runs = ", ".join(f"{{do: {name}}}" for name in listed)
    wanted = f"- expect: {{runs: [{runs}], holds: [{', '.join(listed)}]}}\n"

    assert played(ORDER + wanted, orders=orders, actions=actions, policies=policies) == []


TOO = f"""{ACTIONS}---
action: page-up-too
doc: Show another page.
ssh: {{argv: [page, up]}}
params: {{}}
verify: none
undo: {{do: page-down}}
touches: [availability]
risk: low
"""
HOLDING = SHOP.replace(
    "do: restart-unit, at: $service.hosts, with: {unit: $service.unit}",
    "do: page-up-too, at: web1, hold: until-clear",
)
PROBED = "- event: {source: shop-probe, data: {ok: false, status: 500}}\n" * 3


def test_runs_and_holds_of_several_incidents_stay_in_order() -> None:
    orders = "".join(ORDER.replace("ana", name) for name in ("ana", "bob", "cleo"))
    names = "[page-up, page-up, page-up, page-up-too]"
    runs = "{do: page-up}, {do: page-up}, {do: page-up}, {do: page-up-too}"
    script = f"{orders}{PROBED}- expect: {{runs: [{runs}], holds: {names}}}\n"

    assert played(script, shop=HOLDING, actions=TOO) == []


def test_what_is_held_later_stands_later_whenever_it_was_proposed() -> None:
    script = f"""{ORDER}- wait: 1s
{PROBED}- wait: 1s
- answer: approve
- expect: {{runs: [{{do: page-up}}, {{do: page-up-too}}], holds: [page-up-too, page-up]}}
"""

    assert played(script, shop=HOLDING, actions=TOO, orders=SUGGESTS) == []


def test_each_run_of_an_incident_has_its_own_verdict() -> None:
    script = f"""- event: {{source: deploys}}
{DOWN}- answer: deny
- answer: roll-back
- expect: {{runs: [{{verdict: human, by: builtin-guard}}, {{do: roll-back, verdict: allow}}]}}
"""

    assert played(script) == []


def test_the_last_verdict_about_a_run_counts() -> None:
    policies = f"""{POLICIES}---
policy: retries-ask
doc: Once is enough.
match: {{origin: retry}}
effect: {{require: human}}
"""
    script = f"""{DOWN}- expect: {{runs: [{{verdict: allow, by: service-down-envelope, state: running}}]}}
- wait: 2s
- expect: {{runs: [{{verdict: human, by: retries-ask, state: asking}}]}}
"""

    assert played(script, "restart-unit: fails", policies=policies) == []


def test_a_run_that_was_approved_keeps_the_verdict_that_asked() -> None:
    script = f"""- event: {{source: deploys}}
{DOWN}- expect: {{runs: [{{verdict: human, by: builtin-guard, state: asking}}]}}
- answer: approve
- expect: {{runs: [{{verdict: human, by: builtin-guard, state: verifying}}]}}
"""

    assert played(script) == []


def test_a_run_of_several_steps_on_a_host_has_that_host_once() -> None:
    twice = f"""{ACTIONS}---
playbook: page-up-twice
doc: Twice.
steps: [{{do: page-up}}, {{do: page-up}}, {{do: page-up, at: web1}}]
"""
    orders = ORDERS.replace("do: page-up", "do: page-up-twice").replace(", hold: until-clear", "")
    wanted = "- expect: {runs: [{do: page-up-twice, at: [web2, web1]}]}\n"

    assert played(ORDER + wanted, orders=orders, actions=twice) == []


def test_a_service_with_two_hosts_is_acted_on_at_both() -> None:
    site = SITE.replace("shop: {hosts: [web1]", "shop: {hosts: [web2, web1]")
    wide = f"""{POLICIES}---
policy: wide
doc: Both at once.
match: {{}}
blast-radius: {{of: service, at_once: 2}}
replaces: builtin-one-target
"""

    assert played(f"{DOWN}- expect: {{runs: [{{at: [web2, web1]}}]}}\n", site=site, policies=wide) == []


def test_what_cleared_and_what_closed_is_still_listed() -> None:
    closing = SHOP.replace("severity: critical,", "severity: critical, reopen: 1m,")
    script = f"""{DOWN}{UP}- expect: {{incidents: [{{state: cleared}}], runs: [{{state: verifying}}]}}
- wait: 10m
- expect: {{incidents: [{{state: closed}}], runs: [{{state: verified}}], fired: [shop-down]}}
"""

    assert played(script, shop=closing) == []
