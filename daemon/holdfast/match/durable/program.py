"""All patterns of a config as small rulesets, and what of an event each ruleset has to be shown.

A *unit* is a handful of patterns about one type of event. Its facts have a place for each field that its
tests read, named by the unit itself (`s3` is the text at its fourth path): what a sender calls the
fields of an event never reaches the engine. Several small units share a ruleset.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from holdfast.match.durable.branches import (
    MEANS,
    Alternative,
    Branches,
    Feature,
    Field,
    Is,
    Kind,
    Subject,
    Test,
    branches,
    is_plain,
)
from holdfast.match.engine import watched
from holdfast.model.conditions import Condition
from holdfast.model.rules import Pattern, Rule
from holdfast.model.values import Truth

#: Bounds of one ruleset, well below where durable_rules breaks (64 paths at once, 255 fields).
MAX_RULES: Final = 48
MAX_FIELDS: Final = 160
#: The field that holds the type of the event, or 1 where the pattern is about all types below a name.
TYPE: Final = "k"
BELOW: Final = "g"

#: A fact as the engine is shown it.
Shown = dict[str, int | float | str]
#: One rule of the engine: its name in the ruleset and its condition, in the language of durable_rules.
RuleText = tuple[str, dict[str, object]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What it means that a rule of the engine fired."""

    key: str
    truth: Truth


@dataclass(frozen=True, slots=True)
class EngineRule:
    """One alternative of one pattern: if all its tests hold, `answer` is found."""

    answer: Answer
    tests: Alternative


@dataclass(frozen=True, slots=True)
class Slot:
    """One path of a unit, the views of its value that are tested, and the patterns that test it."""

    path: str
    kinds: frozenset[Kind]
    keys: tuple[str, ...]


@dataclass(slots=True)
class Unit:
    """Patterns about one type (or all types below one, `below`) that are asked about together."""

    wanted: str
    number: int
    ruleset: int = 0
    rules: list[EngineRule] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    slots: dict[str, set[Kind]] = field(default_factory=dict)
    users: dict[str, list[str]] = field(default_factory=dict)
    features: dict[int, tuple[int, Feature]] = field(default_factory=dict)

    @property
    def below(self) -> bool:
        """Whether it is about all types below a name."""
        return self.wanted.endswith(".*")

    @property
    def size(self) -> int:
        """How many fields its facts have at most."""
        return 2 + sum(map(len, self.slots.values())) + len(self.features) + len(self.keys)

    def add(self, pattern: Pattern, found: Branches) -> None:
        """Take a pattern in."""
        self.keys.append(pattern.key)
        for side, truth in ((found.true, Truth.TRUE), (found.false, Truth.FALSE)):
            answer = Answer(pattern.key, truth)
            self.rules.extend(EngineRule(answer, tests) for tests in side)
        tests = [test for side in (found.true, found.false) for tests in side for test in tests]
        for subject in dict.fromkeys(test.subject for test in tests):
            match subject:
                case Field(path, kind):
                    self.slots.setdefault(path, set()).add(kind)
                    users = self.users.setdefault(path, [])
                    if pattern.key not in users:
                        users.append(pattern.key)
                case Feature() as feature:
                    self.features.setdefault(id(feature), (len(self.features), feature))

    def name_of(self, subject: Subject) -> str:
        """The field of its facts that holds a subject."""
        match subject:
            case Field(path, kind):
                return f"{kind}{list(self.slots).index(path)}"
            case Feature():
                return f"q{self.features[id(subject)][0]}"

    def forced(self, key: str) -> str:
        """The field that gives the answer for a pattern whose values cannot be shown."""
        return f"o{self.keys.index(key)}"

    def paths(self) -> tuple[Slot, ...]:
        """Its paths, in the order of their names."""
        return tuple(
            Slot(path, frozenset(kinds), tuple(self.users[path])) for path, kinds in self.slots.items()
        )


@dataclass(frozen=True, slots=True)
class Program:
    """What the engine process is given, and how its answers are read.

    `rulesets` holds the rules of each ruleset in order; `answers` what each means, at the same place.
    `smoke` are facts with the places of the rules that have to fire, for every ruleset.
    """

    units: tuple[Unit, ...]
    rulesets: tuple[tuple[RuleText, ...], ...]
    answers: tuple[tuple[Answer, ...], ...]
    smoke: tuple[tuple[int, Shown, frozenset[int]], ...]


@dataclass(frozen=True, slots=True)
class _Line:
    """A rule as it goes into a ruleset: its tests by the names of fields, and what it answers."""

    answer: Answer
    tests: tuple[tuple[str, Is, int | float | str], ...]


def compile_rules(rules: Iterable[Rule]) -> Program:
    """The program for all patterns of these rules."""
    by_type: defaultdict[str, list[tuple[Pattern, Condition]]] = defaultdict(list)
    for pattern, condition in watched(rules):
        by_type[pattern.event].append((pattern, condition))
    units = _units(by_type)
    packed = _packed(units)
    lines = [[line for unit in shared for line in _lines(unit)] for shared in packed]
    return Program(
        tuple(units),
        tuple(tuple(_texts(ruleset)) for ruleset in lines),
        tuple(tuple(line.answer for line in ruleset) for ruleset in lines),
        tuple(
            (number, fact, _expected(ruleset, fact))
            for number, ruleset in enumerate(lines)
            for fact in _facts(ruleset)
        ),
    )


def _units(by_type: Mapping[str, list[tuple[Pattern, Condition]]]) -> list[Unit]:
    units: list[Unit] = []
    for wanted, patterns in by_type.items():
        units.append(Unit(wanted, len(units)))
        for pattern, condition in patterns:
            found = branches(condition)
            more = Unit(wanted, 0)
            more.add(pattern, found)
            unit = units[-1]
            if _rules(unit) + _rules(more) > MAX_RULES or unit.size + more.size > MAX_FIELDS:
                units.append(Unit(wanted, len(units)))
            units[-1].add(pattern, found)
    return units


def _rules(unit: Unit) -> int:
    """How many rules of the engine it makes: its own, and two for each pattern that may be forced."""
    return len(unit.rules) + 2 * len(unit.keys)


def _packed(units: list[Unit]) -> list[list[Unit]]:
    """Units that share a ruleset, as many as it holds."""
    packed: list[list[Unit]] = []
    room = 0
    for unit in units:
        if _rules(unit) > room or unit.wanted in {other.wanted for other in packed[-1]}:
            # units about the same type are never together: each would see the other's facts as its own
            packed.append([])
            room = MAX_RULES
        packed[-1].append(unit)
        unit.ruleset = len(packed) - 1
        room -= _rules(unit)
    return packed


def _lines(unit: Unit) -> list[_Line]:
    first = (f"{BELOW}{unit.number}", Is.EQ, 1) if unit.below else (TYPE, Is.EQ, unit.wanted)
    lines = [
        _Line(
            rule.answer,
            (first, *((unit.name_of(test.subject), test.how, test.literal) for test in _sorted(rule.tests))),
        )
        for rule in unit.rules
    ]
    for key in unit.keys:
        for truth, literal in ((Truth.TRUE, 1), (Truth.FALSE, 0)):
            lines.append(_Line(Answer(key, truth), (first, (unit.forced(key), Is.EQ, literal))))
    return lines


def _sorted(tests: Alternative) -> list[Test]:
    """Absence last: durable_rules needs a positive test before it."""
    return sorted(tests, key=lambda test: test.how is Is.UNSET)


def _texts(lines: list[_Line]) -> list[RuleText]:
    return [(str(place), {"$and": [_text(*test) for test in line.tests]}) for place, line in enumerate(lines)]


_WORDS: Final[Mapping[Is, str]] = {
    Is.NE: "$neq",
    Is.LT: "$lt",
    Is.LTE: "$lte",
    Is.GT: "$gt",
    Is.GTE: "$gte",
}


def _text(name: str, how: Is, literal: float | str) -> dict[str, object]:
    match how:
        case Is.EQ:
            return {name: literal}
        case Is.UNSET:
            return {"$nex": {name: 1}}
        case _:
            return {_WORDS[how]: {name: literal}}


def _facts(lines: list[_Line]) -> list[Shown]:
    """One fact for every rule that makes it fire, and one for each type of which nothing else is known."""
    facts: list[Shown] = []
    for line in lines:
        bare = _satisfying(line.tests[:1])
        for fact in (bare, _satisfying(line.tests)):
            if fact is not None and fact not in facts:
                facts.append(fact)
    return facts


def _satisfying(tests: Iterable[tuple[str, Is, int | float | str]]) -> Shown | None:
    """A fact for which all the tests hold; None where two of them want different things."""
    fact: Shown = {}
    for name, how, literal in tests:
        if how is Is.UNSET:
            continue
        fact.setdefault(name, _another(how, literal) if how in {Is.NE, Is.LT, Is.GT} else literal)
    return fact if all(_holds(fact, test) for test in tests) else None


def _another(how: Is, literal: float | str) -> int | float | str:
    """A value that is not the literal, on the side that is asked for, and can be shown."""
    if isinstance(literal, str):
        return f"{literal}-"
    step = -1 if how is Is.LT else 1
    value = literal + step
    return value if is_plain(value) else literal + 2 * step


def _expected(lines: list[_Line], fact: Shown) -> frozenset[int]:
    return frozenset(
        place for place, line in enumerate(lines) if all(_holds(fact, test) for test in line.tests)
    )


def _holds(fact: Shown, test: tuple[str, Is, int | float | str]) -> bool:
    name, how, literal = test
    return MEANS[how](fact.get(name), literal)
