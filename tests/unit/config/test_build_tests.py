from __future__ import annotations

import pytest
from tests.unit.config.conftest import BASE, Load

from holdfast.config.load import load_files
from holdfast.errors import ConfigError
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
from holdfast.model.snapshot import Snapshot
from holdfast.model.values import DAY, MINUTE, SECOND, Millis, Severity

RULE = """
rule: shop-down
doc: An example.
mode: auto
when:
  probe: {event: http.probe, where: {data.ok: false}, streak: 3}
incident: {type: service-down, severity: critical, title: down}
clears: {event: http.probe, where: {data.ok: true}, streak: 3}
contain:
  - {do: restart-unit, at: web1, with: {unit: shop.service}}
"""
FOREIGN = "foreign: {kind: webhook, map: {type: $.type, service: $.service, host: $.host}}"
EVERYTHING = (
    "event: {source: foreign, type: a.b, severity: info, subject: s, service: shop, host: web1, "
    "data: {ok: true, x: {y: 1.5}}, ago: 2m}"
)


def loaded(*tests: str, **files: str) -> Snapshot:
    texts = {**BASE, "rules/shop.yaml": RULE}
    texts |= {f"tests/t{number}.yaml": text for number, text in enumerate(tests)}
    texts |= {name.replace("__", "/") + ".yaml": text for name, text in files.items()}
    return load_files({name: text.encode() for name, text in texts.items()}, "c1")


def problems(*tests: str, **files: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        loaded(*tests, **files)
    return [str(problem) for problem in caught.value.problems]


def script(*steps: str) -> str:
    lines = "".join(f"  - {step}\n" for step in steps)
    return f"test: example\ndoc: An example.\nscript:\n{lines}"


def test_a_config_needs_no_tests(snapshot: Load) -> None:
    assert snapshot().tests == {}


def test_a_test_says_where_it_and_each_of_its_steps_stands() -> None:
    text = """# why
test: a
doc: An example.
script:
  - wait: 5m
---
test: b
doc: Another.
commands: {restart-unit: fails, page-up: unknown}
script:

  - answer: roll-back
  -
    expect: {fired: []}
"""

    assert loaded(text).tests == {
        "a": RuleTest(
            "a", "An example.", "tests/t0.yaml", "tests/t0.yaml:2", (Step(Wait(5 * MINUTE), 5, 5),)
        ),
        "b": RuleTest(
            "b",
            "Another.",
            "tests/t0.yaml",
            "tests/t0.yaml:7",
            (Step(Answer("roll-back"), 12, 5), Step(Expect(fired=()), 14, 5)),
            {"restart-unit": Ends.FAILS, "page-up": Ends.UNKNOWN},
        ),
    }


@pytest.mark.parametrize(
    ("step", "send"),
    [
        ("event: {source: shop-probe}", Send("shop-probe", every=2 * SECOND)),
        ("event: {source: anything}", Send("anything", every=SECOND)),
        ("{event: {source: anything}, times: 3}", Send("anything", times=3, every=SECOND)),
        ("{event: {source: shop-probe}, times: 3}", Send("shop-probe", times=3, every=2 * SECOND)),
        ("{event: {source: shop-probe}, times: 3, every: 5m}", Send("shop-probe", times=3, every=5 * MINUTE)),
        (
            "event: {source: anything, payload: {type: x, data: {a: [1, null]}}}",
            Send("anything", payload={"type": "x", "data": {"a": [1, None]}}, every=SECOND),
        ),
        ("event: {source: anything, payload: {}}", Send("anything", payload={}, every=SECOND)),
        (
            EVERYTHING,
            Send(
                "foreign",
                type="a.b",
                severity=Severity.INFO,
                subject="s",
                service="shop",
                host="web1",
                data={"ok": True, "x": {"y": 1.5}},
                ago=2 * MINUTE,
                every=SECOND,
            ),
        ),
    ],
)
def test_an_event_is_built_with_what_is_said_and_no_more(step: str, send: Send) -> None:
    site = BASE["holdfast.yaml"].replace("sources:\n", f"sources:\n  {FOREIGN}\n")

    assert [one.deed for one in loaded(script(step), holdfast=site).tests["example"].script] == [send]


def test_everything_that_can_be_expected_is_built() -> None:
    text = script(
        "expect: {fired: [shop-down], holds: [page-up], asks: [{question: Well, choices: [b, a]}], "
        "incidents: [{type: x, state: cleared, severity: info, service: shop, subject: s, title: t}], "
        "runs: [{do: undo page-up, at: [web2, local], verdict: deny, by: builtin-rate, state: expired}]}"
    )

    assert loaded(text).tests["example"].script[0].deed == Expect(
        fired=("shop-down",),
        incidents=(ExpectedIncident("x", IncidentState.CLEARED, Severity.INFO, "shop", "s", "t"),),
        runs=(ExpectedRun("undo page-up", ("web2", "local"), Effect.DENY, "builtin-rate", RunState.EXPIRED),),
        asks=(ExpectedQuestion("Well", ("b", "a")),),
        holds=("page-up",),
    )


def test_an_empty_list_expects_nothing_and_a_missing_one_does_not_look() -> None:
    text = script("expect: {fired: []}", "expect: {incidents: [], runs: [], asks: [], holds: []}")

    assert [step.deed for step in loaded(text).tests["example"].script] == [
        Expect(fired=()),
        Expect(incidents=(), runs=(), asks=(), holds=()),
    ]


@pytest.mark.parametrize(
    ("step", "span"),
    [("wait: 30d", 30 * DAY), ("wait: 720h", 30 * DAY), ("wait: 1ms", 1)],
)
def test_a_wait_may_last_thirty_days(step: str, span: Millis) -> None:
    assert loaded(script(step)).tests["example"].script[0].deed == Wait(span)


def test_a_wait_may_last_no_second_more() -> None:
    assert problems(script("wait: 2592001s")) == [
        "tests/t0.yaml:4:11: script[0].wait: this is too long (at most 30d)"
    ]


def test_from_the_first_of_many_events_to_the_last_thirty_days_may_pass() -> None:
    too_long = "from the first to the last takes too long (at most 30d)"
    assert loaded(script("{event: {source: anything}, times: 31, every: 1d}"))

    assert problems(script("{event: {source: anything}, times: 32, every: 1d}")) == [
        f"tests/t0.yaml:4:40: script[0].times: {too_long}"
    ]
    assert problems(script("{event: {source: anything}, times: 2, every: 2592001s}")) == [
        f"tests/t0.yaml:4:40: script[0].times: {too_long}"
    ]


def test_a_test_sends_ten_thousand_events_at_most() -> None:
    half = "{event: {source: anything}, times: 5000}"
    assert loaded(script(half, half), script(half, half).replace("example", "another"))

    assert problems(script(half, half, "event: {source: anything}")) == [
        "tests/t0.yaml:4:3: script: the script sends 10,001 events (at most 10,000)"
    ]


def test_every_mistake_of_a_test_is_told_at_once() -> None:
    steps = (
        "event: {source: x, service: y, host: z}",
        "expect: {fired: [a], runs: [{do: b, at: [c], by: d}]}",
    )
    said = problems(script(*steps))

    assert [line.split(": ")[1] for line in said] == [
        "script[0].event.source",
        "script[0].event.service",
        "script[0].event.host",
        "script[1].expect.fired[0]",
        "script[1].expect.runs[0].do",
        "script[1].expect.runs[0].at[0]",
        "script[1].expect.runs[0].by",
    ]


def test_a_name_whose_own_document_is_wrong_is_not_called_unknown() -> None:
    broken = {
        "rules__bad": "rule: bad\ndoc: x\nmode: atuo\n---\naction: worse\ndoc: x\n",
        "policies__bad": "policy: worst\ndoc: x\neffect: nothing\n",
    }
    test = script(
        "expect: {fired: [bad], holds: [worse], runs: [{do: worse, by: worst}, {do: undo worse}]}",
    ).replace("script:", "commands: {worse: fails}\nscript:")

    assert not [line for line in problems(test, **broken) if line.startswith("tests/")]


def test_nothing_is_called_unknown_while_a_file_cannot_be_read() -> None:
    test = script("expect: {fired: [a], runs: [{do: b, by: d}], holds: [e]}")

    said = problems(test, rules__bad="rule: [")

    assert len(said) == 1
    assert said[0].startswith("rules/bad.yaml:1:")


def test_nothing_is_called_unknown_while_the_estate_cannot_be_read() -> None:
    test = script(
        "event: {source: a, service: b, host: c}", "expect: {runs: [{at: [d]}], incidents: [{service: e}]}"
    )

    said = problems(test, holdfast="format: 1\nestate: 5\nsources: 6\n")

    assert not [line for line in said if line.startswith("tests/")]


def test_a_policy_of_the_daemon_is_known_by_its_name() -> None:
    assert loaded(script("expect: {runs: [{by: builtin-target-lock}]}"))


def test_a_probe_that_is_broken_is_still_no_reason_to_doubt_a_payload() -> None:
    site = BASE["holdfast.yaml"].replace("every: 2s", "every: 2")
    said = problems(script("event: {source: shop-probe, payload: {ok: true}}"), holdfast=site)

    assert len(said) == 1
    assert said[0].startswith("holdfast.yaml:")
