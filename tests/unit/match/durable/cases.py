"""Generated conditions and facts, rules made of conditions, and what a fact says to a program."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from hypothesis import strategies as st

from holdfast.match.durable.branches import MEANS, Is
from holdfast.match.durable.program import Answer, Program
from holdfast.model.conditions import AllOf, AnyOf, Compare, Condition, Not, Op, Over
from holdfast.model.events import Event, Provenance
from holdfast.model.rules import IncidentSpec, Mode, Pattern, Quiet, Rule
from holdfast.model.values import MINUTE, Json, Ref, Severity, Text, Trust, Truth

#: Values that the engine can be shown, and those that it cannot.
PLAIN: list[Json] = [
    None, True, False, 0, 1, -1, 500, 2**53, -(2**53), 0.0, -0.0, 1.0, 0.5, 1e-4, 1.5, 123456.789, 9e14,
    "", "a", "A", "1", "500", "true", "critical", "error", "high", "naïve", "日本", "it's", "a/b",
]  # fmt: skip
ODD: list[Json] = [
    2**53 + 1, 2**63, -(2**63) - 1, 10**400, 1e-7, 9.9e-5, 1e15, 1e16, 1e22, math.nan, math.inf, -math.inf,
    'with "quotes"', "back\\slash", "tab\t", "\x00", "\x7f", "\ud800",
]  # fmt: skip
#: Long texts are made when they are drawn: strategies are shown in full where a test fails.
PLAINS = st.sampled_from(PLAIN) | st.just(2048).map("x".__mul__)
SCALARS = PLAINS | st.sampled_from(ODD) | st.just(2049).map("x".__mul__)
OPERANDS = st.one_of(
    PLAINS, SCALARS, st.lists(SCALARS, max_size=4).map(tuple), st.just(Ref("p", ("service",)))
)
PATHS = st.sampled_from(["service", "severity", "trust", "data.a", "data.b", "data.l", "data.l[0]", "x..y"])
OPS = st.sampled_from([*Op, Op.EQ, Op.NE, Op.GT, Op.LTE, Op.IN, Op.EXISTS])
OVERS = st.sampled_from([Over.VALUE] * 4 + [Over.ANY, Over.ALL])
COMPARISONS = st.builds(Compare, PATHS, OPS, OPERANDS, OVERS, st.sampled_from([False, False, False, True]))
CONDITIONS: st.SearchStrategy[Condition] = st.recursive(
    COMPARISONS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(lambda items: AllOf(tuple(items))),
        st.lists(inner, max_size=4).map(lambda items: AnyOf(tuple(items))),
        inner.map(Not),
    ),
    max_leaves=8,
)


def facts_of(values: st.SearchStrategy[Json]) -> st.SearchStrategy[dict[str, Any]]:
    """Facts of these values, and of fields that are not there."""
    data = st.fixed_dictionaries({}, optional={"a": values, "b": values, "l": st.lists(values, max_size=2)})
    fields = {"service": values, "severity": values, "trust": values, "data": data}
    return st.fixed_dictionaries({}, optional=fields)


def rules(conditions: Iterable[Condition], kind: str = "lab.x") -> list[Rule]:
    """One rule for each condition, with patterns `r0/e`, `r1/e` ..."""
    return [rule(f"r{number}", condition, kind) for number, condition in enumerate(conditions)]


def rule(name: str, condition: Condition, kind: str = "lab.x") -> Rule:
    """A rule that only watches."""
    return Rule(
        name=name,
        doc="",
        mode=Mode.OBSERVE,
        when=Pattern(f"{name}/e", "e", kind, condition),
        incident=IncidentSpec("x", Severity.ERROR, Text(("x",))),
        clears=Quiet(MINUTE),
    )


def event(
    data: dict[str, Json] | None = None,
    kind: str = "lab.x",
    number: int = 0,
    severity: Severity = Severity.INFO,
) -> Event:
    """An event."""
    provenance = Provenance("bearer", Trust.MEDIUM, "c0ffee")
    return Event(f"e{number}", "lab", kind, 1_000, 1_000, severity, "lab", provenance, data=data or {})


_HOW = {"$neq": Is.NE, "$lt": Is.LT, "$lte": Is.LTE, "$gt": Is.GT, "$gte": Is.GTE}


def read_back(text: Mapping[str, Any]) -> list[tuple[str, Is, Any]]:
    """The tests of one emitted rule, read back from the language of durable_rules."""
    found: list[tuple[str, Is, Any]] = []
    assert list(text) == ["$and"]
    for item in text["$and"]:
        [(name, operand)] = item.items()
        if name == "$nex":
            [(field, one)] = operand.items()
            assert one == 1
            found.append((field, Is.UNSET, one))
        elif name.startswith("$"):
            [(field, literal)] = operand.items()
            found.append((field, _HOW[name], literal))
        else:
            found.append((name, Is.EQ, operand))
    return found


def fired(program: Program, ruleset: int, shown: Mapping[str, Any]) -> set[int]:
    """The rules that a fact fires, as the engine should have it."""
    return {
        place
        for place, (_, text) in enumerate(program.rulesets[ruleset])
        if all(MEANS[how](shown.get(name), literal) for name, how, literal in read_back(text))
    }


def answers(program: Program, ruleset: int, shown: Mapping[str, Any]) -> set[Answer]:
    """What the rules that fire say."""
    return {program.answers[ruleset][place] for place in fired(program, ruleset, shown)}


def said(found: Iterable[Answer], key: str) -> Truth:
    """What is said about one pattern; contradictions fail."""
    truths = {answer.truth for answer in found if answer.key == key}
    assert len(truths) < 2, "both true and false"
    return truths.pop() if truths else Truth.UNKNOWN
