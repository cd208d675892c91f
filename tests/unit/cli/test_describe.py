from __future__ import annotations

import pytest

from holdfast.cli import describe
from holdfast.model.conditions import AllOf, AnyOf, Compare, Condition, Not, Op, Over
from holdfast.model.rules import Ask, Do, Guard, Hold, HoldKind, IncidentSpec, Mode, Pattern, Quiet, Rule
from holdfast.model.values import HOUR, MINUTE, Ref, Severity, Text

OK = Compare("data.ok", Op.EQ, False)
SLOW = Compare("data.ms", Op.GT, 500)


def pattern(where: Condition = OK, **how_often: object) -> Pattern:
    return Pattern("rule/a", "a", "http.probe", where, **how_often)  # type: ignore[arg-type]


def rule(**changes: object) -> Rule:
    spec = IncidentSpec("down", Severity.ERROR, Text(("down",)))
    values: dict[str, object] = {
        "name": "r",
        "doc": "d",
        "mode": Mode.AUTO,
        "when": pattern(),
        "incident": spec,
        "clears": Quiet(HOUR),
    }
    return Rule(**(values | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("item", "said"),
    [
        (pattern(), "http.probe where data.ok is false"),
        (pattern(AllOf(())), "http.probe"),
        (pattern(streak=3), "http.probe where data.ok is false, 3 in a row"),
        (pattern(count=5, within=MINUTE), "http.probe where data.ok is false, 5 times within 1m"),
        (
            pattern(count=2, within=HOUR, distinct="host"),
            "http.probe where data.ok is false, 2 different host within 1h",
        ),
    ],
)
def test_a_pattern_says_what_and_how_often(item: Pattern, said: str) -> None:
    assert describe.pattern(item) == said


@pytest.mark.parametrize(
    ("item", "said"),
    [
        (AllOf((OK, SLOW)), "data.ok is false and data.ms gt 500"),
        (AnyOf((AllOf((OK, SLOW)), SLOW)), "(data.ok is false and data.ms gt 500) or data.ms gt 500"),
        (AllOf((AnyOf((OK, SLOW)), SLOW)), "(data.ok is false or data.ms gt 500) and data.ms gt 500"),
        (Not(AllOf((OK, SLOW))), "not (data.ok is false and data.ms gt 500)"),
        (AnyOf(()), "never"),
        (Not(AllOf(())), "not always"),
        (Compare("data.tags", Op.EQ, "x", Over.ANY), "any of data.tags is 'x'"),
        (Compare("data.name", Op.IN, ("a", "b"), fold=True), "data.name in ['a', 'b'] (any case)"),
        (Compare("service", Op.SAME, Ref("a", ("service",))), "service same $a.service"),
    ],
)
def test_a_condition_keeps_its_meaning_in_words(item: Condition, said: str) -> None:
    assert describe.condition(item) == said


def test_a_guard_says_how_far_it_looks_back_and_what_it_does() -> None:
    guard = Guard(pattern(AllOf(())), 10 * MINUTE, (("service", Ref("a", ("service",))),))

    assert (
        describe.unless(guard)
        == "http.probe in the last 10m, service the same as $a.service: then it would ask"
    )


def test_a_rule_without_a_clearing_event_clears_by_itself() -> None:
    assert describe.clears(rule()) == "nothing for 1h"
    assert describe.clears(rule(clears=pattern(streak=2))) == "http.probe where data.ok is false, 2 in a row"


def test_what_a_rule_does_comes_in_its_order() -> None:
    contain = Do(
        "restart",
        Ref("service", ("hosts",)),
        {"unit": Ref("service", ("unit",)), "n": 2},
        Hold(HoldKind.DURATION, HOUR),
    )
    question = Ask(
        Text(("Roll back?",)),
        {"yes": Do("roll-back"), "no": None},
        "no",
        HOUR,
        Compare("firing", Op.EQ, True),
    )

    assert describe.does(
        rule(contain=(contain,), then=(question, Do("tell", hold=Hold(HoldKind.UNTIL_CLEAR))))
    ) == (
        "contain: restart (unit=$service.unit, n=2) at $service.hosts, held for 1h",
        "then: ask if firing is true: Roll back? yes (roll-back), no; silence for 1h is no",
        "then: tell, held until-clear",
    )


def test_a_rule_that_does_nothing_records() -> None:
    assert describe.does(rule()) == ("records only",)
