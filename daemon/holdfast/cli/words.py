"""Text that strangers wrote, made fit for a terminal, and times in words. All times are UTC."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime
from typing import Final

from holdfast.gate.wording import clean, command, span
from holdfast.model.values import DAY, HOUR, MINUTE, SECOND, Json, Millis

__all__ = [
    "ago",
    "block",
    "clean",
    "command",
    "count",
    "escaped",
    "inert",
    "line",
    "moment",
    "short",
    "shown",
    "span",
]

#: One line of text is never longer; what is cut ends in an ellipsis.
LINE: Final = 500
_UNITS: Final = ((DAY, "d"), (HOUR, "h"), (MINUTE, "min"), (SECOND, "s"))
#: Categories of characters that a terminal may obey instead of showing.
_OBEYED: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def line(text: str, limit: int = LINE) -> str:
    """The text on one line without anything that a terminal obeys; empty stays empty."""
    return clean(text, limit) if text.strip() else ""


def block(text: str, lines: int) -> list[str]:
    """Several lines of text, each cleaned, indentation kept; what is cut is counted."""
    whole = text.expandtabs(4).splitlines()
    kept = [inert(row[:LINE]).rstrip() for row in whole[:lines]]
    if len(whole) > lines:
        kept.append(f"… {len(whole) - lines} more lines")
    return kept


def escaped(json: bytes) -> str:
    r"""JSON in which everything that a terminal obeys is written as `\uXXXX`, which JSON allows."""
    return "".join(_as_json(sign) if _obeyed(sign) else sign for sign in json.decode())


def shown(value: Json) -> str:
    """A JSON value in a few words on one line."""
    match value:
        case None:
            return "none"
        case bool():
            return "true" if value else "false"
        case list():
            return f"a list of {len(value)}"
        case dict():
            return f"an object of {len(value)}"
        case _:
            return line(str(value), 120) or '""'


def count(number: int, one: str, many: str | None = None) -> str:
    """A number and its noun: `1 rule`, `2 rules`."""
    return f"{number} {one if number == 1 else many or f'{one}s'}"


def ago(at: Millis, now: Millis) -> str:
    """How long ago something was, in its largest unit: `3 min ago`."""
    past = now - at
    for unit, name in _UNITS:
        if past >= unit:
            return f"{past // unit} {name} ago"
    return "now" if past > -SECOND else f"in {span(-past)}"


def moment(at: Millis) -> str:
    """Date and time of an instant, in UTC; `?` for one that no calendar has."""
    try:
        return datetime.fromtimestamp(at // SECOND, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (OverflowError, OSError, ValueError):
        return "?"


def short(identifier: str) -> str:
    """An id as people type it: without the part that all ids of one database share."""
    return line(identifier.partition("-")[0])


def inert(text: str) -> str:
    """The text without the characters that a terminal obeys; spaces and length stay."""
    return "".join(sign for sign in text if not _obeyed(sign))


def _obeyed(sign: str) -> bool:
    return sign != "\n" and unicodedata.category(sign) in _OBEYED


def _as_json(sign: str) -> str:
    units = sign.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))
