"""What correlation tells the pipeline about one event."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from holdfast.model.events import Event
from holdfast.model.rules import GuardEffect
from holdfast.model.values import Millis, Truth

#: The values of a rule's `per`, as text. Where every one of them is null, the subject follows: events
#: without a service are told apart by it, and never mistaken for a service of that name.
Key = tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class GuardFound:
    """One `unless` that holds (true), or of which nobody can say (unknown), and the event that did it.

    `source`, `event` and `time` (its source time) name that event.
    """

    name: str
    effect: GuardEffect
    truth: Truth
    source: str
    event: str
    time: Millis


@dataclass(frozen=True, slots=True)
class Firing:
    """One rule found what it looks for. `guards` hold; `unknown_guards` may, and count as not holding."""

    rule: str
    key: Key
    event: Event
    guards: tuple[GuardFound, ...] = ()
    unknown_guards: tuple[GuardFound, ...] = ()


@dataclass(frozen=True, slots=True)
class Cleared:
    """One rule saw its key well again. Comes whether or not anything is open."""

    rule: str
    key: Key
    event: Event


@dataclass(frozen=True, slots=True)
class Signals:
    """Everything that one event set off, by rule name. `silenced` is what a guard kept from firing."""

    firings: tuple[Firing, ...] = ()
    cleared: tuple[Cleared, ...] = ()
    silenced: tuple[Firing, ...] = ()


NOTHING: Final = Signals()
