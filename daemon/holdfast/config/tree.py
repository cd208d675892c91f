"""What the reader hands on: plain data, and where in the file each part of it stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from holdfast.errors import Problem
from holdfast.model.values import Json

#: The way from the top of a document to one value: keys and indexes.
Path = tuple[str | int, ...]

_LONGEST_SHOWN: Final = 60


class Place(NamedTuple):
    """Line and column, counted from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Document:
    """One YAML document: its data, the place of every value and of every key, and its first key."""

    file: str
    data: dict[str, Json]
    values: Mapping[Path, Place] = field(default_factory=dict)
    keys: Mapping[Path, Place] = field(default_factory=dict)
    #: Mappings of one bare word, `{x}`: most likely meant as text.
    braces: frozenset[Path] = frozenset()
    #: Values that the reader refused: what stands in their place means nothing.
    holes: frozenset[Path] = frozenset()

    @property
    def kind(self) -> str:
        """The first key, which says what the document declares; empty for an empty mapping."""
        return next(iter(self.data), "")

    @property
    def where(self) -> str:
        """File and line, for people."""
        return f"{self.file}:{self.place(()).line}"

    def place(self, path: Path, *, key: bool = False) -> Place:
        """The place of a value (or of its key); of the nearest one above it where it is missing."""
        while path:
            place = self.keys.get(path) if key else self.values.get(path)
            if place is not None:
                return place
            path = path[:-1]
        return self.values.get((), Place(1, 1))

    def with_data(self, data: dict[str, Json]) -> Document:
        """The same document with other data."""
        return replace(self, data=data)

    def problem(self, path: Path, message: str, *, key: bool = False) -> Problem:
        """A problem with the value at `path` (or with its key)."""
        place = self.place(path, key=key)
        return Problem(self.file, place.line, place.column, spelled(path), message)


@dataclass(frozen=True, slots=True)
class Sheet:
    """A document under review, and the list that its problems are written on."""

    document: Document
    problems: list[Problem]

    def say(self, path: Path, message: str, *, key: bool = False) -> None:
        """Write down one problem and go on."""
        self.problems.append(self.document.problem(path, message, key=key))


def spelled(path: Path) -> str:
    """A path as people write it: `contain[0].with.unit`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{escaped(part)}" if text else escaped(part)
    return text


def escaped(text: str) -> str:
    """The text on one line without control characters, cut where it is long."""
    shown = "".join(char if char.isprintable() else repr(char)[1:-1] for char in text[: _LONGEST_SHOWN + 1])
    return shown if len(shown) <= _LONGEST_SHOWN else f"{shown[:_LONGEST_SHOWN]}…"


def quoted(value: Json) -> str:
    """A value as one would find it in the file, on one line and cut where it is long."""
    if isinstance(value, str):
        return f"`{escaped(value)}`"
    if value is None or isinstance(value, bool):
        return {None: "nothing", True: "`true`", False: "`false`"}[value]
    if isinstance(value, int | float):
        return f"`{value}`"
    return "a list" if isinstance(value, list) else "a mapping"
