"""What each comparison operator means, for one value and one operand.

Strict about types: the number 500 never equals the text "500", and true is not 1. Whether two values
are equal is always decided; what cannot be ordered or searched is unknown.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from functools import partial
from math import isnan
from typing import Any, Final, TypeGuard

from holdfast.conditions import texts
from holdfast.conditions.kleene import any_of, negate, truth_of
from holdfast.model.actions import Risk
from holdfast.model.conditions import Op
from holdfast.model.rules import Mode
from holdfast.model.values import Json, Scalar, Severity, Trust, Truth

Operand = Json | tuple[Scalar, ...]
Test = Callable[[Json, Operand, bool], Truth]

#: Fields whose words have an order of their own: `severity: {gte: error}` holds for critical.
RANKS: Final[Mapping[str, Mapping[str, int]]] = {
    name: {str(member): rank for rank, member in enumerate(kind)}
    for name, kind in (("severity", Severity), ("trust", Trust), ("risk", Risk), ("mode", Mode))
}
ORDERS: Final = frozenset({Op.GT, Op.GTE, Op.LT, Op.LTE})


def equal(left: Json, right: Operand, *, fold: bool = False) -> bool:
    """Whether two scalars are the same value of the same type; the number 1 is 1.0.

    NaN, lists and objects equal nothing; `fold` ignores the case of texts.
    """
    if isinstance(left, str):
        if not isinstance(right, str):
            return False
        return left.casefold() == right.casefold() if fold else left == right
    if left is None or isinstance(left, bool):
        return left is right
    return is_number(left) and is_number(right) and left == right


def is_number(value: Operand) -> TypeGuard[int | float]:
    """Whether it is a number; true and false are not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _eq(value: Json, operand: Operand, fold: bool) -> Truth:
    if isinstance(value, list | dict) and isinstance(operand, list | dict):
        return Truth.UNKNOWN
    return truth_of(equal(value, operand, fold=fold))


def _in(value: Json, operand: Operand, fold: bool) -> Truth:
    if not isinstance(operand, tuple | list):
        return Truth.UNKNOWN
    return any_of(_eq(value, item, fold) for item in operand)


def _not(test: Test, value: Json, operand: Operand, fold: bool) -> Truth:
    return negate(test(value, operand, fold))


def _ordered(holds: Callable[[Any, Any], bool], value: Json, operand: Operand, fold: bool) -> Truth:
    if not is_number(value) or not is_number(operand):
        return _text(holds, value, operand, fold)
    if any(isinstance(number, float) and isnan(number) for number in (value, operand)):
        return Truth.UNKNOWN
    return truth_of(holds(value, operand))


def _text(holds: Callable[[str, str], bool], value: Json, operand: Operand, fold: bool) -> Truth:
    if not isinstance(value, str) or not isinstance(operand, str):
        return Truth.UNKNOWN
    return truth_of(holds(value.casefold(), operand.casefold()) if fold else holds(value, operand))


def _contains(value: Json, operand: Operand, fold: bool) -> Truth:
    if isinstance(value, list):
        return any_of(_eq(item, operand, fold) for item in value)
    return _text(operator.contains, value, operand, fold)


def _glob(value: Json, operand: Operand, fold: bool) -> Truth:
    if not isinstance(value, str) or not isinstance(operand, str):
        return Truth.UNKNOWN
    return texts.glob(value, operand, fold=fold)


def _regex(value: Json, operand: Operand, fold: bool) -> Truth:
    if not isinstance(value, str) or not isinstance(operand, str):
        return Truth.UNKNOWN
    return texts.regex(value, operand, fold=fold)


def _exists(value: Json, operand: Operand, fold: bool) -> Truth:
    del value, fold  # whoever has a value at all, null included, exists
    return truth_of(operand) if isinstance(operand, bool) else Truth.UNKNOWN


TESTS: Final[Mapping[Op, Test]] = {
    Op.EQ: _eq,
    Op.SAME: _eq,
    Op.NE: partial(_not, _eq),
    Op.IN: _in,
    Op.NIN: partial(_not, _in),
    Op.GT: partial(_ordered, operator.gt),
    Op.GTE: partial(_ordered, operator.ge),
    Op.LT: partial(_ordered, operator.lt),
    Op.LTE: partial(_ordered, operator.le),
    Op.CONTAINS: _contains,
    Op.STARTSWITH: partial(_text, str.startswith),
    Op.ENDSWITH: partial(_text, str.endswith),
    Op.GLOB: _glob,
    Op.REGEX: _regex,
    Op.EXISTS: _exists,
}


def by_rank(ranks: Mapping[str, int], op: Op, value: Json, operand: Operand) -> Truth:
    """An ordering of two words by their ranks; unknown where one of them has none."""
    if not isinstance(value, str) or not isinstance(operand, str):
        return Truth.UNKNOWN
    if value not in ranks or operand not in ranks:
        return Truth.UNKNOWN
    return TESTS[op](ranks[value], ranks[operand], False)
