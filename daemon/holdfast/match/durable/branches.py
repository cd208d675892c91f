"""A condition as alternatives of plain tests: when it holds, and when it certainly does not.

Only tests that durable_rules answers right are made: one field, one literal of the field's own type.
Everything else becomes a *feature*: it is evaluated natively, once per event, and its answer is a field
like any other. Where neither side holds, the condition is unknown; so a field that is left out can
make an answer unknown, and never wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from itertools import product
from typing import Final

from holdfast.conditions import MAX_DEPTH, RANKS
from holdfast.model.conditions import AllOf, AnyOf, Compare, Condition, Not, Op, Over
from holdfast.model.values import Json, Ref, Scalar

#: More alternatives, or longer ones, and the condition becomes a feature.
MAX_ALTERNATIVES: Final = 8
MAX_TESTS: Final = 16
#: Longer texts go the native way (durable_rules cuts lengths at 16 bits).
MAX_TEXT: Final = 2048
#: Beyond it a whole number is no exact double.
_EXACT: Final = 2**53
#: Texts that look the same however they are written in JSON.
_PLAIN: Final = re.compile(r'[^"\\\x00-\x1f\x7f\ud800-\udfff]*')


class Kind(StrEnum):
    """What a field of a fact says about the value at one path; the letter begins the field's name."""

    SET = "x"  # 1: there is a value
    TYPE = "t"  # the type of the value: one of the letters of TypeOf
    TEXT = "s"
    NUMBER = "n"
    BOOL = "b"  # 0 or 1
    RANK = "r"  # the place of a word in its order


class TypeOf(StrEnum):
    """The types of JSON, as far as equality tells them apart."""

    TEXT = "s"
    NUMBER = "n"
    BOOL = "b"
    NULL = "z"
    OTHER = "o"


class Is(StrEnum):
    """What is tested of a field. Only UNSET holds for a field that is not there."""

    EQ = "=="
    NE = "!="
    LT = "<"
    LTE = "<="
    GT = ">"
    GTE = ">="
    UNSET = "unset"


@dataclass(frozen=True, slots=True)
class Field:
    """One view of the value at a path."""

    path: str
    kind: Kind


@dataclass(frozen=True, slots=True, eq=False)
class Feature:
    """The answer of a condition that is evaluated natively: 1 true, 0 false, not there: unknown."""

    condition: Condition


Subject = Field | Feature


@dataclass(frozen=True, slots=True)
class Test:
    """One test of one field."""

    subject: Subject
    how: Is
    literal: int | float | str = 0


Alternative = tuple[Test, ...]


@dataclass(frozen=True, slots=True)
class Branches:
    """A condition holds if all tests of one of `true` do; it does not hold if all of one of `false` do."""

    true: tuple[Alternative, ...]
    false: tuple[Alternative, ...]

    def swapped(self) -> Branches:
        """The opposite condition."""
        return Branches(self.false, self.true)


_UNKNOWN: Final = Branches((), ())
_ORDERS: Final[dict[Op, tuple[Is, Is]]] = {
    Op.GT: (Is.GT, Is.LTE),
    Op.GTE: (Is.GTE, Is.LT),
    Op.LT: (Is.LT, Is.GTE),
    Op.LTE: (Is.LTE, Is.GT),
}


def branches(condition: Condition, depth: int = MAX_DEPTH) -> Branches:
    """The alternatives of a condition, few and short ones; the answers are those of `evaluate`."""
    if depth == 0:
        return _UNKNOWN
    found = _spelled(condition, depth)
    return found if _is_small(found) else _feature(condition, depth)


def _spelled(condition: Condition, depth: int) -> Branches:
    match condition:
        case Compare():
            return _leaf(condition)
        case Not(item):
            return branches(item, depth - 1).swapped()
        case AllOf(items):
            return _all([branches(item, depth - 1) for item in items])
        case AnyOf(items):
            return _all([branches(item, depth - 1).swapped() for item in items]).swapped()


def type_of(value: Json) -> TypeOf:
    """The type of a value."""
    match value:
        case bool():
            return TypeOf.BOOL
        case int() | float():
            return TypeOf.NUMBER
        case str():
            return TypeOf.TEXT
        case None:
            return TypeOf.NULL
        case _:
            return TypeOf.OTHER


def is_plain(value: Json) -> bool:
    """Whether the engine can be shown this value itself."""
    match value:
        case str():
            return len(value) <= MAX_TEXT and _PLAIN.fullmatch(value) is not None
        case float():
            # no exponent when it is written; NaN fails every comparison
            return 1e-4 <= abs(value) < 1e15 or value == 0
        case int():
            return -_EXACT <= value <= _EXACT
        case _:
            return True


def _is_small(found: Branches) -> bool:
    return all(
        len(side) <= MAX_ALTERNATIVES and all(len(tests) <= MAX_TESTS for tests in side)
        for side in (found.true, found.false)
    )


def _all(items: list[Branches]) -> Branches:
    """True where all are, false where one is."""
    true: Iterable[Alternative] = [()]
    for item in items:
        true = [_joined(one, other) for one, other in product(true, item.true)]
        if len(true) > MAX_ALTERNATIVES or any(len(tests) > MAX_TESTS for tests in true):
            break  # it will become a feature; the rest need not be multiplied out
    false = dict.fromkeys(tests for item in items for tests in item.false)
    return Branches(tuple(dict.fromkeys(true)), tuple(false))


def _joined(one: Alternative, other: Alternative) -> Alternative:
    return tuple(dict.fromkeys((*one, *other)))


def _feature(condition: Condition, depth: int) -> Branches:
    feature = Feature(_cut(condition, depth))
    return Branches(((Test(feature, Is.EQ, 1),),), ((Test(feature, Is.EQ, 0),),))


def _cut(condition: Condition, depth: int) -> Condition:
    """The condition, nested so deep that its evaluation ends where that of the whole would."""
    for _ in range(MAX_DEPTH - depth):
        condition = AllOf((condition,))
    return condition


def _leaf(compare: Compare) -> Branches:
    if isinstance(compare.operand, Ref) or compare.op is Op.SAME:
        return _UNKNOWN  # what a reference stands for is not known while one event is looked at
    if compare.fold or compare.over is not Over.VALUE:
        return _feature(compare, MAX_DEPTH)
    found = _plain(compare)
    return _feature(compare, MAX_DEPTH) if found is None else found


def _plain(compare: Compare) -> Branches | None:
    """The branches of a comparison that the engine can make itself; None for one that it cannot."""
    path, operand = compare.path, compare.operand
    match compare.op:
        case Op.EXISTS:
            return _exists(path, wanted=operand) if isinstance(operand, bool) else _UNKNOWN
        case Op.EQ | Op.NE:
            found = None if isinstance(operand, tuple | Ref) else _equal(path, operand)
        case Op.IN | Op.NIN:
            found = _any_equal(path, operand) if isinstance(operand, tuple) else None
        case Op.GT | Op.GTE | Op.LT | Op.LTE:
            return _ordered(compare)
        case _:
            return None
    negative = compare.op in {Op.NE, Op.NIN}
    return found.swapped() if found is not None and negative else found


def _exists(path: str, *, wanted: bool) -> Branches:
    field = Field(path, Kind.SET)
    found = Branches(((Test(field, Is.EQ, 1),),), ((Test(field, Is.UNSET),),))
    return found if wanted else found.swapped()


def _equal(path: str, operand: Scalar) -> Branches | None:
    if not is_plain(operand):
        return None
    kind = type_of(operand)
    other = Test(Field(path, Kind.TYPE), Is.NE, kind.value)
    if operand is None:
        return Branches(((Test(Field(path, Kind.TYPE), Is.EQ, kind.value),),), ((other,),))
    field = Field(path, {TypeOf.TEXT: Kind.TEXT, TypeOf.NUMBER: Kind.NUMBER, TypeOf.BOOL: Kind.BOOL}[kind])
    literal = int(operand) if isinstance(operand, bool) else operand
    return Branches(((Test(field, Is.EQ, literal),),), ((other,), (Test(field, Is.NE, literal),)))


def _any_equal(path: str, operands: tuple[Scalar, ...]) -> Branches | None:
    items = [_equal(path, operand) for operand in operands]
    known = [item.swapped() for item in items if item is not None]
    return _all(known).swapped() if items and len(known) == len(items) else None


def _ordered(compare: Compare) -> Branches | None:
    path, operand = compare.path, compare.operand
    holds, fails = _ORDERS[compare.op]
    if path in RANKS:
        place = RANKS[path].get(operand) if isinstance(operand, str) else None
        return _UNKNOWN if place is None else _one(Field(path, Kind.RANK), holds, fails, place)
    if isinstance(operand, bool) or not isinstance(operand, int | float) or not is_plain(operand):
        return None
    return _one(Field(path, Kind.NUMBER), holds, fails, operand)


def _one(field: Field, holds: Is, fails: Is, literal: float) -> Branches:
    return Branches(((Test(field, holds, literal),),), ((Test(field, fails, literal),),))


#: What each test means; the engine is checked against it before it is used.
MEANS: Final[dict[Is, Callable[[object, object], bool]]] = {
    Is.EQ: lambda value, literal: value == literal,
    Is.NE: lambda value, literal: value is not None and value != literal,
    Is.LT: lambda value, literal: value is not None and value < literal,  # type: ignore[operator]
    Is.LTE: lambda value, literal: value is not None and value <= literal,  # type: ignore[operator]
    Is.GT: lambda value, literal: value is not None and value > literal,  # type: ignore[operator]
    Is.GTE: lambda value, literal: value is not None and value >= literal,  # type: ignore[operator]
    Is.UNSET: lambda value, _: value is None,
}
