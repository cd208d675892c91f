"""What every matching engine promises, and which pairs of pattern and condition it has to watch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from holdfast.conditions import split_join
from holdfast.model.conditions import Condition
from holdfast.model.events import EngineMode, Event
from holdfast.model.rules import Pattern, Rule
from holdfast.model.values import Truth

#: Pattern key → answer, for every pattern (when, unless, clears) of the event's type.
Findings = Mapping[str, Truth]

_BELOW: Final = ".*"


@dataclass(frozen=True, slots=True)
class Figures:
    """What an engine has done since it was made; all but `mode`, `why` and `pid` are counts.

    `asked` events went through the engine process, `native` ones did not, for whatever reason.
    `confirmed` hits were found true natively as well; `compared` answers of any kind were looked at
    natively; `differences` are those that were not the same. `peak` is the largest resident size of
    the engine process in KiB.
    """

    mode: EngineMode
    why: str = ""
    pid: int = 0
    asked: int = 0
    native: int = 0
    facts: int = 0
    confirmed: int = 0
    compared: int = 0
    differences: int = 0
    deaths: int = 0
    late: int = 0
    nonsense: int = 0
    quarantined: int = 0
    started: int = 0
    peak: int = 0


class Engine(Protocol):
    """Looks at events one by one, without memory: what came before never changes an answer."""

    def start(self, seconds: float) -> None:
        """Begin to start what it needs, and wait that long for it; it answers before and without it too."""

    def announce(self) -> None:
        """It matches from now on: have reported how it is, and what becomes of it."""

    def match(self, events: Sequence[Event]) -> list[Findings]:
        """The findings of each event, in the same order; whatever happens, within a second."""

    def figures(self) -> Figures:
        """What it has done and how it is."""

    def close(self) -> None:
        """End whatever the engine started; it is not used again."""


def fits(wanted: str, event_type: str) -> bool:
    """Whether a pattern for `wanted` is about this type: `http.*` is about all types below `http`."""
    if wanted.endswith(_BELOW):
        return event_type.startswith(wanted[:-1])
    return event_type == wanted


def watched(rules: Iterable[Rule]) -> Iterator[tuple[Pattern, Condition]]:
    """Every pattern with the condition that its events are matched by.

    A guard is matched without the `same` that joins it to the firing event: that is not about one event.
    """
    for rule in rules:
        guards = {guard.pattern.key for guard in rule.unless}
        for pattern in rule.patterns():
            yield pattern, split_join(pattern.where)[0] if pattern.key in guards else pattern.where
