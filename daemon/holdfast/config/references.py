"""The small language inside strings: `$alias.path`, texts with references, paths and durations.

Every function raises BadReference with a sentence that says what to write instead.
"""

from __future__ import annotations

import re
from typing import Final

from holdfast.config.tree import quoted
from holdfast.model.values import DAY, HOUR, MINUTE, SECOND, Millis, Ref, Scalar, Secret, Text, Value

#: A name between dots; it never ends in punctuation, so that a sentence can go on behind it.
_SEGMENT: Final = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?"
_BRACKET: Final = r'\["[^"\\]+"\]|\[[0-9]{1,6}\]'
_TAIL: Final = rf"(?:\.{_SEGMENT}|{_BRACKET})*"
_ALIAS: Final = r"[a-z](?:[a-z0-9_-]*[a-z0-9_])?"
_REFERENCE: Final = re.compile(rf"\$({_ALIAS})({_TAIL})")
_IN_TEXT: Final = re.compile(rf"\$(?:(\$)|({_ALIAS})({_TAIL}))?")
_JSON_PATH: Final = re.compile(rf"\$({_TAIL})")
_PART: Final = re.compile(rf"({_SEGMENT})|\[\"([^\"\\]+)\"\]|\[([0-9]{{1,6}})\]")
_DURATION: Final = re.compile(r"([1-9][0-9]{0,8})(ms|s|m|h|d)")
_UNITS: Final = {"ms": 1, "s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY}
#: Long enough for every window; keeps sums of durations far inside 64 bits.
LONGEST: Final[Millis] = 3660 * DAY


class BadReference(ValueError):
    """The text is not the reference, path or duration that belongs here."""


def duration(text: str) -> Millis:
    """`500ms`, `10s`, `5m`, `1h` or `2d` in milliseconds."""
    found = _DURATION.fullmatch(text)
    span = int(found[1]) * _UNITS[found[2]] if found else 0
    if not 0 < span <= LONGEST:
        raise BadReference(f"{quoted(text)} is not a duration (write 500ms, 10s, 5m, 1h or 2d)")
    return span


def secret(text: str) -> Secret:
    """`$secret.name`; the schema has seen to its form."""
    return Secret(text.removeprefix("$secret."))


def json_path(text: str) -> tuple[str | int, ...]:
    """The keys and indexes of a JSONPath `$.items[0]["a b"].id`; `$` alone is the whole message."""
    found = _JSON_PATH.fullmatch(text)
    if not found:
        right = 'write $.data.id, $.items[0] or $.labels["a/b"]; $$ is a dollar sign'
        raise BadReference(f"{quoted(text)} is not a JSONPath of keys and indexes ({right})")
    return tuple(
        int(index) if index else (name or bracket) for name, bracket, index in _PART.findall(found[1])
    )


def reference(text: str) -> Ref:
    """The whole text as one reference."""
    found = _REFERENCE.fullmatch(text)
    if not found:
        raise BadReference(f"{quoted(text)} is not a reference (write $alias.path, as in $probe.data.status)")
    return Ref(found[1], _parts(found[2]))


def value(item: Scalar) -> Value:
    """A parameter: a literal, or one whole reference. `$$` in a literal is a dollar sign."""
    if not isinstance(item, str) or "$" not in item:
        return item
    if _REFERENCE.fullmatch(item):
        return reference(item)
    parts = text(item).parts
    if any(isinstance(part, Ref) for part in parts):
        raise BadReference(f"{quoted(item)} mixes text and a reference (a reference is the whole value)")
    return "".join(str(part) for part in parts)


def literal(item: Scalar) -> Scalar:
    """A constant of a condition. Raises BadReference for a reference."""
    found = value(item)
    if isinstance(found, Ref):
        raise BadReference(
            f"{quoted(item)} is a reference, and a constant belongs here (write $$ for a dollar sign)"
        )
    return found


def text(template: str) -> Text:
    """A title or question. A path ends before trailing punctuation; `$$` is a dollar sign."""
    parts: list[str | Ref] = []
    end = 0
    for found in _IN_TEXT.finditer(template):
        dollar, alias, tail = found.groups()
        if dollar is None and alias is None:
            raise BadReference(f"a lone $ in {quoted(template)} (write $$ for a dollar sign)")
        _append(parts, template[end : found.start()] + (dollar or ""))
        if alias is not None:
            parts.append(Ref(alias, _parts(tail)))
        end = found.end()
    _append(parts, template[end:])
    return Text(tuple(parts))


def _append(parts: list[str | Ref], piece: str) -> None:
    if parts and isinstance(parts[-1], str):
        parts[-1] += piece
    elif piece:
        parts.append(piece)


def _parts(tail: str) -> tuple[str, ...]:
    found = _PART.findall(tail)
    if any(index for _, _, index in found):
        raise BadReference(f"{quoted(tail)} reaches into a list, which a reference cannot")
    return tuple(name or bracket for name, bracket, _ in found)
