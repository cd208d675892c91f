"""Hostile text made fit to be shown, and times in words."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from shlex import join
from typing import Final

from holdfast.model.values import DAY, HOUR, MINUTE, SECOND, Millis

#: Where the courier puts the reply code when it sends a card; stands in no other text.
CODE_PLACEHOLDER: Final = "{code}"
EMPTY: Final = "(no text)"
#: Characters of a name, and of any other line that somebody else wrote.
NAME_MAX: Final = 60
LINE_MAX: Final = 200

_ESCAPED_PLACEHOLDER: Final = r"{\x63ode}"
_BREAKS: Final = frozenset({"Zl", "Zp", "Zs", "Cc"})
_UNSEEN: Final = frozenset({"Cf", "Cs", "Co", "Cn"})
_UNITS: Final = ((DAY, "d"), (HOUR, "h"), (MINUTE, "min"), (SECOND, "s"))


def clean(text: str, limit: int) -> str:
    """Return text on one line of at most `limit` characters, without control characters, direction
    marks or the code placeholder; never empty."""
    head = text[: limit * 4]
    # what is printable has no sign that would have to go, and most text is
    shown = head if head.isprintable() else "".join(_shown(sign) for sign in head)
    line = " ".join(shown.split()).replace(CODE_PLACEHOLDER, "(code)")
    if len(line) > limit or len(head) < len(text):
        line = f"{line[: limit - 1]}…"
    return line or EMPTY


def command(argv: Sequence[str], limit: int) -> str:
    """Return a command as one would type it into a shell, on one line; what cannot be seen is written
    as an escape, and what is cut off is counted."""
    typed = join(argv)
    seen = typed if typed.isprintable() else "".join(_escaped(sign) for sign in typed)
    whole = seen.replace(CODE_PLACEHOLDER, _ESCAPED_PLACEHOLDER)
    if len(whole) <= limit:
        return whole
    return f"{whole[:limit]}… ({len(whole) - limit} more characters)"


def span(millis: Millis) -> str:
    """Return a span in at most two units: `45 s`, `2 min 5 s`, `3 d 4 h`."""
    left, words = max(millis, 0), []
    for unit, name in _UNITS:
        count, left = divmod(left, unit)
        if count:
            words.append(f"{count} {name}")
    return " ".join(words[:2]) or "0 s"


def clock(at: Millis) -> str:
    """Return the time of day of an instant, in UTC: `02:44:05 UTC`."""
    seconds = at % DAY // SECOND
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02} UTC"


def _shown(sign: str) -> str:
    category = unicodedata.category(sign)
    if category in _BREAKS:
        return " "
    return "" if category in _UNSEEN else sign


def _escaped(sign: str) -> str:
    category = unicodedata.category(sign)
    if category in _UNSEEN or (category in _BREAKS and sign != " "):
        return sign.encode("unicode_escape").decode()
    return sign
