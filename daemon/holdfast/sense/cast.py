"""Types of values: what a map or a declared field asks for, or ValueError; nothing in between."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from holdfast.model.snapshot import Cast
from holdfast.model.values import Json, Millis

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_RFC3339: Final = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:(?P<second>\d\d)(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)
_INT: Final = re.compile(r"[+-]?[0-9]{1,300}")
_FLOAT: Final = re.compile(r"[+-]?([0-9]{1,300}(\.[0-9]{0,300})?|\.[0-9]{1,300})([eE][+-]?[0-9]{1,3})?")
_BOOLS: Final[Mapping[str, bool]] = {
    "true": True,
    "yes": True,
    "on": True,
    "1": True,
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}
#: A bare number this large counts milliseconds: as seconds it would be the year 5138.
_MILLIS_FROM: Final = 10**11
#: Seconds beyond which one time is as good as another; keeps them small enough for any store.
_FAR: Final = 10**12


def cast(value: Json, to: Cast) -> Json:
    """The value as that type; ValueError when it is none. Times become milliseconds."""
    try:
        return _CASTS[to](value)
    except OverflowError as error:
        raise ValueError("out of range") from error


def moment(value: Json) -> Millis:
    """A time as senders write it: RFC 3339, or a number of seconds or of milliseconds."""
    if isinstance(value, str) and not _FLOAT.fullmatch(value):
        return _rfc3339(value)
    number = _number(value)
    return _epoch_ms(number) if abs(number) >= _MILLIS_FROM else _epoch(number)


def fit(value: Json, kind: str) -> Json:
    """The value as a declared kind of field; ValueError when it is none."""
    try:
        return _KINDS[kind](value)
    except OverflowError as error:
        raise ValueError("out of range") from error


def _text(value: Json) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    raise ValueError("not a text")


def _int(value: Json) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and _INT.fullmatch(value.strip()):
        return int(value)
    raise ValueError("not a whole number")


def _float(value: Json) -> float:
    return float(_number(value))


def _number(value: Json) -> int | float:
    """A finite number; whole ones stay exact."""
    if isinstance(value, str) and _FLOAT.fullmatch(value.strip()):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError("not a number")
    return value


def _bool(value: Json) -> bool:
    if isinstance(value, bool):
        return value
    known = _BOOLS.get(str(value).strip().lower()) if isinstance(value, str | int) else None
    if known is None:
        raise ValueError("not a boolean")
    return known


def _list(value: Json) -> Json:
    if isinstance(value, list):
        return value
    raise ValueError("not an array")


def _epoch(value: Json) -> Millis:
    return round(min(max(_number(value), -_FAR), _FAR) * 1000)


def _epoch_ms(value: Json) -> Millis:
    return round(min(max(_number(value), -_FAR * 1000), _FAR * 1000))


def _rfc3339(value: Json) -> Millis:
    found = _RFC3339.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError("not an RFC 3339 time")
    text = found.group().upper()
    if found["second"] == "60":  # a leap second, which datetime does not know
        text = text[:17] + "59" + text[19:]
    return (datetime.fromisoformat(text) - _EPOCH) // timedelta(milliseconds=1)


def _any(value: Json) -> Json:
    return value


_CASTS: Final[Mapping[Cast, Callable[[Json], Json]]] = {
    Cast.STR: _text,
    Cast.INT: _int,
    Cast.FLOAT: _float,
    Cast.BOOL: _bool,
    Cast.EPOCH: _epoch,
    Cast.EPOCH_MS: _epoch_ms,
    Cast.RFC3339: _rfc3339,
}
_KINDS: Final[Mapping[str, Callable[[Json], Json]]] = {
    "str": _text,
    "int": _int,
    "float": _float,
    "bool": _bool,
    "list": _list,
    "any": _any,
}
