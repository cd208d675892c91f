from __future__ import annotations

from typing import Any

import msgspec
import pytest
from cases import CONDITIONS, ODD, PLAINS, SCALARS, answers, facts_of, rules, said
from hypothesis import given
from hypothesis import strategies as st

from holdfast.conditions import evaluate
from holdfast.match.durable.branches import MAX_TEXT, Kind
from holdfast.match.durable.facts import ID, Asked, Projection
from holdfast.match.durable.program import MAX_FIELDS, TYPE, compile_rules
from holdfast.match.native import NativeEngine
from holdfast.model.conditions import Compare, Condition, Op
from holdfast.model.values import Fact, Json, Truth

MANY = st.lists(CONDITIONS, min_size=1, max_size=6)


def asked(conditions: list[Condition], fact: Fact) -> list[tuple[Projection, Asked]]:
    made = rules(conditions)
    native = NativeEngine(made)
    units = [Projection(unit, native.test) for unit in compile_rules(made).units]
    return [(unit, unit.ask(fact)) for unit in units]


def shown(conditions: list[Condition], fact: Fact) -> dict[str, Any]:
    """The fact of the only unit, without what every fact has."""
    [(_, one)] = asked(conditions, fact)
    found: dict[str, Any] = msgspec.json.decode(one.text)
    assert found.pop("id") == ID
    assert found.pop(TYPE) == "lab.x"
    return found


@given(MANY, facts_of(SCALARS))
def test_the_rules_of_a_fact_say_exactly_what_evaluate_says(
    conditions: list[Condition], fact: dict[str, Any]
) -> None:
    program = compile_rules(rules(conditions))
    told = {
        answer
        for _, one in asked(conditions, fact)
        for answer in answers(program, one.ruleset, msgspec.json.decode(one.text))
    }

    for number, condition in enumerate(conditions):
        assert said(told, f"r{number}/e") is evaluate(condition, fact)


DEEP: st.SearchStrategy[Json] = st.recursive(
    SCALARS | st.text(max_size=4) | st.floats() | st.integers(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@given(MANY, facts_of(DEEP))
def test_a_fact_is_flat_short_and_plain_whatever_was_sent(
    conditions: list[Condition], fact: dict[str, Any]
) -> None:
    for _, one in asked(conditions, fact):
        found = msgspec.json.decode(one.text)
        assert len(found) <= MAX_FIELDS
        for name, value in found.items():
            assert name in {"id", TYPE} or (name[0] in "xtsnbrqo" and name[1:].isdecimal()), name
            assert type(value) in (int, float, str)
            if isinstance(value, str):
                assert len(value) <= MAX_TEXT
                assert value.isprintable() or " " in value or not value.isascii()
                assert not set(value) & {'"', "\\"}
            else:
                assert abs(value) <= 2**53
        numbers = one.text.replace('"', " ").replace(",", " ").replace("}", " ").split(":")
        assert not any(part.strip()[:1].isdigit() and "e" in part.split()[0] for part in numbers[1:])


@pytest.mark.parametrize(
    ("value", "kinds"),
    [
        ("x", {"x0": 1, "t0": "s", "s0": "x"}),
        (5, {"x0": 1, "t0": "n", "n0": 5}),
        (0.5, {"x0": 1, "t0": "n", "n0": 0.5}),
        (True, {"x0": 1, "t0": "b", "b0": 1}),
        (False, {"x0": 1, "t0": "b", "b0": 0}),
        (None, {"x0": 1, "t0": "z"}),
        ([1], {"x0": 1, "t0": "o"}),
        ({"a": 1}, {"x0": 1, "t0": "o"}),
    ],
)
def test_a_value_is_shown_in_every_view_that_is_tested(value: Json, kinds: dict[str, Any]) -> None:
    wanted = [Compare("data.a", Op.EQ, operand) for operand in ("x", 5, True)]

    found = shown([*wanted, Compare("data.a", Op.EXISTS, True)], {"data": {"a": value}})

    assert found == kinds


def test_what_no_pattern_tests_is_not_shown() -> None:
    fact = {"data": {"a": 1, "secret": "x", "$s": 1, "sid": "7", "id": "9"}, "id": "forged"}

    assert shown([Compare("data.a", Op.GT, 0)], fact) == {"n0": 1}


def test_a_missing_field_leaves_nothing_behind() -> None:
    assert shown([Compare("data.a", Op.EQ, 1), Compare("data.b", Op.EXISTS, False)], {"data": {}}) == {}


@pytest.mark.parametrize("value", [*ODD, "x" * 2049, "x" * 70_000])
def test_a_value_that_cannot_be_shown_gives_its_answers_instead(value: Json) -> None:
    tests = [Compare("data.a", Op.EQ, "x"), Compare("data.a", Op.NE, "x"), Compare("data.a", Op.GT, 7)]

    found = shown([*tests, Compare("data.b", Op.EQ, 1)], {"data": {"a": value, "b": 1}})

    truths = [evaluate(test, {"data": {"a": value}}) for test in tests]
    forced = {
        f"o{n}": int(truth is Truth.TRUE) for n, truth in enumerate(truths) if truth is not Truth.UNKNOWN
    }
    assert found == {**forced, "t1": "n", "n1": 1}


def test_a_feature_that_is_unknown_is_left_out() -> None:
    conditions: list[Condition] = [Compare("data.a", Op.REGEX, "^a"), Compare("data.b", Op.CONTAINS, "x")]

    assert shown(conditions, {"data": {"a": "abc"}}) == {"q0": 1}
    assert shown(conditions, {"data": {"a": "xyz", "b": "x"}}) == {"q0": 0, "q1": 1}


def test_a_rank_is_shown_as_its_place() -> None:
    assert shown([Compare("severity", Op.GTE, "error")], {"severity": "critical"}) == {f"{Kind.RANK}0": 3}
    assert shown([Compare("severity", Op.GTE, "error")], {"severity": "CRITICAL"}) == {}


@given(PLAINS)
def test_what_is_shown_reads_back_as_it_was(value: Json) -> None:
    found = shown([Compare("data.a", Op.EQ, operand) for operand in ("x", 5, True)], {"data": {"a": value}})

    if isinstance(value, str):
        assert found["s0"] == value
    elif isinstance(value, int | float):
        assert found.get("n0", found.get("b0")) == value
