from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.conditions import evaluate
from holdfast.match.closures import compiled
from holdfast.model.conditions import AllOf, AnyOf, Compare, Condition, Not, Op, Over
from holdfast.model.values import Fact, Json, Ref, Truth

TRICKY: list[Json] = [
    None, True, False, 0, 1, -1, 500, 2**63, 10**400, 0.0, 1.0, 500.0, 0.5, math.nan, math.inf, -math.inf,
    "", "a", "A", "1", "500", "true", "critical", "error", "a*", "[", "\ud800",
]  # fmt: skip
CONTAINERS: list[Json] = [[], ["a"], [1], [None], {}, {"a": 1}]
SCALARS = st.sampled_from(TRICKY)
VALUES: st.SearchStrategy[Json] = SCALARS | st.lists(SCALARS, max_size=3)
PATHS = st.sampled_from(
    [
        "service",
        "severity",
        "trust",
        "data",
        "data.a",
        "data.b",
        "data.a.c",
        "data.l[0]",
        'data["a"]',
        "",
        "x..y",
    ]
)
# Half of the operands are what the closures have a way of their own for.
OPERANDS = st.one_of(SCALARS, st.lists(SCALARS, max_size=3).map(tuple), st.just(Ref("p", ("service",))))
COMPARISONS = st.builds(
    Compare,
    PATHS,
    st.sampled_from(list(Op)),
    OPERANDS,
    st.sampled_from([Over.VALUE, Over.VALUE, Over.ANY, Over.ALL]),
    st.sampled_from([False, False, True]),
)
CONDITIONS: st.SearchStrategy[Condition] = st.recursive(
    COMPARISONS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: AllOf(tuple(items))),
        st.lists(inner, max_size=3).map(lambda items: AnyOf(tuple(items))),
        inner.map(Not),
    ),
    max_leaves=5,
)
OBJECT = {"a": VALUES | st.fixed_dictionaries({"c": VALUES}), "b": VALUES, "l": st.lists(VALUES, max_size=2)}
FACTS = st.fixed_dictionaries(
    {},
    optional={
        "service": SCALARS,
        "severity": SCALARS,
        "trust": SCALARS,
        "data": st.fixed_dictionaries({}, optional=OBJECT) | VALUES,
    },
)


@given(CONDITIONS, FACTS)
def test_a_closure_answers_what_evaluate_answers(condition: Condition, fact: Fact) -> None:
    assert compiled(condition)(fact) is evaluate(condition, fact)


@pytest.mark.parametrize("over", list(Over))
@pytest.mark.parametrize("op", list(Op))
@pytest.mark.parametrize("path", ["severity", "data.v"])
def test_every_operator_on_every_pair_of_types_is_the_same_both_ways(path: str, op: Op, over: Over) -> None:
    operands = [*TRICKY, ("a", "1"), ("a", 1), (), (None, True)]
    facts: list[Fact] = [{"severity": value, "data": {"v": value}} for value in [*TRICKY, *CONTAINERS]]
    facts += [{}, {"data": {}}]
    for operand in operands:
        for fold in (False, True):
            condition = Compare(path, op, operand, over, fold)
            closure = compiled(condition)
            for fact in facts:
                assert closure(fact) is evaluate(condition, fact), (condition, fact)


def test_a_condition_that_is_nested_too_deep_is_unknown_and_does_not_raise() -> None:
    condition: Condition = Compare("v", Op.EQ, 1)
    for _ in range(20_000):
        condition = Not(condition)

    assert compiled(condition)({"v": 1}) is Truth.UNKNOWN


def test_the_deepest_condition_is_the_same_both_ways() -> None:
    condition: Condition = Compare("v", Op.EQ, 1)
    answers = set()
    for _ in range(110):
        condition = Not(condition)
        answers.add(compiled(condition)({"v": 1}))
        assert compiled(condition)({"v": 1}) is evaluate(condition, {"v": 1})
    assert answers == set(Truth)
