"""When a pattern is satisfied for a key: at each true event, after a streak, or after a count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Protocol

from holdfast.conditions import lookup
from holdfast.correlate.keys import typed
from holdfast.correlate.shelf import Shelf
from holdfast.correlate.states import FIRED, Distinct, Reach, Streaks, Window
from holdfast.model.events import Event
from holdfast.model.rules import Pattern
from holdfast.model.values import Fact, Millis, Truth


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much is remembered: keys per pattern, and how late an event may come and still count."""

    max_keys: int
    lateness: Millis


class Primitive(Protocol):
    """The memory of one pattern. Keys are texts; every method is about one key."""

    @property
    def shelf(self) -> Shelf[Any] | None:
        """What is remembered, where anything is."""

    def see(self, key: str, truth: Truth, event: Event, fact: Fact) -> bool:
        """Take in one event of the pattern's type; True if the pattern is satisfied with it."""

    def fired(self, key: str, event: Event) -> None:
        """What `see` found was used."""

    def forget(self, key: str) -> None:
        """Start from nothing."""

    def so_far(self, key: str, event: Event) -> int:
        """How many events before this one count towards the pattern."""


def primitive(pattern: Pattern, bounds: Bounds) -> Primitive:
    """The memory that a pattern needs."""
    if pattern.streak is not None:
        return Streak(pattern.streak, bounds)
    if pattern.count is None:
        return Each()
    if pattern.distinct is None:
        return Count(pattern.count, pattern.within or 0, bounds)
    return CountDistinct(pattern.count, pattern.within or 0, pattern.distinct, bounds)


class Each:
    """Every true event satisfies; nothing is remembered."""

    shelf: Final = None

    def see(self, key: str, truth: Truth, event: Event, fact: Fact) -> bool:
        """True if the event is."""
        del key, event, fact
        return truth is Truth.TRUE

    def fired(self, key: str, event: Event) -> None:
        """Nothing to remember."""

    def forget(self, key: str) -> None:
        """Nothing to forget."""

    def so_far(self, key: str, event: Event) -> int:
        """None are needed before."""
        del key, event
        return 0


class Streak:
    """So many in a row from one source; fires once, and again only after a false one."""

    def __init__(self, needed: int, bounds: Bounds) -> None:
        self.shelf: Final = Shelf(Streaks, bounds.max_keys)
        self._needed = needed

    def see(self, key: str, truth: Truth, event: Event, fact: Fact) -> bool:
        """True if the streak is long enough with this event and has not fired yet."""
        del fact
        state = self.shelf.take(key)
        changed = state.see(truth, event.source, self._needed)
        self.shelf.put(key, state, event.received, changed=changed)
        return truth is Truth.TRUE and state.lengths[event.source] == self._needed

    def fired(self, key: str, event: Event) -> None:
        """Wait for a false one from this source."""
        state = self.shelf.take(key)
        state.lengths[event.source] = FIRED
        self.shelf.put(key, state, event.received)

    def forget(self, key: str) -> None:
        """Start from nothing, for every source."""
        self.shelf.drop(key)

    def so_far(self, key: str, event: Event) -> int:
        """The length of the streak of this source."""
        length = self.shelf.take(key).lengths.get(event.source, 0)
        return self._needed if length == FIRED else length


class Count:
    """So many true events whose source times lie within a span; starts from zero after firing."""

    def __init__(self, needed: int, within: Millis, bounds: Bounds) -> None:
        self.shelf: Final = Shelf(Window, bounds.max_keys)
        self._needed = needed
        self._within = within
        self._lateness = bounds.lateness

    def see(self, key: str, truth: Truth, event: Event, fact: Fact) -> bool:
        """True if this event completes the count."""
        del fact
        if truth is not Truth.TRUE:
            return False
        state = self.shelf.take(key)
        reach = Reach(self._needed, self._within, event.received - self._within - self._lateness)
        seen = state.see(event.time, reach)
        self.shelf.put(key, state, event.received)
        self.shelf.evicted += seen.dropped
        return seen.completed

    def fired(self, key: str, event: Event) -> None:
        """Start from zero."""
        del event
        self.shelf.drop(key)

    def forget(self, key: str) -> None:
        """Start from zero."""
        self.shelf.drop(key)

    def so_far(self, key: str, event: Event) -> int:
        """How many lie within the span before this event."""
        times = self.shelf.take(key).times
        return sum(event.time - self._within <= time <= event.time for time in times)


class CountDistinct:
    """As `Count`, over different values of a path; a missing value, list or object counts for none."""

    def __init__(self, needed: int, within: Millis, path: str, bounds: Bounds) -> None:
        self.shelf: Final = Shelf(Distinct, bounds.max_keys)
        self._needed = needed
        self._within = within
        self._path = path
        self._lateness = bounds.lateness

    def see(self, key: str, truth: Truth, event: Event, fact: Fact) -> bool:
        """True if this event completes the count."""
        value = typed(lookup(fact, self._path))
        if truth is not Truth.TRUE or value is None:
            return False
        state = self.shelf.take(key)
        reach = Reach(self._needed, self._within, event.received - self._within - self._lateness)
        seen = state.see(value, event.time, reach)
        self.shelf.put(key, state, event.received)
        self.shelf.evicted += seen.dropped
        return seen.completed

    def fired(self, key: str, event: Event) -> None:
        """Start from zero."""
        del event
        self.shelf.drop(key)

    def forget(self, key: str) -> None:
        """Start from zero."""
        self.shelf.drop(key)

    def so_far(self, key: str, event: Event) -> int:
        """How many values lie within the span before this event, its own left out."""
        own = typed(lookup(event.fact(), self._path))
        values = self.shelf.take(key).values
        return sum(
            event.time - self._within <= time <= event.time for name, time in values.items() if name != own
        )
