"""What every matching engine promises, and which pairs of pattern and condition it has to watch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, Protocol

from holdfast.conditions import split_join
from holdfast.model.conditions import Condition
from holdfast.model.events import Event
from holdfast.model.rules import Pattern, Rule
from holdfast.model.values import Truth

#: Pattern key → answer, for every pattern (when, unless, clears) of the event's type.
Findings = Mapping[str, Truth]

_BELOW: Final = ".*"


class Engine(Protocol):
    """Looks at events one by one, without memory: what came before never changes an answer."""

    def match(self, events: Sequence[Event]) -> list[Findings]:
        """The findings of each event, in the same order.

        Raises EngineError when the engine died or was late; the events may be given to another one.
        """

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
