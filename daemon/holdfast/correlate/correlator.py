"""One event at a time, in the order of the journal: which rules fire, and which see their key well."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from holdfast.correlate.guards import GuardWatch
from holdfast.correlate.keys import encoded, fingerprint, key_of, meaning
from holdfast.correlate.primitives import Bounds, primitive
from holdfast.correlate.shelf import Shelf
from holdfast.correlate.signals import NOTHING, Cleared, Firing, Key, Signals
from holdfast.model.events import Event
from holdfast.model.rules import GuardEffect, Pattern, Rule
from holdfast.model.values import HOUR, Fact, Millis, Truth

#: Where a state lives in the store: (hash of the pattern, key).
Place = tuple[str, str]


class Correlator:
    """Turns findings into signals and remembers what it needs for that; reads no clock.

    The same events in the same order give the same signals, whether the states stayed in memory or
    were saved and restored in between. `states` of patterns that no rule has any longer are given up:
    the first `changed` says so.
    """

    def __init__(
        self,
        rules: Iterable[Rule],
        states: Mapping[Place, bytes] | None = None,
        *,
        max_keys: int = 10_000,
        lateness: Millis = HOUR,
    ) -> None:
        bounds = Bounds(max(2, max_keys), lateness)
        self._rules = [RuleWatch(rule, bounds) for rule in sorted(rules, key=lambda rule: rule.name)]
        self._owner = {
            pattern.key: number
            for number, watch in enumerate(self._rules)
            for pattern in watch.rule.patterns()
        }
        self._shelves = {name: shelf for watch in self._rules for name, shelf in watch.shelves()}
        self._given_up: list[Place] = []
        for place, saved in (states or {}).items():
            shelf = self._shelves.get(place[0])
            if shelf is None:
                self._given_up.append(place)
            else:
                shelf.restore(place[1], saved)

    @property
    def evicted(self) -> int:
        """How many states were forgotten for want of room, since the start."""
        return sum(shelf.evicted for shelf in self._shelves.values())

    def advance(self, event: Event, findings: Mapping[str, Truth]) -> Signals:
        """Take in the next event of the journal with what the engine found in it."""
        concerned = sorted({self._owner[key] for key in findings if key in self._owner})
        if not concerned:
            return NOTHING
        fact = event.fact()
        found = [self._rules[number].advance(event, fact, findings) for number in concerned]
        firings = [firing for firing, _ in found if firing is not None]
        cleared = tuple(cleared for _, cleared in found if cleared is not None)
        if not firings and not cleared:
            return NOTHING
        return Signals(
            tuple(firing for firing in firings if not is_silenced(firing)),
            cleared,
            tuple(firing for firing in firings if is_silenced(firing)),
        )

    def changed(self) -> dict[Place, bytes | None]:
        """What has to be saved since the last call; None for what is gone."""
        saved: dict[Place, bytes | None] = dict.fromkeys(self._given_up)
        self._given_up.clear()
        for name, shelf in self._shelves.items():
            saved.update(((name, key), state) for key, state in shelf.unsaved())
        return saved

    def progress(self, event: Event) -> dict[str, int]:
        """How many earlier events of this event's key count towards each pattern, by pattern key."""
        fact = event.fact()
        return {key: count for watch in self._rules for key, count in watch.progress(event, fact)}


def is_silenced(firing: Firing) -> bool:
    """Whether a guard that holds keeps this firing quiet."""
    return any(guard.effect is GuardEffect.SILENCE for guard in firing.guards)


class RuleWatch:
    """One rule with the memory of its patterns."""

    def __init__(self, rule: Rule, bounds: Bounds) -> None:
        self.rule: Final = rule
        self._when = primitive(rule.when, bounds)
        self._clears = primitive(rule.clears, bounds) if isinstance(rule.clears, Pattern) else None
        self._guards = tuple(GuardWatch(guard, rule.when.alias, bounds) for guard in rule.unless)

    def shelves(self) -> Iterator[tuple[str, Shelf[Any]]]:
        """Everything remembered, under names that change only when the meaning of a pattern does."""
        rule = self.rule
        if self._when.shelf is not None:
            yield fingerprint(rule.name, "when", rule.per, meaning(rule.when)), self._when.shelf
        if self._clears is not None and self._clears.shelf is not None and isinstance(rule.clears, Pattern):
            yield fingerprint(rule.name, "clears", rule.per, meaning(rule.clears)), self._clears.shelf
        for watch in self._guards:
            joins = [(path, ref.alias == rule.when.alias, ref.path) for path, ref in watch.joins]
            parts = (rule.name, watch.pattern.alias, joins, meaning(watch.pattern))
            yield fingerprint("held", *parts), watch.memory
            if watch.primitive.shelf is not None:
                yield fingerprint("unless", *parts), watch.primitive.shelf

    def advance(
        self, event: Event, fact: Fact, findings: Mapping[str, Truth]
    ) -> tuple[Firing | None, Cleared | None]:
        """What the event means to this rule; an event that fires it does not clear it."""
        for watch in self._guards:
            truth = findings.get(watch.pattern.key)
            if truth is not None:
                watch.see(event, fact, truth)
        key = key_of(fact, self.rule.per)
        name = encoded(key)
        cleared = Cleared(self.rule.name, key, event) if self._is_well(name, event, fact, findings) else None
        truth = findings.get(self.rule.when.key)
        if truth is None or not self._when.see(name, truth, event, fact):
            return None, cleared
        firing = self._firing(key, event, fact)
        if is_silenced(firing):
            return firing, cleared
        self._when.fired(name, event)
        if self._clears is not None:
            # Only what is seen after a firing can clear it.
            self._clears.forget(name)
        return firing, None

    def _is_well(self, name: str, event: Event, fact: Fact, findings: Mapping[str, Truth]) -> bool:
        clears = self.rule.clears
        if self._clears is None or not isinstance(clears, Pattern) or clears.key not in findings:
            return False
        satisfied = self._clears.see(name, findings[clears.key], event, fact)
        if satisfied:
            self._clears.fired(name, event)
        return satisfied

    def _firing(self, key: Key, event: Event, fact: Fact) -> Firing:
        found = [answer for watch in self._guards if (answer := watch.look(event, fact))]
        holding = tuple(answer for answer in found if answer.truth is Truth.TRUE)
        unknown = tuple(answer for answer in found if answer.truth is Truth.UNKNOWN)
        return Firing(self.rule.name, key, event, holding, unknown)

    def progress(self, event: Event, fact: Fact) -> Iterator[tuple[str, int]]:
        """Per pattern key, how many earlier events count; guards are left out."""
        name = encoded(key_of(fact, self.rule.per))
        yield self.rule.when.key, self._when.so_far(name, event)
        if self._clears is not None and isinstance(self.rule.clears, Pattern):
            yield self.rule.clears.key, self._clears.so_far(name, event)
