"""Plain scalars of the YAML 1.2 core schema, and nothing that YAML 1.1 would add.

`22:00`, `2026-01-01`, `1_000`, `yes` and `off` are text. A number that could be read in two ways
(a leading zero), and one that JSON cannot hold, is refused instead of guessed.
"""

from __future__ import annotations

import re
from typing import Final

from holdfast.model.values import Scalar

_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE: Final = frozenset({"true", "True", "TRUE"})
_FALSE: Final = frozenset({"false", "False", "FALSE"})
_INT: Final = re.compile(r"[-+]?[0-9]+")
_LEADING_ZERO: Final = re.compile(r"[-+]?0[0-9]+")
_BASED: Final = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE: Final = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
#: What a 64-bit integer holds; SQLite and JSON readers agree up to here.
_BIGGEST: Final = 2**63
_MOST_DIGITS: Final = 20


class AmbiguousScalar(ValueError):
    """A plain scalar that would be read as something else than it looks like; says what to write."""


def resolve(text: str) -> Scalar:
    """The value of an unquoted scalar: null, bool, int, float, or else the text as it stands.

    Raises AmbiguousScalar.
    """
    if text in _NULLS:
        return None
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    if _BASED.fullmatch(text):
        return _whole(text, 0)
    if _INT.fullmatch(text):
        if _LEADING_ZERO.fullmatch(text):
            raise AmbiguousScalar(
                f"{text[:40]} has a leading zero (quote it where it is text; write 0o755 for octal)"
            )
        return _whole(text, 10)
    if _FLOAT.fullmatch(text):
        return _real(text)
    if _NOT_FINITE.fullmatch(text):
        raise AmbiguousScalar(f"{text} is no number to compare with (quote it where it is text)")
    return text


def _whole(text: str, base: int) -> int:
    number = int(text, base) if len(text) <= _MOST_DIGITS else _BIGGEST
    if not -_BIGGEST <= number < _BIGGEST:
        raise AmbiguousScalar(f"{text[:20]}… does not fit 64 bits (quote it where it is text)")
    return number


def _real(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise AmbiguousScalar(f"{text[:20]} is too large a number (quote it where it is text)")
    return number
