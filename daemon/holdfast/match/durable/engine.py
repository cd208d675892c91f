"""The engine that rules are matched with: durable_rules is asked, native confirms, and stands in.

Nothing that the engine process does, or fails to do, costs an event or more than a moment: every answer
that would make a rule fire is looked at natively before it counts, all answers are compared for events of
severity error and above and for a sample of the rest, and where the process dies, is late or answers
nonsense, the same events are matched natively at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from zlib import crc32

from holdfast.match.durable.confirm import confirm
from holdfast.match.durable.facts import Asked, Projection
from holdfast.match.durable.handle import Failed, started
from holdfast.match.durable.keeper import Keeper, Start
from holdfast.match.durable.program import compile_rules
from holdfast.match.engine import Figures, Findings
from holdfast.match.index import TypeIndex
from holdfast.match.native import NativeEngine
from holdfast.model.events import EngineNews, Event
from holdfast.model.rules import Rule
from holdfast.model.values import Fact, Severity

#: Events, and facts about them, that are asked about before it is looked at the clock again.
SLICE: Final = 100
FACTS_AT_ONCE: Final = 512
#: Characters of up to sixteen facts about one event; what is longer is matched natively.
MAX_SHOWN: Final = 16 * 1024
#: Seconds that a batch may take; what is left of it then is matched natively.
BATCH_S: Final = 0.4
#: Of the events below severity error, one in so many has all its answers compared.
SAMPLE: Final = 16

_SEVERE: Final = frozenset({Severity.ERROR, Severity.CRITICAL})


@dataclass(frozen=True, slots=True)
class _Question:
    """What is asked about one event: a fact for each unit that is about its type."""

    place: int
    event: Event
    fact: Fact
    units: tuple[Projection, ...]
    asked: tuple[Asked, ...]

    @property
    def is_long(self) -> bool:
        """Whether it would keep the process busy for so long that the events beside it wait."""
        return sum(len(asked.text) for asked in self.asked) > MAX_SHOWN * (1 + len(self.asked) // 16)


class DurableEngine:
    """durable_rules in a process of its own; `match` is for one thread.

    `report` is told, on that thread or another, what an operator has to know; it must not wait, and
    answers whether it took it.
    """

    def __init__(
        self, rules: Iterable[Rule], report: Callable[[EngineNews], bool], *, start: Start = started
    ) -> None:
        rules = tuple(rules)
        self._native = NativeEngine(rules)
        program = compile_rules(rules)
        units: dict[str, list[Projection]] = {}
        for unit in program.units:
            units.setdefault(unit.wanted, []).append(Projection(unit, self._native.test))
        self._units = TypeIndex(units)
        most = max((len(self._units.of(wanted)) for wanted in units), default=1)
        self._slice = max(1, min(SLICE, FACTS_AT_ONCE // most))
        self._answers = program.answers
        self._keeper = Keeper(program, report, start)
        self._asked = self._stood_in = self._confirmed = self._compared = self._differences = 0

    def start(self, seconds: float) -> None:
        """Start the process, and wait that long until it has passed its smoke facts."""
        self._keeper.start(seconds)

    def announce(self) -> None:
        """Report how it is, and from now on what becomes of it."""
        self._keeper.announce()

    def match(self, events: Sequence[Event]) -> list[Findings]:
        """The findings of each event, in the same order; whatever happens, within a second."""
        self._keeper.remind()
        found: list[Findings] = []
        until = time.monotonic() + BATCH_S
        for at in range(0, len(events), self._slice):
            part = events[at : at + self._slice]
            answered = self._ask(part) if time.monotonic() < until else None
            if answered is None:
                answered = [self._native.match_one(event) for event in part]
                self._stood_in += sum(map(bool, answered))
            found += answered
        return found

    def figures(self) -> Figures:
        """What it has done and how it is."""
        return self._keeper.figures(
            asked=self._asked,
            native=self._stood_in,
            confirmed=self._confirmed,
            compared=self._compared,
            differences=self._differences,
        )

    def close(self) -> None:
        """End the process; the engine is not used again."""
        self._keeper.close()

    def _ask(self, events: Sequence[Event]) -> list[Findings] | None:
        """The findings as the process has them and native confirms them; None when nobody answers."""
        handle = self._keeper.take()
        if handle is None:
            return None
        found: list[Findings] = [{}] * len(events)
        questions: list[_Question] = []
        for place, event in enumerate(events):
            question = self._question(place, event)
            if question is None:
                continue
            if question.is_long or self._keeper.is_quarantined(question.asked):
                self._stood_in += 1
                found[place] = self._native.match_one(event)
            else:
                questions.append(question)
        facts = [asked for question in questions for asked in question.asked]
        try:
            fired = handle.ask(facts)
        except Failed as failure:
            self._keeper.failed(handle, failure, facts)
            return None
        self._asked += len(questions)
        self._read(questions, facts, fired, found)
        return found

    def _question(self, place: int, event: Event) -> _Question | None:
        units = self._units.of(event.type)
        if not units:
            return None
        fact = event.fact()
        return _Question(place, event, fact, units, tuple(unit.ask(fact) for unit in units))

    def _read(
        self,
        questions: Sequence[_Question],
        facts: Sequence[Asked],
        fired: Sequence[Sequence[int]],
        found: list[Findings],
    ) -> None:
        at = 0
        different: list[str] = []
        for question in questions:
            upto = at + len(question.asked)
            answers = [
                self._answers[facts[number].ruleset][rule]
                for number in range(at, upto)
                for rule in fired[number]
            ]
            at = upto
            event = question.event
            result = confirm(
                [key for unit in question.units for key in unit.keys],
                answers,
                question.fact,
                self._native.test,
                everything=event.severity in _SEVERE
                or crc32(event.id.encode(errors="replace")) % SAMPLE == 0,
            )
            found[question.place] = result.findings
            self._compared += result.compared
            self._confirmed += result.compared - len(result.different)
            different += result.different
        if different:
            self._differences += len(different)
            self._keeper.differed(different)
            for question in questions:  # nor is what was not compared believed any more
                found[question.place] = self._native.match_one(question.event)
