from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.conditions import MISSING, equal
from holdfast.correlate.keys import encoded, fingerprint, key_of, meaning, short, text_of, typed
from holdfast.model.conditions import AllOf, AnyOf, Compare, Not, Op
from holdfast.model.rules import Pattern
from holdfast.model.values import Json, Ref


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("shop", "shop"), ("", ""), (5, "5"), (5.0, "5"), (-0.0, "0"), (2.5, "2.5"), (True, "true"),
        (False, "false"), (None, None), (MISSING, None), ([], None), ({}, None), (math.inf, "inf"),
    ],
)  # fmt: skip
def test_a_scalar_of_a_key_is_a_text(value: Any, text: str | None) -> None:
    assert text_of(value) == text


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.just("x" * 500), st.just(10**5000)
)


@given(SCALARS, SCALARS)
def test_what_is_joined_is_what_is_equal(left: Json, right: Json) -> None:
    joined = typed(left) is not None and typed(left) == typed(right)

    assert joined is equal(left, right)


@given(st.text())
def test_a_short_text_is_short_and_can_be_saved(text: str) -> None:
    assert len(short(text)) <= 153
    assert len(short(text * 100)) <= 153
    assert encoded([short(text)]).encode()


@given(st.text(min_size=100, alphabet="ab"), st.text(min_size=100, alphabet="ab"))
def test_different_long_texts_stay_different(first: str, second: str) -> None:
    assert (short(first) == short(second)) is (first == second)


def test_a_shortened_text_is_never_one_that_is_kept_as_it_is() -> None:
    shortened = short("x" * 121)

    assert short(shortened) != shortened


def test_the_subject_follows_only_where_every_value_is_null() -> None:
    fact = {"service": None, "host": "web1", "subject": "s", "data": {"list": [1]}}

    assert key_of(fact, ("service",)) == (None, "s")
    assert key_of(fact, ("data.nothing",)) == (None, "s")
    assert key_of(fact, ("data.list",)) == (None, "s")
    assert key_of(fact, ("service", "host")) == (None, "web1")
    assert key_of(fact, ()) == ()


def test_fingerprints_do_not_change_between_releases() -> None:
    """A change here re-arms every rule of every installation: it has to be wanted."""
    where = AllOf((Compare("data.ok", Op.EQ, False), Not(AnyOf((Compare("a", Op.IN, (1, "x"), fold=True),)))))
    pattern = Pattern("r/p", "p", "http.probe", where, streak=3)

    assert fingerprint("r", "when", ("service",), meaning(pattern)) == "1d8f34d5c6168f2de42eedfc440a79d1"


A, B = Compare("a", Op.EQ, 1), Compare("b", Op.EQ, 2)


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        (AllOf((A, B)), AllOf((B, A)), True),
        (AllOf((A,)), A, True),
        (AnyOf((A,)), AllOf((A,)), True),
        (AllOf((A, B)), AnyOf((A, B)), False),
        (A, Not(A), False),
        (A, Compare("a", Op.EQ, "1"), False),
        (A, Compare("a", Op.EQ, True), False),
        (A, Compare("a", Op.NE, 1), False),
        (A, Compare("a", Op.EQ, 1, fold=True), False),
        (Compare("a", Op.EQ, Ref("p", ("x",))), Compare("a", Op.EQ, "$p.x"), False),
        (AllOf(()), AnyOf(()), False),
    ],
)
def test_patterns_that_mean_the_same_have_the_same_fingerprint(first: Any, second: Any, same: bool) -> None:
    prints = [fingerprint(meaning(Pattern("k", "a", "t", where))) for where in (first, second)]

    assert (prints[0] == prints[1]) is same
