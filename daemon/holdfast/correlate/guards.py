"""`unless`: what happened lately that holds a rule back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from holdfast.conditions import MISSING, Missing, dereference, lookup, split_join
from holdfast.correlate.keys import encoded, short, typed
from holdfast.correlate.primitives import Bounds, primitive
from holdfast.correlate.shelf import Shelf
from holdfast.correlate.signals import GuardFound
from holdfast.correlate.states import Held, Mark, newer
from holdfast.model.events import Event
from holdfast.model.rules import Guard
from holdfast.model.values import Fact, Json, Ref, Truth

#: The key of what concerns every joined value. It sorts behind the others, which start with a bracket,
#: so that of equally old states it is the last to go.
_EVERY: Final = "~"


class GuardWatch:
    """Remembers, per joined value, when a guard last held and when that could last not be said.

    Events of the guard are taken in as they come, and looked up when the rule is about to fire. An
    event that came before counts even if its source time is later: its clock may be ahead.
    """

    def __init__(self, guard: Guard, alias: str, bounds: Bounds) -> None:
        where, joins = split_join(guard.pattern.where)
        self.pattern: Final = replace(guard.pattern, where=where)
        self.joins: Final = (*guard.join, *joins)
        self.primitive: Final = primitive(guard.pattern, bounds)
        self.memory: Final = Shelf(Held, bounds.max_keys)
        self._guard = guard
        self._alias = alias

    def see(self, event: Event, fact: Fact, truth: Truth) -> None:
        """Take in one event of the guard's type."""
        key = _joined(lookup(fact, path) for path, _ in self.joins)
        mark = Mark(event.time, short(event.source), short(event.id))
        if key is None:
            # Nobody can say what it is about, so it may be about whatever fires.
            if truth is not Truth.FALSE:
                self._remember(_EVERY, event, unknown=mark, held=mark)
            return
        if self.primitive.see(key, truth, event, fact):
            self._remember(key, event, held=mark)
        elif truth is Truth.UNKNOWN:
            self._remember(key, event, unknown=mark)
        else:
            return
        if self.joins:
            self._remember(_EVERY, event, held=mark)

    def look(self, event: Event, fact: Fact) -> GuardFound | None:
        """What this guard says to a firing on `event`; None if it does not hold, for certain."""
        key = _joined(self._bound(fact, ref) for _, ref in self.joins)
        every = self.memory.take(_EVERY)
        if key is None:
            return self._found(Truth.UNKNOWN, every.held, event)
        own = self.memory.take(key)
        return (
            self._found(Truth.TRUE, own.held, event)
            or self._found(Truth.UNKNOWN, own.unknown, event)
            or self._found(Truth.UNKNOWN, every.unknown, event)
        )

    def _bound(self, fact: Fact, ref: Ref) -> Json | Missing:
        return dereference(fact, ref.path) if ref.alias == self._alias else MISSING

    def _remember(
        self, key: str, event: Event, *, held: Mark | None = None, unknown: Mark | None = None
    ) -> None:
        state = self.memory.take(key)
        state.held = newer(held, state.held) if held else state.held
        state.unknown = newer(unknown, state.unknown) if unknown else state.unknown
        self.memory.put(key, state, event.received)

    def _found(self, truth: Truth, mark: Mark | None, event: Event) -> GuardFound | None:
        if mark is None or mark.time < event.time - self._guard.within:
            return None
        return GuardFound(self.pattern.alias, self._guard.effect, truth, mark.source, mark.event, mark.time)


def _joined(values: Iterable[Json | Missing]) -> str | None:
    """One key for the joined values; None where one of them equals nothing."""
    texts = [typed(value) for value in values]
    return None if None in texts else encoded(texts)
