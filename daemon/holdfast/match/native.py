"""The matching engine in plain Python: no process to lose, and the one whose word counts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from types import MappingProxyType
from typing import Final

from holdfast.match.closures import Closure, compiled
from holdfast.match.engine import Findings, watched
from holdfast.model.events import Event
from holdfast.model.rules import Rule

_NOTHING: Final[Findings] = MappingProxyType({})
_Watched = tuple[tuple[str, Closure], ...]


class NativeEngine:
    """Matches events against the patterns of their type; patterns of other types cost nothing."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        by_type: defaultdict[str, list[tuple[str, Closure]]] = defaultdict(list)
        for pattern, condition in watched(rules):
            by_type[pattern.event].append((pattern.key, compiled(condition)))
        self._exact: dict[str, _Watched] = {}
        self._below: dict[str, _Watched] = {}
        for wanted, patterns in by_type.items():
            if wanted.endswith(".*"):
                self._below[wanted[:-1]] = tuple(patterns)
            else:
                self._exact[wanted] = tuple(patterns)
        # A sender may write a type of a thousand dots; nobody looks further than the config does.
        self._depth = max((prefix.count(".") for prefix in self._below), default=0)

    def match(self, events: Sequence[Event]) -> list[Findings]:
        """The findings of each event, in the same order; never raises."""
        return [self._match(event) for event in events]

    def close(self) -> None:
        """Nothing was started, so nothing is to be ended."""

    def _match(self, event: Event) -> Findings:
        patterns = self._exact.get(event.type, ())
        if self._depth:
            patterns += self._patterns_below(event.type)
        if not patterns:
            return _NOTHING
        fact = event.fact()
        return {key: test(fact) for key, test in patterns}

    def _patterns_below(self, event_type: str) -> _Watched:
        found: _Watched = ()
        prefix = ""
        for part in event_type.split(".", self._depth)[: self._depth]:
            prefix += part + "."
            if len(prefix) <= len(event_type):
                found += self._below.get(prefix, ())
        return found
