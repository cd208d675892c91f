"""Under which name a state is kept: values of events made short, and patterns made comparable."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from math import isnan
from typing import Final

import msgspec

from holdfast.conditions import Missing, lookup
from holdfast.correlate.signals import Key
from holdfast.model.conditions import AllOf, AnyOf, Compare, Condition, Not
from holdfast.model.rules import Pattern
from holdfast.model.values import Fact, Json, Ref

_MAX_TEXT: Final = 120
_MAX_BITS: Final = 256


def short(text: str) -> str:
    """The text itself, or its start and a digest where it is long; always valid UTF-8.

    A long text never takes the name of another one: what is shortened is longer than what is kept.
    """
    clean = text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()
    if len(clean) <= _MAX_TEXT:
        return clean
    return f"{clean[:_MAX_TEXT]}#{sha256(clean.encode()).hexdigest()[:32]}"


def text_of(value: Json | Missing) -> str | None:
    """A scalar as text; None for null, for lists and objects, and for what is not there."""
    match value:
        case str():
            return short(value)
        case bool():
            return "true" if value else "false"
        case float() if value.is_integer():
            return text_of(int(value))
        case int():
            return str(value) if value.bit_length() <= _MAX_BITS else short(hex(value))
        case float():
            return repr(value)
        case _:
            return None


def typed(value: Json | Missing) -> str | None:
    """As `text_of`, but values of different types stay different, and null is a value.

    None for what equals nothing: lists, objects, NaN, and what is not there.
    """
    if value is None:
        return "null"
    text = text_of(value)
    if text is None or (isinstance(value, float) and isnan(value)):
        return None
    kind = "text" if isinstance(value, str) else "truth" if isinstance(value, bool) else "number"
    return f"{kind} {text}"


def key_of(fact: Fact, per: Iterable[str]) -> Key:
    """The values of `per`; where all are null or not there, the subject follows them."""
    values = tuple(text_of(lookup(fact, path)) for path in per)
    if values and all(value is None for value in values):
        return (*values, text_of(lookup(fact, "subject")))
    return values


def encoded(key: Sequence[str | None]) -> str:
    """A key as the store keeps it."""
    return msgspec.json.encode(key).decode()


def fingerprint(*parts: object) -> str:
    """A hash of plain values, the same in every process."""
    return sha256(repr(parts).encode("utf-8", "backslashreplace")).hexdigest()[:32]


def meaning(pattern: Pattern) -> tuple[object, ...]:
    """What a pattern means, without its name: where that stays, its states outlive a config change."""
    where = _meaning(pattern.where)
    return (pattern.event, where, pattern.streak, pattern.count, pattern.within, pattern.distinct)


def _meaning(condition: Condition) -> tuple[object, ...]:
    match condition:
        case Compare(path, op, operand, over, fold):
            plain = ("reference", operand.alias, *operand.path) if isinstance(operand, Ref) else operand
            return (path, str(op), plain, str(over), fold)
        case Not(item):
            return ("not", _meaning(item))
        case AllOf((item,)) | AnyOf((item,)):
            return _meaning(item)
        case AllOf(items):
            return ("all", *_sorted(items))
        case AnyOf(items):
            return ("any", *_sorted(items))


def _sorted(items: Iterable[Condition]) -> list[tuple[object, ...]]:
    # The order in which a mapping was written means nothing.
    return sorted((_meaning(item) for item in items), key=repr)
