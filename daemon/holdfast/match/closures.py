"""Conditions compiled to closures: the answers of `conditions.evaluate`, several times as fast.

The common comparisons have a closure of their own; all others go through `conditions.judge`. A test
compares both ways on generated conditions and facts.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, Final, cast

from holdfast.conditions import (
    MAX_DEPTH,
    MISSING,
    RANKS,
    Missing,
    follow,
    judge,
    negate,
    operand_of,
    parse_path,
)
from holdfast.errors import InputError
from holdfast.model.conditions import AllOf, AnyOf, Compare, Condition, Not, Op, Over
from holdfast.model.values import Fact, Json, Truth

Closure = Callable[[Fact], Truth]
_Getter = Callable[[Fact], Json | Missing]
_Test = Callable[[Json | Missing], Truth]

_TRUE: Final = Truth.TRUE
_FALSE: Final = Truth.FALSE
_UNKNOWN: Final = Truth.UNKNOWN
_ORDERS: Final[dict[Op, Callable[[Any, Any], bool]]] = {
    Op.GT: operator.gt,
    Op.GTE: operator.ge,
    Op.LT: operator.lt,
    Op.LTE: operator.le,
}


def compiled(condition: Condition, depth: int = MAX_DEPTH) -> Closure:
    """A function from a fact to the answer that `evaluate(condition, fact)` gives."""
    if depth == 0:
        return _unknown
    match condition:
        case Compare():
            return _leaf(condition)
        case AllOf(items):
            return _decided_by(_FALSE, _TRUE, [compiled(item, depth - 1) for item in items])
        case AnyOf(items):
            return _decided_by(_TRUE, _FALSE, [compiled(item, depth - 1) for item in items])
        case Not(item):
            inner = compiled(item, depth - 1)
            return lambda fact: negate(inner(fact))


def _unknown(fact: Fact) -> Truth:
    del fact
    return _UNKNOWN


def _decided_by(decisive: Truth, otherwise: Truth, items: list[Closure]) -> Closure:
    if len(items) == 1:
        return items[0]

    def group(fact: Fact) -> Truth:
        answer = otherwise
        for item in items:
            truth = item(fact)
            if truth is decisive:
                return truth
            if truth is _UNKNOWN:
                answer = truth
        return answer

    return group


def _leaf(compare: Compare) -> Closure:
    get, test = _getter(compare.path), _test(compare)
    return lambda fact: test(get(fact))


def _getter(path: str) -> _Getter:
    try:
        steps = parse_path(path)
    except InputError:
        return lambda _: MISSING
    match steps:
        case (str() as name,):
            return lambda fact: fact.get(name, MISSING)
        case (str() as outer, str() as inner):

            def get(fact: Fact) -> Json | Missing:
                value = fact.get(outer)
                return value.get(inner, MISSING) if type(value) is dict else MISSING

            return get
        case _:
            return lambda fact: follow(fact, steps)


def _test(compare: Compare) -> _Test:
    operand, op = compare.operand, compare.op
    if compare.over is Over.VALUE and not compare.fold:
        if op is Op.EQ and isinstance(operand, str):
            return _equals_text(operand)
        if op is Op.EQ and (operand is None or isinstance(operand, bool)):
            return _is(operand)
        if op is Op.EQ and isinstance(operand, int | float):
            return _equals_number(operand)
        if op is Op.IN and isinstance(operand, tuple) and all(isinstance(item, str) for item in operand):
            return _in_texts(frozenset(cast("tuple[str, ...]", operand)))
        if op in _ORDERS and type(operand) is int and compare.path not in RANKS:
            return _ordered(_ORDERS[op], operand)
    bound = operand_of(compare, None)
    return lambda value: judge(compare, value, bound)


def _equals_text(operand: str) -> _Test:
    def test(value: Json | Missing) -> Truth:
        if value == operand:
            return _TRUE
        return _UNKNOWN if value is MISSING else _FALSE

    return test


def _is(operand: bool | None) -> _Test:
    def test(value: Json | Missing) -> Truth:
        if value is operand:
            return _TRUE
        return _UNKNOWN if value is MISSING else _FALSE

    return test


def _equals_number(operand: float) -> _Test:
    def test(value: Json | Missing) -> Truth:
        if value == operand and type(value) is not bool:
            return _TRUE
        return _UNKNOWN if value is MISSING else _FALSE

    return test


def _in_texts(operands: frozenset[str]) -> _Test:
    def test(value: Json | Missing) -> Truth:
        if type(value) is str and value in operands:
            return _TRUE
        return _UNKNOWN if value is MISSING else _FALSE

    return test


def _ordered(holds: Callable[[Any, Any], bool], operand: int) -> _Test:
    def test(value: Json | Missing) -> Truth:
        # NaN is the one number that differs from itself; it has no place in an order.
        if (type(value) is int or type(value) is float) and value == value:  # noqa: PLR0124
            return _TRUE if holds(value, operand) else _FALSE
        return _UNKNOWN

    return test
