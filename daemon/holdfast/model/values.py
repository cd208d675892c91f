"""The smallest nouns: times, JSON, severities, references and templates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

#: Milliseconds: an instant since the Unix epoch, or a span. The whole daemon counts in this unit.
Millis = int

Scalar = None | bool | int | float | str
#: Plain JSON as it came off the wire; containers are never changed after they were read.
if TYPE_CHECKING:
    Json = Scalar | list["Json"] | dict[str, "Json"]
else:
    Json = Any  # decoders cannot follow a type into itself
#: What conditions look at: nested mappings, addressed by dotted paths (`data.status`).
Fact = Mapping[str, "Json"]

SECOND: Final[Millis] = 1000
MINUTE: Final[Millis] = 60 * SECOND
HOUR: Final[Millis] = 60 * MINUTE
DAY: Final[Millis] = 24 * HOUR


class Ordered(StrEnum):
    """An enum whose members are declared from least to most."""

    @property
    def rank(self) -> int:
        """Position in the declaration, 0 for the least."""
        return type(self)._member_names_.index(self.name)


class Severity(Ordered):
    """How bad the sender says it is, capped by the trust in the source."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


class Trust(Ordered):
    """How far a source is believed."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class Truth(StrEnum):
    """Three-valued logic: a missing field makes a condition unknown, and unknown satisfies nothing."""

    TRUE = "true"
    FALSE = "false"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Ref:
    """`$alias.path.to.value`: a value that is known only when a rule fires."""

    alias: str
    path: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "$" + ".".join((self.alias, *self.path))


@dataclass(frozen=True, slots=True)
class Secret:
    """`$secret.name`: resolved at the last moment, never stored, never logged."""

    name: str

    def __str__(self) -> str:
        return f"$secret.{self.name}"


@dataclass(frozen=True, slots=True)
class Text:
    """A title or question with references in it; references become text, never commands."""

    parts: tuple[str | Ref, ...]

    def __str__(self) -> str:
        return "".join(str(part) for part in self.parts)


#: What a step's parameter may be before it is bound: a literal, or one whole reference.
Value = Scalar | Ref
