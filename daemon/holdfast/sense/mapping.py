"""`map:`, the way to read a source without code: path, regex, table, cast, default."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import re2

from holdfast.conditions.paths import parse_path
from holdfast.model.snapshot import Mapped
from holdfast.model.values import Json
from holdfast.sense.cast import cast
from holdfast.sense.payload import kind_of
from holdfast.sense.refusal import Unprocessable


def at(document: Json, path: tuple[str | int, ...]) -> Json:
    """What stands at a path of plain keys and indexes; None where there is nothing."""
    for step in path:
        if isinstance(step, str) and isinstance(document, dict):
            document = document.get(step)
        elif isinstance(step, int) and isinstance(document, list) and 0 <= step < len(document):
            document = document[step]
        else:
            return None
    return document


def read(mapped: Mapped, document: Json) -> Json:
    """The value of one mapped field, or None where the document has none and there is no default.

    Raises Unprocessable when the value is there and is not of the type that the map asks for.
    """
    if mapped.source is None:
        return mapped.constant
    value = at(document, mapped.source)
    if value is not None and mapped.regex is not None:
        value = _part(value, mapped.regex)
    if value is not None and mapped.table is not None:
        text = _text(value)
        value = None if text is None else mapped.table.get(text)
    if value is None:
        return mapped.default
    if mapped.cast is None:
        return value
    try:
        return cast(value, mapped.cast)
    except ValueError as error:
        raise Unprocessable(
            f"{mapped.target} should be {mapped.cast} and is {kind_of(value)}.",
            "Send the type that the source's map asks for, or change the map.",
        ) from error


@lru_cache(maxsize=4096)
def steps(path: str) -> tuple[str | int, ...]:
    """The steps of a dotted path of the config, which checked it when it was loaded."""
    return parse_path(path)


def place(data: dict[str, Json], path: tuple[str | int, ...], value: Json) -> dict[str, Json]:
    """The same data with one more value; nothing that was given is changed."""
    first, *rest = path
    below = data.get(str(first))
    inner = place(below if isinstance(below, dict) else {}, tuple(rest), value) if rest else value
    return {**data, str(first): inner}


def _part(value: Json, regex: str) -> Json:
    """The named group `value` of the first match, else group 1, else the match; None without one."""
    text = _text(value)
    if text is None:
        return None
    pattern = _compiled(regex)
    found = pattern.search(text)
    if found is None:
        return None
    part: str | None = found.group("value" if "value" in pattern.groupindex else min(1, pattern.groups))
    return part


@lru_cache(maxsize=512)
def _compiled(regex: str) -> Any:
    return re2.compile(regex)


def _text(value: Json) -> str | None:
    """A scalar as a table or a regex sees it: as JSON writes it. None for containers."""
    if isinstance(value, dict | list) or value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
