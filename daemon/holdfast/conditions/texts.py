"""`glob` and `regex` in linear time, whatever the text holds: both run on RE2."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

import re2

from holdfast.conditions.kleene import truth_of
from holdfast.model.values import Truth

#: Longer texts (in characters) are not searched: the answer is unknown.
MAX_TEXT: Final = 65_536
#: What one compiled expression may use, in bytes; with the caches this bounds the whole.
_MAX_MEMORY: Final = 1 << 20


def glob(value: str, pattern: str, *, fold: bool) -> Truth:
    """Whether the whole text fits a pattern of `*`, `?`, `[a-z]` and `[!a-z]`."""
    if len(value) > MAX_TEXT:
        return Truth.UNKNOWN
    if fold:
        value, pattern = value.casefold(), pattern.casefold()
    return _found(_compiled(_translated(pattern)), value)


def regex(value: str, pattern: str, *, fold: bool) -> Truth:
    """Whether an expression of RE2's syntax is found anywhere in the text."""
    if len(value) > MAX_TEXT:
        return Truth.UNKNOWN
    return _found(_compiled(pattern, fold=fold), value)


def regex_problem(pattern: str) -> str | None:
    """Why an expression cannot be used, or None; RE2 knows no look-around and no back-references."""
    try:
        _compile(pattern, fold=False)
    except UnicodeEncodeError:
        return "it holds half of a surrogate pair"
    except re2.error as error:
        reason = error.args[0]
        return reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
    return None


def glob_problem(pattern: str) -> str | None:
    """Why a glob pattern cannot be used, or None."""
    return regex_problem(_translated(pattern))


def _compile(pattern: str, *, fold: bool) -> re2._Regexp:
    options = re2.Options()
    options.log_errors = False
    options.never_capture = True
    options.case_sensitive = not fold
    options.max_mem = _MAX_MEMORY
    return re2.compile(pattern.encode(), options)


@lru_cache(maxsize=256)
def _compiled(pattern: str, *, fold: bool = False) -> re2._Regexp | None:
    try:
        return _compile(pattern, fold=fold)
    except (re2.error, UnicodeEncodeError):
        return None


def _found(expression: re2._Regexp | None, value: str) -> Truth:
    if expression is None:
        return Truth.UNKNOWN
    try:
        text = value.encode()
    except UnicodeEncodeError:  # half of a surrogate pair is no text
        return Truth.UNKNOWN
    return truth_of(expression.search(text) is not None)


@lru_cache(maxsize=256)
def _translated(pattern: str) -> str:
    parts, at = [], 0
    while at < len(pattern):
        character, at = pattern[at], at + 1
        # A set has at least one member, so that a `]` right after its start is one.
        close = pattern.find("]", at + 1 + pattern.startswith("!", at)) if character == "[" else -1
        if close < 0:
            parts.append({"*": ".*", "?": "."}.get(character) or re.escape(character))
            continue
        members = pattern[at:close]
        negated = "^" if members.startswith("!") else ""
        literal = re.sub(r"([][^\\])", r"\\\1", members.removeprefix("!"))
        parts.append(f"[{negated}{literal}]")
        at = close + 1
    return rf"(?s)\A(?:{''.join(parts)})\z"
