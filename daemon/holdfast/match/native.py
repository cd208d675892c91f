"""The matching engine in plain Python: no process to lose, and the one whose word counts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from holdfast.match.closures import Closure, compiled
from holdfast.match.engine import Figures, Findings, watched
from holdfast.match.index import TypeIndex
from holdfast.model.events import EngineMode, Event
from holdfast.model.rules import Rule
from holdfast.model.values import Fact, Truth

_NOTHING: Final[Findings] = MappingProxyType({})


class NativeEngine:
    """Matches events against the patterns of their type; patterns of other types cost nothing."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        by_type: defaultdict[str, list[tuple[str, Closure]]] = defaultdict(list)
        for pattern, condition in watched(rules):
            by_type[pattern.event].append((pattern.key, compiled(condition)))
        self._index = TypeIndex(by_type)
        self._tests: Mapping[str, Closure] = {
            key: test for patterns in by_type.values() for key, test in patterns
        }
        self._events = 0

    def start(self, seconds: float) -> None:
        """Nothing has to be started."""

    def announce(self) -> None:
        """Nothing becomes of it."""

    def match(self, events: Sequence[Event]) -> list[Findings]:
        """The findings of each event, in the same order; never raises."""
        found = [self.match_one(event) for event in events]
        self._events += sum(map(bool, found))
        return found

    def match_one(self, event: Event) -> Findings:
        """The findings of one event."""
        patterns = self._index.of(event.type)
        if not patterns:
            return _NOTHING
        fact = event.fact()
        return {key: test(fact) for key, test in patterns}

    def test(self, key: str, fact: Fact) -> Truth:
        """What one pattern says of a fact."""
        return self._tests[key](fact)

    def figures(self) -> Figures:
        """What it has done."""
        return Figures(mode=EngineMode.NATIVE, why="asked for by the config", native=self._events)

    def close(self) -> None:
        """Nothing was started, so nothing is to be ended."""
