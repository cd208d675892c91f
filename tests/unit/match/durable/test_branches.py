from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import pytest
from cases import CONDITIONS, ODD, PLAIN, PLAINS, SCALARS, facts_of
from hypothesis import example, given
from hypothesis import strategies as st

from holdfast.conditions import MISSING, RANKS, evaluate, lookup
from holdfast.match.durable.branches import (
    MAX_ALTERNATIVES,
    MAX_TESTS,
    MEANS,
    Alternative,
    Branches,
    Feature,
    Field,
    Is,
    Kind,
    Subject,
    TypeOf,
    branches,
    is_plain,
    type_of,
)
from holdfast.model.conditions import AllOf, AnyOf, Compare, Condition, Not, Op
from holdfast.model.values import Fact, Json, Ref, Truth

A = Compare("data.a", Op.EQ, "x")


def view(subject: Subject, fact: Fact) -> object:
    """What a field of a fact holds, written down once more; None where there is no such field."""
    if isinstance(subject, Feature):
        truth = evaluate(subject.condition, fact)
        return None if truth is Truth.UNKNOWN else int(truth is Truth.TRUE)
    value = lookup(fact, subject.path)
    if value is MISSING:
        return None
    if subject.kind is Kind.SET:
        return 1
    if subject.kind is Kind.RANK:
        return RANKS[subject.path].get(value) if isinstance(value, str) else None
    if not is_plain(value):
        return None
    if subject.kind is Kind.TYPE:
        return str(type_of(value))
    wanted = {Kind.TEXT: (str,), Kind.NUMBER: (int, float), Kind.BOOL: (bool,)}[subject.kind]
    return value if isinstance(value, wanted) and isinstance(value, bool) is (bool in wanted) else None


def holds(alternatives: tuple[Alternative, ...], fact: Fact) -> bool:
    return any(
        all(MEANS[test.how](view(test.subject, fact), test.literal) for test in tests)
        for tests in alternatives
    )


def answer(found: Branches, fact: Fact) -> Truth:
    true, false = holds(found.true, fact), holds(found.false, fact)
    assert not (true and false), "both"
    return Truth.TRUE if true else Truth.FALSE if false else Truth.UNKNOWN


@given(CONDITIONS, facts_of(PLAINS))
@example(Compare("data.a", Op.EXISTS, False), {})
@example(Not(AnyOf((Compare("data.a", Op.NIN, ("a", 1, None)), A))), {"data": {"a": 1}})
def test_the_alternatives_answer_what_evaluate_answers(condition: Condition, fact: dict[str, Any]) -> None:
    assert answer(branches(condition), fact) is evaluate(condition, fact)


@given(CONDITIONS, facts_of(SCALARS))
def test_with_values_that_cannot_be_shown_they_are_never_wrong(
    condition: Condition, fact: dict[str, Any]
) -> None:
    assert answer(branches(condition), fact) in {evaluate(condition, fact), Truth.UNKNOWN}


@given(CONDITIONS)
def test_the_opposite_has_the_same_alternatives_the_other_way_round(condition: Condition) -> None:
    found, opposite = branches(condition), branches(Not(condition))

    assert (len(opposite.true), len(opposite.false)) == (len(found.false), len(found.true))


LEAVES = st.builds(
    Compare,
    st.integers(0, 99).map("data.f{}".format),
    st.sampled_from([Op.EQ, Op.NE, Op.GT, Op.IN]),
    st.sampled_from(["x", 7, ("x", "y"), (1, "1", None, True, 2.5)]),
)
GROUPS: st.SearchStrategy[Condition] = st.recursive(
    LEAVES,
    lambda inner: st.tuples(st.sampled_from([AllOf, AnyOf]), st.lists(inner, min_size=2, max_size=20)).map(
        lambda made: made[0](tuple(made[1]))
    ),
    max_leaves=60,
)


@given(GROUPS)
def test_there_are_few_alternatives_and_they_are_short(condition: Condition) -> None:
    found = branches(condition)

    for side in (found.true, found.false):
        assert len(side) <= MAX_ALTERNATIVES
        assert all(len(tests) <= MAX_TESTS for tests in side)
        assert all(side), "an alternative without a test holds always: only an empty `all` may have one"


def test_a_condition_without_items_holds_always_or_never() -> None:
    assert branches(AllOf(())) == Branches(((),), ())
    assert branches(AnyOf(())) == Branches((), ((),))


def test_a_list_of_ten_thousand_values_is_one_feature() -> None:
    found = branches(Compare("data.a", Op.IN, tuple(range(10_000))))

    assert [len(found.true), len(found.false)] == [1, 1]
    assert isinstance(found.true[0][0].subject, Feature)


def test_ten_thousand_comparisons_are_one_feature_of_the_group() -> None:
    found = branches(AllOf(tuple(Compare(f"data.f{n}", Op.EQ, n) for n in range(10_000))))

    assert isinstance(found.true[0][0].subject, Feature)


@pytest.mark.parametrize("operand", [Ref("probe", ("service",)), "shop"])
def test_what_only_a_firing_would_know_is_unknown(operand: Ref | str) -> None:
    assert branches(Compare("service", Op.SAME, operand)) == Branches((), ())
    assert branches(Compare("service", Op.EQ, Ref("probe", ("service",)))) == Branches((), ())


@pytest.mark.parametrize("value", [*ODD, "x" * 2049])
def test_a_literal_that_cannot_be_written_safely_becomes_a_feature(value: Json) -> None:
    assert not is_plain(value)
    for op in (Op.EQ, Op.GT):
        found = branches(Compare("data.a", op, value))
        assert isinstance(found.true[0][0].subject, Feature), (op, value)


@pytest.mark.parametrize("value", [*PLAIN, "x" * 2048])
def test_every_other_literal_is_tested_itself(value: Json) -> None:
    found = branches(Compare("data.a", Op.EQ, value))

    assert is_plain(value)
    assert all(isinstance(test.subject, Field) for tests in found.true + found.false for test in tests)


@given(st.floats() | st.integers())
def test_a_number_that_is_shown_is_exact_and_has_no_exponent(value: float) -> None:
    if is_plain(value):
        assert abs(value) <= 2**53
        assert isinstance(value, int) or "e" not in repr(value)


def test_each_type_of_json_has_its_letter_and_no_two_share_one() -> None:
    values: list[Json] = ["", 1, 1.5, True, None, [], {}]

    assert [str(type_of(value)) for value in values] == ["s", "n", "n", "b", "z", "o", "o"]
    assert len(set(TypeOf)) == 5
    assert len(set(Kind)) == len({str(kind) for kind in Kind})


@pytest.mark.parametrize(
    ("how", "holds"),
    [
        (Is.EQ, operator.eq),
        (Is.NE, operator.ne),
        (Is.LT, operator.lt),
        (Is.LTE, operator.le),
        (Is.GT, operator.gt),
        (Is.GTE, operator.ge),
    ],
)
def test_each_test_means_what_its_sign_says_and_fails_without_a_value(
    how: Is, holds: Callable[[object, object], bool]
) -> None:
    for value in (1, 2, 3):
        assert MEANS[how](value, 2) is holds(value, 2)
    assert MEANS[how](None, 2) is False


def test_only_absence_holds_for_a_field_that_is_not_there() -> None:
    assert MEANS[Is.UNSET](None, 1)
    assert not MEANS[Is.UNSET](1, 1)


def test_a_condition_that_is_nested_too_deep_is_unknown_however_it_is_cut_up() -> None:
    condition: Condition = Compare("data.a", Op.CONTAINS, "x")
    seen = set()
    for _ in range(110):
        condition = Not(condition)
        for fact in ({"data": {"a": "x"}}, {"data": {"a": "y"}}):
            seen.add(answer(branches(condition), fact))
            assert answer(branches(condition), fact) is evaluate(condition, fact)

    assert seen == set(Truth)


def test_twenty_thousand_levels_do_not_raise() -> None:
    condition: Condition = A
    for _ in range(20_000):
        condition = Not(condition)

    assert branches(condition) == Branches((), ())
