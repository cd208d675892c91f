from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.match.explain import Role, explain, render, shown, span
from holdfast.model.conditions import AllOf, Compare, Op
from holdfast.model.events import Event
from holdfast.model.rules import Guard, GuardEffect, Pattern, Rule
from holdfast.model.values import DAY, HOUR, MINUTE, SECOND, Json, Ref, Truth

MakeRule = Callable[..., Rule]
MakeEvent = Callable[..., Event]

FAILING = AllOf((Compare("data.ok", Op.EQ, False), Compare("data.status", Op.GTE, 500)))


@pytest.fixture
def shop_down(rule: MakeRule) -> Rule:
    joined = Compare("service", Op.SAME, Ref("probe", ("service",)))
    return rule(
        when=Pattern("shop-down/probe", "probe", "http.probe", FAILING, streak=3),
        clears=Pattern("shop-down/clears", "clears", "http.probe", Compare("data.ok", Op.EQ, True), streak=2),
        unless=(
            Guard(Pattern("shop-down/deploy", "deploy", "deploy.started", joined), 10 * MINUTE, ()),
            Guard(
                Pattern("shop-down/quiet", "quiet", "quiet.hours", AllOf(())), HOUR, (), GuardEffect.SILENCE
            ),
        ),
    )


def test_every_condition_is_shown_with_its_answer_and_the_value_seen(
    shop_down: Rule, event: MakeEvent
) -> None:
    lines = render(explain([shop_down], event("http.probe", {"ok": False})))

    assert lines == [
        "rule shop-down, mode auto (rules/shop.yaml:3)",
        "  when probe: unknown, about http.probe",
        "    unknown all",
        "    true      data.ok eq false: saw false",
        "    unknown   data.status gte 500: saw nothing",
        "    takes 3 in a row from one source; 0 so far with this event, 3 more to come",
        "  unless deploy: about deploy.started, so this event does not touch it",
        "  unless quiet: about quiet.hours, so this event does not touch it",
        "  clears clears: false, about http.probe",
        "    false   data.ok eq true: saw false",
        "    takes 2 in a row from one source; 0 so far with this event, 2 more to come",
    ]


def test_an_event_of_a_guard_says_what_the_guard_would_do(shop_down: Rule, event: MakeEvent) -> None:
    [explained] = explain([shop_down], event("deploy.started"))
    guard = explained.patterns[1]

    assert (guard.role, guard.truth) == (Role.UNLESS, Truth.TRUE)
    assert guard.demand == "in the last 10m (service the same as $probe.service), then it would ask"
    assert explained.patterns[2].demand == "in the last 1h (of any origin), then it would silence"


@pytest.mark.parametrize(
    ("data", "before", "missing"),
    [
        ({"ok": False, "status": 503}, 0, 2),
        ({"ok": False, "status": 503}, 1, 1),
        ({"ok": False, "status": 503}, 2, 0),
        ({"ok": False, "status": 503}, 3, 0),
        ({"ok": False}, 2, 1),
        ({"ok": True}, 2, 3),
    ],
)
def test_what_is_still_missing_counts_what_came_before(
    shop_down: Rule, event: MakeEvent, data: dict[str, Json], before: int, missing: int
) -> None:
    [explained] = explain([shop_down], event("http.probe", data), progress={"shop-down/probe": before})
    when = explained.patterns[0]

    assert (when.needed, when.before, when.missing) == (3, before, missing)


def test_a_false_event_takes_nothing_from_a_count(rule: MakeRule, event: MakeEvent) -> None:
    pattern = Pattern("r/p", "p", "http.probe", FAILING, count=5, within=90 * SECOND, distinct="data.address")
    counted = rule("r", when=pattern)
    [explained] = explain([counted], event("http.probe", {"ok": True}), progress={"r/p": 4})
    when = explained.patterns[0]

    assert (when.truth, when.missing) == (Truth.FALSE, 1)
    assert when.demand == "5 different values of data.address within 90s"
    assert render([explained])[-1] == "  clears: clears by itself after 10m without a firing"
    enough = render(
        explain([counted], event("http.probe", {"ok": False, "status": 500}), progress={"r/p": 4})
    )
    assert "; 5 with this event, which is enough" in enough[-2]


def test_a_streak_of_one_needs_no_counting(rule: MakeRule, event: MakeEvent) -> None:
    single = rule("r", when=Pattern("r/p", "p", "http.probe", AllOf(()), streak=1))

    assert render(explain([single], event("http.probe")))[3] == "    takes 1 in a row from one source"


def test_the_explanation_is_json_in_which_a_missing_value_is_no_key(
    shop_down: Rule, event: MakeEvent
) -> None:
    explained = explain([shop_down], event("http.probe", {"ok": False}))
    [read] = msgspec.json.decode(msgspec.json.encode(explained))

    assert (read["rule"], read["where"], read["mode"]) == ("shop-down", "rules/shop.yaml:3", "auto")
    assert read["patterns"][0]["checks"][1:] == [
        {"depth": 1, "path": "data.ok", "op": "eq", "operand": False, "seen": False, "truth": "true"},
        {"depth": 1, "path": "data.status", "op": "gte", "operand": 500, "truth": "unknown"},
    ]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("shop", "'shop'"),
        ("\x1b[2Jhidden\u202e", "'\\x1b[2Jhidden\\u202e'"),
        ("x" * 500, f"'{'x' * 120}' (and 380 more characters)"),
        (None, "null"),
        (True, "true"),
        (False, "false"),
        (1.5, "1.5"),
        pytest.param(10**5000, "a number of about 5001 digits", id="huge"),
        ([1, "a", None], "[1, 'a', null]"),
        ([1] * 6, "a list of 6"),
        ([[1]], "a list of 1"),
        ({"a": 1}, "an object of 1"),
        ("\ud800", "'\\ud800'"),
    ],
)
def test_a_value_is_shown_in_one_short_line(value: Json, expected: str) -> None:
    assert shown(value) == expected


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists))
def test_whatever_an_event_holds_is_shown_without_control_characters(value: Json) -> None:
    line = shown(value)

    assert line.isprintable()
    assert len(line) < 10_000


@pytest.mark.parametrize(
    ("millis", "expected"),
    [
        (0, "0ms"),
        (1, "1ms"),
        (90 * SECOND, "90s"),
        (10 * MINUTE, "10m"),
        (2 * HOUR, "2h"),
        (3 * DAY, "3d"),
        (1500, "1500ms"),
    ],
)
def test_spans_are_written_as_in_rules(millis: int, expected: str) -> None:
    assert span(millis) == expected
