"""Paths into events: `data.labels["app.kubernetes.io/name"]`, `data.disks[0].free`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final, TypeAlias, cast

from msgspec import UNSET, UnsetType

from holdfast.errors import InputError
from holdfast.model.values import Fact, Json

#: The type of MISSING.
Missing: TypeAlias = UnsetType
#: What `lookup` answers where the fact says nothing; in JSON, a key that is not there.
MISSING: Final = UNSET

_MAX_DIGITS: Final = 10
_NAME: Final = re.compile(r'[^.\[\]"\s]+')
_BRACKET: Final = re.compile(r'\[(?:([0-9]{1,9})|"((?:[^"\\]|\\["\\])*)")\]')


def parse_path(path: str) -> tuple[str | int, ...]:
    """The steps of a path: texts are keys of objects, numbers are places in arrays.

    Raises InputError that names the character where the path stops making sense.
    """
    steps: list[str | int] = []
    at = 0
    while at < len(path) or not steps:
        bracket = _BRACKET.match(path, at)
        if bracket is not None:
            number, key = bracket.groups()
            steps.append(int(number) if number else re.sub(r"\\(.)", r"\1", key))
            at = bracket.end()
            continue
        start = at + 1 if steps and path[at] == "." else at
        name = _NAME.match(path, start)
        if name is None or (steps and start == at):
            raise InputError(
                f"the path {path!r} cannot be read from character {at + 1} on: "
                'write names with dots between them, other keys as ["key"], places in a list as [0]'
            )
        steps.append(name.group())
        at = name.end()
    return tuple(steps)


@lru_cache(maxsize=4096)
def _steps(path: str) -> tuple[str | int, ...] | None:
    try:
        return parse_path(path)
    except InputError:
        return None


def lookup(fact: Fact, path: str) -> Json | Missing:
    """The value at a path; MISSING where there is none, or where the path cannot be read."""
    steps = _steps(path)
    return MISSING if steps is None else follow(fact, steps)


def follow(fact: Fact, steps: Iterable[str | int]) -> Json | Missing:
    """The value that the steps lead to; texts lead into objects only, numbers into arrays only."""
    value: Json | Missing = cast("Json", fact)
    for step in steps:
        if isinstance(step, str):
            # The outermost object may be any mapping; whatever was read from JSON is a dict.
            value = value.get(step, MISSING) if value is fact or isinstance(value, dict) else MISSING
        else:
            value = value[step] if isinstance(value, list) and step < len(value) else MISSING
    return value


def dereference(fact: Fact, path: Iterable[str]) -> Json | Missing:
    """The value that the path of a reference leads to; its digits are places where an array is."""
    value: Json | Missing = cast("Json", fact)
    for part in path:
        if isinstance(value, list):
            step: str | int = int(part) if part.isdecimal() and len(part) < _MAX_DIGITS else part
            value = follow({"": value}, ("", step))
        else:
            value = value.get(part, MISSING) if value is fact or isinstance(value, dict) else MISSING
    return value
