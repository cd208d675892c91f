"""A strict reader of YAML 1.2 that finds every problem of a file and never guesses.

PyYAML parses; this module composes, so that anchors, tags, merge keys, duplicate keys, deep nesting
and text that YAML would cut in silence are refused with their place. Documents are cut at `---`
first: a syntax error in one does not hide the next.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NoReturn, Protocol

import yaml

from holdfast.config.scalars import AmbiguousScalar, resolve
from holdfast.config.syntax import explain
from holdfast.config.tree import Document, Path, Place, escaped, spelled
from holdfast.errors import Problem
from holdfast.model.values import Json

#: No file of a config repository comes near; beyond it lies a mistake or an attack.
MAX_BYTES: Final = 1_000_000
MAX_DEPTH: Final = 24
#: Values of one file; a document counts as one at least.
MAX_VALUES: Final = 50_000
#: Keys whose value people write as a plain sentence: there a ` #` is rarely meant as a comment.
SENTENCES: Final = frozenset({"title", "doc", "ask"})

#: Stands in paths for a key that cannot be one.
_NO_KEY: Final = "?"
_BREAK: Final = re.compile(r"\r\n|\n|\r")
_DIVIDER: Final = re.compile(r"---(\s|$)")
_UNREADABLE: Final = re.compile(
    "[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
_COMMENT: Final = re.compile(r"\s+#")
_WORD: Final = re.compile(r"\$?[A-Za-z_][\w.-]*")


@dataclass(frozen=True, slots=True)
class ReadFile:
    """What one file holds. `complete` is false where a document could not be read at all; `values`
    counts what was read."""

    documents: tuple[Document, ...]
    problems: tuple[Problem, ...]
    complete: bool
    values: int = field(default=0, compare=False)


class _Mark(Protocol):
    """A place as PyYAML counts it, from 0."""

    @property
    def line(self) -> int: ...

    @property
    def column(self) -> int: ...


class _Unreadable(Exception):
    """The rest of this document cannot be read; the problem is already written down."""


def read(file: str, content: bytes) -> ReadFile:
    """Read every document of a file; whatever the bytes are, the answer is data or problems."""
    text, problem = _decode(file, content)
    if problem is not None:
        return ReadFile((), (problem,), complete=False)
    documents: list[Document] = []
    problems: list[Problem] = []
    complete = True
    count = 0
    for first_line, lines in _chunks(text):
        composer = _Composer(file, first_line, lines, problems, count)
        try:
            documents.extend(composer.documents())
        except _Unreadable:
            complete = False
        count = composer.count
        if count > MAX_VALUES:
            break
    return ReadFile(tuple(documents), tuple(problems), complete, count)


def too_large(size: int) -> str:
    """What is said about a file of more than MAX_BYTES."""
    return f"the file has {size:,} bytes, and at most {MAX_BYTES:,} are read (split the file)"


def _decode(file: str, content: bytes) -> tuple[str, Problem | None]:
    if len(content) > MAX_BYTES:
        return "", Problem(file, 1, 1, "", too_large(len(content)))
    try:
        text = content.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode(errors="replace")
        place = _place_after(before)
        return "", Problem(file, *place, "", "this is not UTF-8 text (save the file as UTF-8)")
    found = _UNREADABLE.search(text)
    if found:
        place = _place_after(text[: found.start()])
        name = f"U+{ord(found.group()):04X}"
        return "", Problem(
            file, *place, "", f'a character that cannot be seen, {name} (write it as "\\u....")'
        )
    return text, None


def _place_after(text: str) -> Place:
    lines = _BREAK.split(text)
    return Place(len(lines), len(lines[-1]) + 1)


def _chunks(text: str) -> Iterator[tuple[int, list[str]]]:
    """The documents as text, each with the number of lines before it."""
    lines = _BREAK.split(text)
    start = 0
    for number, line in enumerate(lines):
        if number > start and _DIVIDER.match(line):
            yield start, lines[start:number]
            start = number
    yield start, lines[start:]


@dataclass(slots=True)
class _Composer:
    """Turns the parser's events into data with places; one per `---` chunk."""

    file: str
    first_line: int
    lines: list[str]
    problems: list[Problem]
    #: Values of the file so far.
    count: int
    parser: yaml.SafeLoader = field(init=False)
    values: dict[Path, Place] = field(default_factory=dict)
    keys: dict[Path, Place] = field(default_factory=dict)
    braces: set[Path] = field(default_factory=set)
    holes: set[Path] = field(default_factory=set)
    anchored: bool = False

    def documents(self) -> Iterator[Document]:
        """Every document that is not empty. Raises _Unreadable after writing down why."""
        self._counted(None)
        self._refuse_directives()
        self.parser = yaml.SafeLoader("\n".join(self.lines))
        while True:
            event = self._next()
            if isinstance(event, yaml.StreamEndEvent):
                return
            if not isinstance(event, yaml.DocumentStartEvent):
                continue
            self.values, self.keys, self.braces, self.holes = {}, {}, set(), set()
            root = self._next()
            data = self._value(root, ())
            if data is None:
                continue
            if not isinstance(data, dict):
                self._say(root, (), "a document is `key: value` lines, and its first key says what it is")
                continue
            yield Document(
                self.file, data, self.values, self.keys, frozenset(self.braces), frozenset(self.holes)
            )

    def _refuse_directives(self) -> None:
        for number, line in enumerate(self.lines):
            if line.startswith("%"):
                message = "`%` directives are not supported (remove the line)"
                self.problems.append(Problem(self.file, self.first_line + number + 1, 1, "", message))
                raise _Unreadable
            if line.strip() and not line.lstrip().startswith("#"):
                return

    def _next(self) -> yaml.Event:
        try:
            event: yaml.Event = self.parser.get_event()  # type: ignore[no-untyped-call]
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark or self.parser.get_mark()
            line = self.lines[min(mark.line, len(self.lines) - 1)]
            sentence, opened = explain(error, line)
            self._stop((error.context_mark or mark) if opened else mark, sentence)
        except (ValueError, OverflowError):  # PyYAML on an escape beyond Unicode
            self._stop(self.parser.get_mark(), "an escape that names no character")
        return event

    def _stop(self, mark: _Mark | None, message: str) -> NoReturn:
        self.problems.append(Problem(self.file, *self._place(mark), "", message))
        raise _Unreadable

    def _place(self, mark: _Mark | None) -> Place:
        if mark is None:
            return Place(self.first_line + 1, 1)
        return Place(self.first_line + mark.line + 1, mark.column + 1)

    def _counted(self, mark: _Mark | None) -> None:
        self.count += 1
        if self.count > MAX_VALUES:
            self._stop(mark, f"more than {MAX_VALUES:,} values in one file (split it)")

    def _refuse(self, event: yaml.Event, path: Path, message: str) -> None:
        self.holes.add(path)
        self._say(event, path, message)

    def _say(self, event: yaml.Event, path: Path, message: str) -> None:
        place = self._place(event.start_mark)
        self.problems.append(Problem(self.file, *place, spelled(path), message))

    def _value(self, event: yaml.Event, path: Path) -> Json:
        self.values[path] = self._place(event.start_mark)
        if len(path) > MAX_DEPTH:
            self._stop(event.start_mark, f"nested deeper than {MAX_DEPTH} levels")
        self._counted(event.start_mark)
        self._refuse_anchor(event, path)
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(event, path)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(path)
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event, path)
        return None  # an alias, already refused

    def _refuse_anchor(self, event: yaml.Event, path: Path) -> None:
        if getattr(event, "anchor", None) is not None:
            self.holes.add(path)
            if not self.anchored:
                self.anchored = True
                right = "write the value out; quote text with & or *"
                self._say(event, path, f"anchors and aliases are not supported ({right})")
        tag = getattr(event, "tag", None)
        if tag is not None:
            shown = escaped(tag.replace("tag:yaml.org,2002:", "!!"))
            self._refuse(event, path, f"the tag {shown} is not supported (quote what is text)")

    def _sequence(self, path: Path) -> list[Json]:
        items: list[Json] = []
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            items.append(self._value(event, (*path, len(items))))
        return items

    def _mapping(self, start: yaml.MappingStartEvent, path: Path) -> dict[str, Json]:
        data: dict[str, Json] = {}
        bare = bool(start.flow_style)
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            key = self._key(event, path)
            value_event = self._next()
            bare = bare and isinstance(value_event, yaml.ScalarEvent) and _is_bare(value_event)
            inner = (*path, _NO_KEY if key is None else key)
            if key is None or key in data:
                self._value(value_event, inner)  # read on, to find what else is wrong
                continue
            self.keys[inner] = self._place(event.start_mark)
            data[key] = self._value(value_event, inner)
            if key in SENTENCES:
                self._refuse_cut(value_event, inner)
        if bare and len(data) == 1 and _WORD.fullmatch(next(iter(data))):
            self.braces.add(path)
        return data

    def _key(self, event: yaml.Event, path: Path) -> str | None:
        """The key as written, or None after saying why it cannot be one."""
        if not isinstance(event, yaml.ScalarEvent):
            if _NO_KEY not in path:
                self._refuse(event, path, "a key is one word (write $x instead of {x}, or quote it)")
            self._value(event, (*path, _NO_KEY))
            return None
        self._refuse_anchor(event, path)
        if not event.style and event.value in {"", "<<"}:
            what = "merge keys are not supported (write the keys out)" if event.value else "a key is missing"
            self._refuse(event, path, what)
            return None
        if _UNREADABLE.search(event.value) or "\n" in event.value:
            self._refuse(event, path, "a key holds a control character")
            return None
        first = self.keys.get((*path, event.value))
        if first is not None:
            self._say(event, (*path, event.value), f"this key is here twice (first on line {first.line})")
        return str(event.value)

    def _scalar(self, event: yaml.ScalarEvent, path: Path) -> Json:
        if event.style:
            if _UNREADABLE.search(event.value):
                self._refuse(event, path, "the text holds a control character (leave it out)")
            return str(event.value)
        try:
            return resolve(event.value)
        except AmbiguousScalar as error:
            self._refuse(event, path, str(error))
            return None

    def _refuse_cut(self, event: yaml.Event, path: Path) -> None:
        """YAML cuts a plain sentence at ` #` without a word."""
        if not isinstance(event, yaml.ScalarEvent) or event.style:
            return
        line, column = self._place(event.end_mark)
        rest = self.lines[line - self.first_line - 1][column - 1 :]
        if _COMMENT.match(rest):
            self._refuse(event, path, "the text ends where the ` #` begins (quote it)")


def _is_bare(event: yaml.ScalarEvent) -> bool:
    return not event.style and event.value == ""
