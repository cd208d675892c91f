"""The language of conditions, shared by rules (over events) and policies (over proposals)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from holdfast.model.values import Ref, Scalar


class Op(StrEnum):
    """Comparison operators. Strict about types: the number 500 never equals the string "500"."""

    EQ = "eq"
    NE = "ne"
    GT = "gt"
    GTE = "gte"
    LT = "lt"
    LTE = "lte"
    IN = "in"
    NIN = "nin"
    CONTAINS = "contains"
    STARTSWITH = "startswith"
    ENDSWITH = "endswith"
    GLOB = "glob"
    REGEX = "regex"
    EXISTS = "exists"
    SAME = "same"  # joins a guard to the event that fired; operand is a Ref


class Over(StrEnum):
    """How a comparison reads an array: it must hold for some element, or for every one."""

    VALUE = "value"
    ANY = "any"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Compare:
    """One comparison of the value at a dotted path. `fold` ignores case (strings only)."""

    path: str
    op: Op
    operand: Scalar | tuple[Scalar, ...] | Ref
    over: Over = Over.VALUE
    fold: bool = False


@dataclass(frozen=True, slots=True)
class AllOf:
    """True when every item is; of no items, true."""

    items: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """True when some item is; of no items, false."""

    items: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """Unknown stays unknown."""

    item: Condition


Condition = Compare | AllOf | AnyOf | Not
