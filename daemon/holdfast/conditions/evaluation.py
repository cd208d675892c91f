"""Conditions over facts: the answer, and the way to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from holdfast.conditions.kleene import all_of, any_of, negate, truth_of
from holdfast.conditions.operators import ORDERS, RANKS, TESTS, Operand, by_rank
from holdfast.conditions.paths import MISSING, Missing, lookup
from holdfast.model.conditions import AllOf, AnyOf, Compare, Condition, Not, Op, Over
from holdfast.model.values import Fact, Json, Ref, Truth

#: Conditions nested deeper than this are unknown.
MAX_DEPTH: Final = 100

#: What a reference stands for when a rule fires.
Bind = Callable[[Ref], Json | Missing]
Joins = tuple[tuple[str, Ref], ...]


@dataclass(frozen=True, slots=True)
class Checked:
    """One line of a trace: what was asked, of which value, and the answer.

    `op` is an operator (`any gte` over an array), or `all`, `any`, `not` for a group, whose items
    follow one level deeper. `operand` is what it was compared with, a reference as text; `seen` is
    MISSING where the fact says nothing, and for groups.
    """

    depth: int
    path: str
    op: str
    operand: Json
    seen: Json | Missing
    truth: Truth


def evaluate(condition: Condition, fact: Fact, *, bind: Bind | None = None) -> Truth:
    """The answer for one fact; `bind` gives the values of references, without it they are unknown."""
    return _evaluate(condition, fact, bind, MAX_DEPTH)


def _evaluate(condition: Condition, fact: Fact, bind: Bind | None, depth: int) -> Truth:
    if depth == 0:
        return Truth.UNKNOWN
    match condition:
        case Compare():
            return judge(condition, lookup(fact, condition.path), operand_of(condition, bind))
        case AllOf(items):
            return all_of(_evaluate(item, fact, bind, depth - 1) for item in items)
        case AnyOf(items):
            return any_of(_evaluate(item, fact, bind, depth - 1) for item in items)
        case Not(item):
            return negate(_evaluate(item, fact, bind, depth - 1))


def judge(compare: Compare, value: Json | Missing, operand: Operand | Missing) -> Truth:
    """The answer of one comparison for a value that was looked up and an operand that was bound."""
    if compare.op is Op.EXISTS and compare.over is Over.VALUE:
        return truth_of((value is not MISSING) is operand) if isinstance(operand, bool) else Truth.UNKNOWN
    if value is MISSING or operand is MISSING:
        return Truth.UNKNOWN
    if compare.over is Over.VALUE:
        return _judge(compare, value, operand)
    if not isinstance(value, list):
        return Truth.UNKNOWN
    merge = any_of if compare.over is Over.ANY else all_of
    return merge(_judge(compare, item, operand) for item in value)


def _judge(compare: Compare, value: Json, operand: Operand) -> Truth:
    if compare.op in ORDERS and compare.path in RANKS:
        return by_rank(RANKS[compare.path], compare.op, value, operand)
    return TESTS[compare.op](value, operand, compare.fold)


def operand_of(compare: Compare, bind: Bind | None) -> Operand | Missing:
    """The operand, bound where it is a reference; MISSING where nobody knows its value.

    What an event holds never becomes a pattern, and `same` never compares with a constant.
    """
    if not isinstance(compare.operand, Ref):
        return MISSING if compare.op is Op.SAME else compare.operand
    if bind is None or compare.op in (Op.GLOB, Op.REGEX):
        return MISSING
    return bind(compare.operand)


def trace(condition: Condition, fact: Fact, *, bind: Bind | None = None) -> tuple[Checked, ...]:
    """Every comparison and group from top to bottom, none left out; the first is the whole answer."""
    return tuple(_trace(condition, fact, bind, 0))


def _trace(condition: Condition, fact: Fact, bind: Bind | None, depth: int) -> list[Checked]:
    if depth == MAX_DEPTH:
        return [Checked(depth, "", "too deep", None, MISSING, Truth.UNKNOWN)]
    if isinstance(condition, Compare):
        return [_leaf(condition, fact, bind, depth)]
    items = (condition.item,) if isinstance(condition, Not) else condition.items
    below = [_trace(item, fact, bind, depth + 1) for item in items]
    op, truth = _merged(condition, [lines[0].truth for lines in below])
    return [Checked(depth, "", op, None, MISSING, truth), *(line for lines in below for line in lines)]


def _merged(group: AllOf | AnyOf | Not, answers: Sequence[Truth]) -> tuple[str, Truth]:
    match group:
        case AllOf():
            return "all", all_of(answers)
        case AnyOf():
            return "any", any_of(answers)
        case Not():
            return "not", negate(answers[0])


def _leaf(compare: Compare, fact: Fact, bind: Bind | None, depth: int) -> Checked:
    value = lookup(fact, compare.path)
    truth = judge(compare, value, operand_of(compare, bind))
    op = str(compare.op) if compare.over is Over.VALUE else f"{compare.over} {compare.op}"
    operand: Json
    match compare.operand:
        case Ref():
            operand = str(compare.operand)
        case tuple():
            operand = [*compare.operand]
        case _:
            operand = compare.operand
    return Checked(depth, compare.path, op, operand, value, truth)


def split_join(condition: Condition) -> tuple[Condition, Joins]:
    """A condition without the `same` comparisons that it demands, and those as (path, reference).

    Only what must hold is split off; a `same` below `any` or `not` stays where it is.
    """
    if isinstance(condition, AllOf):
        split = [split_join(item) for item in condition.items]
        kept = tuple(rest for rest, joins in split if not (joins and rest == AllOf(())))
        return AllOf(kept), tuple(join for _, joins in split for join in joins)
    if isinstance(condition, Compare) and condition.op is Op.SAME and isinstance(condition.operand, Ref):
        return AllOf(()), ((condition.path, condition.operand),)
    return condition, ()
