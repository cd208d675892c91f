"""Is a document of the right shape? Every answer of a JSON Schema, in words of this one config."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any, Final

import msgspec
from jsonschema import ValidationError

from holdfast.config.scalars import AmbiguousScalar, resolve
from holdfast.config.schemas import validator
from holdfast.config.tree import Document, Path, escaped, quoted
from holdfast.errors import Problem
from holdfast.model.values import Json

_MOST_LISTED: Final = 20
#: Among more names than this nothing similar is looked for: each is compared with each unknown one.
_MOST_COMPARED: Final = 200
#: Text that YAML reads as itself without quotes, also between brackets.
_PLAIN: Final = re.compile(r"(?:[A-Za-z0-9$/.]|-[^\s])(?:[^:#?,\[\]{}\s]|:(?=\S)| (?=[^\s#]))*")
_TYPES: Final = {
    "string": "text", "integer": "a whole number", "number": "a number",
    "boolean": "true or false", "object": "a mapping", "array": "a list", "null": "nothing",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Flaw:
    """One wrong part. What is merely `extra` can be left out, and the rest still be understood.

    `problem` is None where another problem says it already.
    """

    path: Path
    problem: Problem | None
    extra: bool = False


@dataclass(frozen=True, slots=True)
class _Finding:
    """What jsonschema found, without its many optional parts: the keyword, its value, and its schema."""

    keyword: str
    value: Any
    schema: Mapping[str, Any]
    instance: Any
    path: Path
    message: str
    about_key: bool

    @classmethod
    def of(cls, error: ValidationError) -> _Finding:
        """The finding; a wrong key has the path of that key."""
        about_key = "propertyNames" in error.absolute_schema_path
        path = tuple(error.absolute_path)
        return cls(
            keyword=str(error.validator),
            value=error.validator_value,
            schema=error.schema if isinstance(error.schema, Mapping) else {},
            instance=error.instance,
            path=(*path, str(error.instance)) if about_key else path,
            message=error.message,
            about_key=about_key,
        )


def check(document: Document, kind: str) -> list[Flaw]:
    """Every way in which the document is not what its schema describes."""
    errors = [_Finding.of(error) for error in validator(kind).iter_errors(document.data)]
    suggested = {found for error in errors for found in _suggestions(error)}
    shut = {error.path for error in errors if error.keyword == "maxProperties" or error.about_key}
    flaws = {(path, ""): Flaw(path, None) for path in document.holes}
    for error in errors:
        said = any(error.path[:length] in document.holes for length in range(len(error.path) + 1))
        said = said or any(error.path[:length] in shut for length in range(len(error.path)))
        said = said or (error.path in shut and not (error.about_key or error.keyword == "maxProperties"))
        said = said or (error.keyword == "required" and (error.path, _missing(error)) in suggested)
        said = said or (error.keyword == "oneOf" and bool(_lacking(error) & suggested))
        for flaw in _flaws(document, error):
            words = flaw.problem.message if flaw.problem else ""
            flaws.setdefault((flaw.path, words), replace(flaw, problem=None) if said else flaw)
    return list(flaws.values())


def close_to(word: str, known: Iterable[str], cutoff: float = 0.75) -> str | None:
    """The known word that was probably meant, or None."""
    names = sorted(known)
    few = names if len(names) <= _MOST_COMPARED else []
    close = get_close_matches(word.lower(), few, n=1, cutoff=cutoff)
    longer = [name for name in names if len(word) >= 3 and name.startswith(word.lower())]
    return next(iter(close or longer), None)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """` (did you mean ...?)` where something similar is known, else what is known, else nothing."""
    names = sorted(known)
    close = close_to(word, names)
    if close:
        return f" (did you mean {close}?)"
    if not names:
        return ""
    listed = ", ".join(names[:_MOST_LISTED])
    return f" (there is {listed}{', …' if len(names) > _MOST_LISTED else ''})"


def _flaws(document: Document, error: _Finding) -> Iterable[Flaw]:
    if error.keyword == "additionalProperties":
        known = error.schema.get("properties", {})
        say = _said(error)
        for key in _unknown(error):
            close = close_to(key, known)
            message = f"unknown key {quoted(key)}{did_you_mean(key, known)}"
            message += f"; {say}" if say and not close else ""
            inner = (*error.path, key)
            yield Flaw(inner, document.problem(inner, message, key=True), extra=True)
        return
    if error.keyword == "oneOf" and not isinstance(error.instance, dict):
        return  # its type is wrong already
    words = _WORDS.get(error.keyword, _other)(error, document)
    yield Flaw(error.path, document.problem(error.path, words, key=error.about_key))


def _unknown(error: _Finding) -> list[str]:
    return [key for key in error.instance if key not in error.schema.get("properties", {})]


def _suggestions(error: _Finding) -> Iterable[tuple[Path, str]]:
    """The missing keys that an unknown key was probably meant to be."""
    if error.keyword == "additionalProperties":
        for key in _unknown(error):
            close = close_to(key, error.schema.get("properties", {}))
            if close:
                yield error.path, close


def _missing(error: _Finding) -> str:
    return error.message.split("'")[1]


def _lacking(error: _Finding) -> set[tuple[Path, str]]:
    """The keys of which one is missing; none where there are too many."""
    names = [name for branch in error.value for name in branch["required"]]
    found = isinstance(error.instance, dict) and any(name in error.instance for name in names)
    return set() if found else {(error.path, name) for name in names}


def _said(error: _Finding) -> str:
    return str(error.schema.get("x-say", {}).get(error.keyword, ""))


def title_of(schema: Mapping[str, Any]) -> str:
    """What a schema calls its values: its title, else the names of its types."""
    if "title" in schema:
        return str(schema["title"])
    kinds = schema.get("type", [])
    return " or ".join(_TYPES[kind] for kind in ([kinds] if isinstance(kinds, str) else kinds))


def _right(error: _Finding) -> str:
    """What would be right, in brackets."""
    examples = error.schema.get("examples", [])
    said = _said(error) or (f"for example {flow(examples[0])}" if examples else "")
    return f" ({said})" if said else ""


def flow(value: Json) -> str:
    """A value as one would write it in one line of YAML."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(flow(item) for item in value) + "]"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, str) and not _is_plain(value):
        return msgspec.json.encode(value).decode()
    return str(value)


def _is_plain(text: str) -> bool:
    try:
        return bool(_PLAIN.fullmatch(text)) and resolve(text) == text
    except AmbiguousScalar:
        return False


def _shown(error: _Finding) -> str:
    """The value, unless it may hold what nobody should read in a log."""
    return "this" if error.schema.get("x-secret") else quoted(error.instance)


def _wrong_type(error: _Finding, document: Document) -> str:
    wanted = error.value
    if isinstance(error.instance, dict) and error.path in document.braces:
        word = escaped(next(iter(error.instance)).removeprefix("$"))
        return f"YAML reads {{{word}}} as a mapping (write ${word} or quote it)"
    if error.instance is None:
        return f"this is empty, and {title_of(error.schema)} belongs here{_right(error)}"
    plain = isinstance(error.instance, bool | int | float)
    if wanted == "string" and plain and not _said(error) and not error.schema.get("x-secret"):
        return f"{_shown(error)} is no text (quote it)"
    return f"{_shown(error)} is not {title_of(error.schema)}{_right(error)}"


def _wrong_enum(error: _Finding, _document: Document) -> str:
    allowed = [flow(item) for item in error.value]
    if _said(error):
        return f"{quoted(error.instance)} is not known{_right(error)}"
    if len(allowed) == 1:
        return f"{quoted(error.instance)} is not right (write {allowed[0]})"
    close = close_to(str(error.instance), allowed)
    hint = f"did you mean {close}?" if close else f"write {', '.join(allowed[:-1])} or {allowed[-1]}"
    return f"{quoted(error.instance)} is not {error.schema.get('title', 'known')} ({hint})"


def _wrong_pattern(error: _Finding, _document: Document) -> str:
    return f"{_shown(error)} is not {title_of(error.schema)}{_right(error)}"


def _required(error: _Finding, _document: Document) -> str:
    missing = _missing(error)
    schema = error.schema.get("properties", {}).get(missing, {})
    examples = schema.get("examples", [])
    return f"`{missing}` is missing" + (f" (for example {missing}: {flow(examples[0])})" if examples else "")


def _one_of(error: _Finding, _document: Document) -> str:
    names = [name for branch in error.value for name in branch["required"]]
    found = [name for name in names if name in error.instance]
    right = f"{', '.join(names[:-1])} or {names[-1]}"
    if not found:
        return f"one key is missing: {right}"
    return f"{' and '.join(found)} stand side by side (write one of {right})"


def _dependent(error: _Finding, _document: Document) -> str:
    missing, given = error.message.split("'")[1::2]
    return f"`{given}` needs `{missing}` beside it"


def _too_few(error: _Finding, _document: Document) -> str:
    return _said(error) or f"this is empty, and {title_of(error.schema)} belongs here{_right(error)}"


def _too_many(error: _Finding, _document: Document) -> str:
    return _said(error) or f"this is too long (at most {error.value})"


def _out_of_range(error: _Finding, _document: Document) -> str:
    bound = "at least" if error.keyword == "minimum" else "at most"
    return f"{quoted(error.instance)} is out of range (write {bound} {error.value})"


def _twice(_error: _Finding, _document: Document) -> str:
    return "the same item is here twice"


def _not_that(error: _Finding, _document: Document) -> str:
    return f"{quoted(error.instance)} {_said(error)}"


def _other(error: _Finding, _document: Document) -> str:
    return f"{_shown(error)} is not right here{_right(error)}"


_WORDS: Final[Mapping[str, Callable[[_Finding, Document], str]]] = {
    "type": _wrong_type,
    "enum": _wrong_enum,
    "pattern": _wrong_pattern,
    "required": _required,
    "oneOf": _one_of,
    "dependentRequired": _dependent,
    "minItems": _too_few, "minProperties": _too_few, "minLength": _too_few,
    "maxItems": _too_many, "maxProperties": _too_many, "maxLength": _too_many,
    "minimum": _out_of_range, "maximum": _out_of_range,
    "uniqueItems": _twice,
    "not": _not_that,
}  # fmt: skip
