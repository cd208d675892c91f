"""The correlator against a slow one that keeps every event for ever and reads the rules aloud."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.correlate import Cleared, Correlator, Firing, GuardFound, Signals
from holdfast.model.conditions import AllOf
from holdfast.model.events import Event, Provenance
from holdfast.model.rules import Guard, GuardEffect, IncidentSpec, Mode, Pattern, Quiet, Rule
from holdfast.model.values import Millis, Ref, Severity, Text, Trust, Truth

TRUE, FALSE, UNKNOWN = Truth.TRUE, Truth.FALSE, Truth.UNKNOWN
LATENESS = 25
NOWHERE = object()

# -- the reference -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Seen:
    """One event of the past, its number and what the engine found in it."""

    number: int
    event: Event
    findings: Mapping[str, Truth]


@dataclass
class Reference:
    """One rule, with all of its past."""

    rule: Rule
    past: list[Seen] = field(default_factory=list)
    fired: list[tuple[int, tuple[Any, ...]]] = field(default_factory=list)
    cleared: list[tuple[int, tuple[Any, ...]]] = field(default_factory=list)

    def advance(self, event: Event, findings: Mapping[str, Truth]) -> Signals:
        now = Seen(len(self.past), event, findings)
        self.past.append(now)
        key = self.key(event)
        clears = self.rule.clears
        cleared = (
            isinstance(clears, Pattern)
            and clears.key in findings
            and self.satisfied(clears, now, self.key, max(self.last(self.fired, key), self.zero(clears, key)))
            and not (clears.streak and self.edge_used(clears, now, self.cleared, self.last(self.fired, key)))
        )
        if cleared:
            self.cleared.append((now.number, key))
        done = (Cleared(self.rule.name, key, event),) if cleared else ()
        when = self.rule.when
        start = self.last(self.fired, key) if when.count else -1
        if when.key not in findings or not self.satisfied(when, now, self.key, start):
            return Signals(cleared=done)
        if when.streak and self.edge_used(when, now, self.fired, -1):
            return Signals(cleared=done)
        answers = [answer for guard in self.rule.unless if (answer := self.look(guard, now))]
        firing = Firing(
            self.rule.name,
            key,
            event,
            tuple(answer for answer in answers if answer.truth is TRUE),
            tuple(answer for answer in answers if answer.truth is UNKNOWN),
        )
        if any(found.effect is GuardEffect.SILENCE for found in firing.guards):
            return Signals(cleared=done, silenced=(firing,))
        self.fired.append((now.number, key))
        return Signals(firings=(firing,))

    def zero(self, pattern: Pattern, key: tuple[Any, ...]) -> int:
        """A count starts anew after it was reached."""
        return self.last(self.cleared, key) if pattern.count else -1

    def last(self, moments: list[tuple[int, tuple[Any, ...]]], key: tuple[Any, ...]) -> int:
        return max((number for number, other in moments if other == key), default=-1)

    def key(self, event: Event) -> tuple[Any, ...]:
        values = tuple({"service": event.service, "host": event.host}[path] for path in self.rule.per)
        return (*values, event.subject) if values and set(values) == {None} else values

    def of(self, pattern: Pattern, now: Seen, keyed: Callable[[Event], Any], start: int) -> Iterator[Seen]:
        """The events of a pattern for the same key, after `start`, up to now."""
        for seen in self.past:
            mine = keyed(seen.event) == keyed(now.event) and pattern.key in seen.findings
            if mine and start < seen.number <= now.number:
                yield seen

    def satisfied(self, pattern: Pattern, now: Seen, keyed: Callable[[Event], Any], start: int) -> bool:
        """Whether the pattern is satisfied with this event, as if it had never been before `start`."""
        if now.findings[pattern.key] is not TRUE:
            return False
        events = list(self.of(pattern, now, keyed, start))
        if pattern.streak:
            return self.length(pattern, now, events) >= pattern.streak
        if pattern.count:
            return self.enough(pattern, now, [seen for seen in events if seen.findings[pattern.key] is TRUE])
        return True

    def length(self, pattern: Pattern, now: Seen, events: list[Seen]) -> int:
        length = 0
        for seen in events:
            if seen.event.source == now.event.source:
                truth = seen.findings[pattern.key]
                length = 0 if truth is FALSE else length + (truth is TRUE)
        return length

    def edge_used(
        self, pattern: Pattern, now: Seen, moments: list[tuple[int, tuple[Any, ...]]], start: int
    ) -> bool:
        """Whether this source's streak has spoken since it was last broken."""
        events = list(self.of(pattern, now, self.key, start))
        mine = [seen for seen in events if seen.event.source == now.event.source]
        broken = max((seen.number for seen in mine if seen.findings[pattern.key] is FALSE), default=-1)
        numbers = {seen.number for seen in mine if seen.number > broken}
        return any(number in numbers for number, _ in moments)

    def enough(self, pattern: Pattern, now: Seen, events: list[Seen]) -> bool:
        within, needed = pattern.within or 0, pattern.count or 0
        oldest = now.event.received - within - LATENESS
        if pattern.distinct is None:
            times = [seen.event.time for seen in events if seen.event.time >= oldest]
            own = now.event.time
        else:
            newest: dict[Any, Millis] = {}
            for seen in events:
                value = typed(seen.event.data.get("user", NOWHERE))
                if value is not None:
                    newest[value] = max(seen.event.time, newest.get(value, seen.event.time))
            mine = typed(now.event.data.get("user", NOWHERE))
            if mine is None:
                return False
            times = [time for time in newest.values() if time >= oldest]
            own = newest[mine]
        return own >= oldest and any(
            first <= own <= first + within
            and sum(first <= time <= first + within for time in times) >= needed
            for first in times
        )

    # guards

    def look(self, guard: Guard, now: Seen) -> GuardFound | None:
        since = now.event.time - guard.within
        sure, perhaps, lost, any_at_all = [], [], [], []
        mine = self.values(now.event, [ref.path[-1] for _, ref in guard.join])
        for seen in self.past:
            truth = seen.findings.get(guard.pattern.key)
            if truth is None:
                continue
            joined = self.joined(guard, seen.event)
            if joined is None:
                if truth is not FALSE:
                    lost.append(seen)
                    any_at_all.append(seen)
            elif truth is UNKNOWN:
                any_at_all.append(seen)
                perhaps += [seen] if joined == mine else []
            elif self.satisfied(guard.pattern, seen, lambda event: self.joined(guard, event), -1):
                any_at_all.append(seen)
                sure += [seen] if joined == mine else []
        choices = (
            [(UNKNOWN, any_at_all)] if mine is None else [(TRUE, sure), (UNKNOWN, perhaps), (UNKNOWN, lost)]
        )
        for truth, candidates in choices:
            held = [seen for seen in candidates if seen.event.time >= since]
            if held:
                newest = max(held, key=lambda seen: (seen.event.time, seen.number)).event
                return GuardFound(
                    guard.pattern.alias, guard.effect, truth, newest.source, newest.id, newest.time
                )
        return None

    def joined(self, guard: Guard, event: Event) -> tuple[Any, ...] | None:
        return self.values(event, [path.removeprefix("data.") for path, _ in guard.join])

    def values(self, event: Event, names: list[str]) -> tuple[Any, ...] | None:
        values = [
            typed(event.service if name == "service" else event.data.get(name, NOWHERE)) for name in names
        ]
        return None if None in values else tuple(values)


def typed(value: object) -> tuple[str, object] | None:
    """A value that can be told apart by type; None for what is none."""
    if value is NOWHERE or isinstance(value, list | dict):
        return None
    return ("number", value) if type(value) in (int, float) else (type(value).__name__, value)


# -- what is generated -------------------------------------------------------------------------------

PRIMITIVES = st.one_of(
    st.just({}),
    st.integers(1, 3).map(lambda n: {"streak": n}),
    st.builds(lambda n, span: {"count": n, "within": span}, st.integers(1, 4), st.sampled_from([0, 5, 20])),
    st.builds(
        lambda n, span: {"count": n, "within": span, "distinct": "data.user"},
        st.integers(1, 3),
        st.sampled_from([5, 20]),
    ),
)
JOINS = st.sampled_from(
    [
        (),
        (),
        (("service", Ref("w", ("service",))),),
        (("data.user", Ref("w", ("data", "user"))),),
        (("service", Ref("w", ("service",))), ("data.user", Ref("w", ("data", "user")))),
    ]
)


def pattern(alias: str, primitive: dict[str, Any]) -> Pattern:
    return Pattern(f"r/{alias}", alias, "any.type", AllOf(()), **primitive)


GUARDS = st.builds(
    lambda name, primitive, within, join, effect: Guard(pattern(name, primitive), within, join, effect),
    st.sampled_from(["g", "h"]),
    st.just({}) | PRIMITIVES,
    st.sampled_from([200, 40, 10, 0]),
    JOINS,
    st.sampled_from(list(GuardEffect)),
)
RULES = st.builds(
    lambda when, clears, guards, per: Rule(
        name="r",
        doc="",
        mode=Mode.AUTO,
        when=pattern("w", when),
        incident=IncidentSpec("t", Severity.ERROR, Text(())),
        clears=Quiet(1) if clears is None else pattern("c", clears),
        unless=tuple({guard.pattern.alias: guard for guard in guards}.values()),
        per=per,
    ),
    PRIMITIVES,
    st.none() | PRIMITIVES,
    st.just([]) | st.lists(GUARDS, min_size=1, max_size=2),
    st.sampled_from([("service",), ("service", "host"), ()]),
)
USERS = st.sampled_from(["ann", "ann", "ann", 1, 1.0, "1", True, None, ["x"], NOWHERE])
STEPS = st.fixed_dictionaries(
    {
        "passed": st.sampled_from([0, 1, 3, 10]),
        "late": st.sampled_from([0, 0, 0, 1, 4, 12, 40, -3]),
        "service": st.sampled_from(["x", "x", "y", None]),
        "host": st.sampled_from(["h", None]),
        "subject": st.sampled_from(["s", "t"]),
        "source": st.sampled_from(["a", "a", "b"]),
        "user": USERS,
        # Of each pattern nothing (another type), or mostly what moves something.
        "findings": st.fixed_dictionaries(
            {
                "r/w": st.sampled_from([TRUE, TRUE, TRUE, FALSE, UNKNOWN, None]),
                "r/c": st.sampled_from([TRUE, TRUE, FALSE, UNKNOWN, None, None]),
                "r/g": st.sampled_from([TRUE, TRUE, None, None, FALSE, UNKNOWN]),
                "r/h": st.sampled_from([TRUE, TRUE, None, None, FALSE, UNKNOWN]),
            }
        ),
    }
)
STREAMS = st.lists(STEPS, max_size=8) | st.lists(STEPS, min_size=12, max_size=25)


def stream(rule: Rule, steps: list[dict[str, Any]]) -> Iterator[tuple[Event, Mapping[str, Truth]]]:
    """The events of a stream, with what an engine would have found in them."""
    now = 1_000
    keys = {p.key for p in rule.patterns()}
    for number, step in enumerate(steps):
        now += step["passed"]
        event = Event(
            id=str(number),
            source=step["source"],
            type="any.type",
            time=now - step["late"],
            received=now,
            severity=Severity.ERROR,
            subject=step["subject"],
            provenance=Provenance("none", Trust.LOW, "c0ffee"),
            service=step["service"],
            host=step["host"],
            data={} if step["user"] is NOWHERE else {"user": step["user"]},
        )
        yield event, {key: truth for key, truth in step["findings"].items() if truth and key in keys}


# -- the comparison ----------------------------------------------------------------------------------


@settings(max_examples=400)
@given(RULES, STREAMS)
def test_the_correlator_does_what_the_reference_does(rule: Rule, steps: list[dict[str, Any]]) -> None:
    correlator, reference = Correlator([rule], lateness=LATENESS), Reference(rule)

    for event, findings in stream(rule, steps):
        assert correlator.advance(event, findings) == reference.advance(event, findings)


@settings(max_examples=200)
@given(RULES, STREAMS, st.integers(2, 4), st.randoms(use_true_random=False))
def test_saving_and_restoring_after_every_event_changes_nothing(
    rule: Rule, steps: list[dict[str, Any]], max_keys: int, shuffle: random.Random
) -> None:
    kept = Correlator([rule], lateness=LATENESS, max_keys=max_keys)
    memory: dict[tuple[str, str], bytes] = {}
    store: dict[tuple[str, str], bytes] = {}
    evicted = 0

    for event, findings in stream(rule, steps):
        places = list(store)
        shuffle.shuffle(places)
        restored = Correlator(
            [rule], {place: store[place] for place in places}, lateness=LATENESS, max_keys=max_keys
        )
        assert kept.advance(event, findings) == restored.advance(event, findings)
        save(memory, kept)
        save(store, restored)
        evicted += restored.evicted
        assert memory == store
        assert kept.evicted == evicted


@settings(max_examples=100)
@given(RULES, STREAMS, st.integers(2, 4))
def test_saving_seldom_leaves_the_same_states(rule: Rule, steps: list[dict[str, Any]], max_keys: int) -> None:
    often = Correlator([rule], lateness=LATENESS, max_keys=max_keys)
    once = Correlator([rule], lateness=LATENESS, max_keys=max_keys)
    store: dict[tuple[str, str], bytes] = {}
    for event, findings in stream(rule, steps):
        often.advance(event, findings)
        save(store, often)
        once.advance(event, findings)
    last: dict[tuple[str, str], bytes] = {}
    save(last, once)

    assert last == store


def save(store: dict[tuple[str, str], bytes], correlator: Correlator) -> None:
    for place, state in correlator.changed().items():
        if state is None:
            store.pop(place, None)
        else:
            store[place] = state


def test_the_comparison_reaches_every_kind_of_signal() -> None:
    """The generators are worth something: firings, clears, silences and guards all occur."""
    seen: dict[str, int] = dict.fromkeys(["fired", "cleared", "silenced", "held", "unknown"], 0)

    @settings(max_examples=300, database=None, derandomize=True)
    @given(RULES, STREAMS)
    def count(rule: Rule, steps: list[dict[str, Any]]) -> None:
        correlator = Correlator([rule], lateness=LATENESS)
        for event, findings in stream(rule, steps):
            signals = correlator.advance(event, findings)
            seen["fired"] += len(signals.firings)
            seen["cleared"] += len(signals.cleared)
            seen["silenced"] += len(signals.silenced)
            seen["held"] += sum(bool(firing.guards) for firing in signals.firings)
            seen["unknown"] += sum(bool(firing.unknown_guards) for firing in signals.firings)

    count()

    assert min(seen.values()) > 50, seen
