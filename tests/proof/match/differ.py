"""Both matchers against the definition, on generated cases: what the proof of the engine is made of.

A *case* is a condition and an event. The definition is `conditions.evaluate`; it is held against the native
matcher and against the *raw* answers of an engine process, before anything is confirmed or put right. Run as
a program (`python differ.py SEED`) it looks at a few thousand cases and exits with 1 at the first
difference; the mutants are found that way.
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from holdfast.conditions import evaluate
from holdfast.match.durable.facts import Projection
from holdfast.match.durable.handle import Handle
from holdfast.match.durable.program import compile_rules
from holdfast.match.index import TypeIndex
from holdfast.match.native import NativeEngine
from holdfast.model.conditions import AllOf, AnyOf, Compare, Condition, Not, Op, Over
from holdfast.model.events import Event, Provenance
from holdfast.model.rules import IncidentSpec, Mode, Pattern, Quiet, Rule
from holdfast.model.values import MINUTE, Json, Ref, Severity, Text, Trust, Truth

#: `make proof` sets it: the long form of every proof.
LONG: Final = os.environ.get("HOLDFAST_PROOF") == "1"
SITUATIONS: Final = ("match", "no match", "missing", "wrong type", "nested array")

PROVENANCE: Final = Provenance("bearer", Trust.MEDIUM, "c0ffee")
TEXTS: Final = (
    "", "a", "A", "ab", "web01", "WEB01", "error: disk full", "naïve", "ß", "Straße", "日本", "500", "true",
    "1", "null", 'with "quotes"', "back\\slash", "tab\there", "x" * 3000, "it's", "a*b", "[", "a/b",
    "critical", "error", "warning", "info", "high", "low", "auto", "\x00", "é", "e\u0301", "\u2028",
)  # fmt: skip
NUMBERS: Final = (
    0, 1, -1, 5, 90, 95, 100, 500, 503, 2**31, -(2**31), 2**53, 2**53 + 1, 2**63 - 1, 2**63, 10**30, 0.0,
    -0.0, 0.5, 1.0, 1.5, 90.0, 90.5, -1.5, 1e-7, 1e16, 1e22, 0.1, 1 / 3, 2.0**53, 123456.789,
)  # fmt: skip
ODD: Final = (float("nan"), float("inf"), float("-inf"))
SCALARS: Final[tuple[Any, ...]] = (*TEXTS, *NUMBERS, *ODD, True, False, None)
RANKED: Final = ("info", "warning", "error", "critical", "INFO", "bad")


@dataclass(frozen=True)
class Case:
    """A condition and an event of a type of its own."""

    condition: Condition
    event: Event


@dataclass
class Tally:
    """How many cases were looked at, and what they were."""

    cases: int = 0
    truths: dict[Truth, int] = field(default_factory=lambda: dict.fromkeys(Truth, 0))


def event(data: dict[str, Json], kind: str, number: int = 0) -> Event:
    """An event with that data, and service, host and severity that vary with the number."""
    return Event(
        id=str(number),
        source="bench",
        type=kind,
        time=1_000 + number,
        received=2_000,
        severity=list(Severity)[number % 4],
        subject=f"s{number % 3}",
        provenance=PROVENANCE,
        service=(None, "shop", "bank")[number % 3],
        host=(None, "web1")[number % 2],
        data=data,
    )


def rule(name: str, kind: str, condition: Condition) -> Rule:
    """A rule that only watches."""
    return Rule(
        name=name,
        doc="",
        mode=Mode.OBSERVE,
        when=Pattern(f"{name}/e", "e", kind, condition),
        incident=IncidentSpec("x", Severity.ERROR, Text(("x",))),
        clears=Quiet(MINUTE),
    )


def raw(handle: Handle, rules: Sequence[Rule], events: Sequence[Event]) -> list[dict[str, Truth | str]]:
    """What the engine process itself says of each event; `both` where it contradicts itself."""
    native = NativeEngine(rules)
    program = handle.program
    units: dict[str, list[Projection]] = {}
    for unit in program.units:
        units.setdefault(unit.wanted, []).append(Projection(unit, native.test))
    index = TypeIndex(units)
    facts, owners = [], []
    said: list[dict[str, Truth | str]] = []
    for place, one in enumerate(events):
        found = index.of(one.type)
        said.append({key: Truth.UNKNOWN for unit in found for key in unit.keys})
        for unit in found:
            facts.append(unit.ask(one.fact()))
            owners.append(place)
    for place, asked, fired in zip(owners, facts, handle.ask(facts), strict=True):
        for answer in {program.answers[asked.ruleset][number] for number in fired}:
            before = said[place][answer.key]
            said[place][answer.key] = answer.truth if before is Truth.UNKNOWN else "both"
    return said


def difference(rules: Sequence[Rule], events: Sequence[Event], tally: Tally | None = None) -> str | None:
    """The first pair of rule and event that one of the matchers answers wrongly, in words."""
    handle = Handle(compile_rules(rules), answer_s=60.0)
    try:
        handle.load()
        handle.smoke()
        engine = raw(handle, rules, events)
    finally:
        handle.kill()
    native = NativeEngine(rules).match(events)
    by_key = {one.when.key: one.when for one in rules}
    for place, one in enumerate(events):
        fact = one.fact()
        wanted = {
            key: evaluate(pattern.where, fact) for key, pattern in by_key.items() if about(pattern, one)
        }
        for name, said in (("native", dict(native[place])), ("engine", engine[place])):
            if said != wanted:
                wrong = [key for key in {*wanted, *said} if wanted.get(key) != said.get(key)]
                pattern = by_key[wrong[0]]
                return (
                    f"{name} says {said.get(wrong[0])} instead of {wanted.get(wrong[0])}: {pattern} for {one}"
                )
        if tally is not None:
            tally.cases += len(wanted)
            for truth in wanted.values():
                tally.truths[truth] += 1
    return None


def about(pattern: Pattern, one: Event) -> bool:
    """Whether a pattern is about an event's type, spelled out once more."""
    wanted = pattern.event
    return one.type.startswith(wanted[:-1]) if wanted.endswith("*") else one.type == wanted


# -- cases for one operator --------------------------------------------------------------------------


def _operand(rng: random.Random, op: Op) -> Any:
    match op:
        case Op.IN | Op.NIN:
            return tuple(rng.choice(SCALARS) for _ in range(rng.randrange(5)))
        case Op.EXISTS:
            return rng.choice((True, True, False, False, "yes"))
        case Op.SAME:
            return Ref("e", ("service",))
        case Op.GLOB:
            return rng.choice(("*", "web*", "*0[0-9]", "a?", "err*full", "[!a]b", "", "naïve", "*\\*"))
        case Op.REGEX:
            return rng.choice(("^web[0-9]+$", "disk", "(a|b)+", "^$", "[a-z]{2}", "\\d", "ß", "(?i)ERROR"))
        case Op.CONTAINS | Op.STARTSWITH | Op.ENDSWITH:
            return rng.choice(("", "a", "web", "01", "full", "ß", "500", "x", 1, 500, None, True))
        case Op.GT | Op.GTE | Op.LT | Op.LTE:
            return rng.choice((*NUMBERS, *NUMBERS, "a", "web01", "error", "日本", True))
        case _:
            return rng.choice(rng.choice((TEXTS, NUMBERS, (True, False, None), SCALARS)))


def _value(rng: random.Random, operand: Any, situation: str) -> Any:
    match situation:
        case "missing":
            return None
        case "nested array":
            near = list(operand) if isinstance(operand, tuple) else [operand]
            pool = [*SCALARS, *near, *near, ["a", ["b"]], [1, [2]], {"a": [1]}, []]
            return [rng.choice(pool) for _ in range(rng.randrange(1, 4))]
        case "wrong type":
            pool = (*_twins(operand) * 12, *SCALARS, [], ["a"], {})
            return rng.choice([one for one in pool if type(one) is not type(operand)])
        case _:
            near = list(operand) if isinstance(operand, tuple) and operand else [operand]
            if isinstance(near[0], Ref):
                return "shop"
            return rng.choice((*near, *near, *(twin for one in near for twin in _twins(one)), *SCALARS[::4]))


def _twins(value: Any) -> list[Any]:
    """Values that a careless comparison takes for the same."""
    match value:
        case bool():
            return [int(value), float(value), str(value).lower()]
        case str():
            return [value.swapcase(), value + " ", value[:-1]]
        case int() | float() if value in {0, 1}:
            return [bool(value), str(value), -value, value + 0.5]
        case int() | float():
            return [str(value), value + 1, value - 1]
        case _:
            return [0, "", "null", False]


def case(rng: random.Random, op: Op, situation: str, number: int) -> Case | None:
    """One case, or None where the dice did not give one of this situation."""
    operand = _operand(rng, op)
    over = rng.choice((Over.ANY, Over.ALL, Over.VALUE)) if situation == "nested array" else Over.VALUE
    path = rng.choice(("data.v", "data.v", "data.v", 'data["v"]', "data.o.v"))
    if situation in {"match", "no match"} and rng.random() < 0.3:
        path = rng.choice(("severity", "service", "host", "trust", "subject", "time"))
        if path in {"severity", "trust"} and op is not Op.SAME and rng.random() < 0.7:
            operand = rng.choice(RANKED)
    condition = Compare(path, op, operand, over, fold=rng.random() < 0.15)
    value = _value(rng, operand, situation)
    missing = situation == "missing" or (op is Op.EXISTS and rng.random() < 0.5)
    data: dict[str, Json] = {} if missing else {"v": value, "o": {"v": value}}
    one = event(data, f"case.n{number}", number)
    truth = evaluate(condition, one.fact())
    if (situation, truth) in {("match", Truth.FALSE), ("match", Truth.UNKNOWN)}:
        return None
    return None if (situation, truth) == ("no match", Truth.TRUE) else Case(condition, one)


def cases(rng: random.Random, op: Op, situation: str, wanted: int) -> list[Case]:
    """So many cases of a cell of the table; none where an operator has none."""
    found: list[Case] = []
    for number in range(wanted * 60):
        one = case(rng, op, situation, number)
        if one is not None:
            found.append(one)
            if len(found) == wanted:
                break
    return found


def check(found: Iterable[Case], tally: Tally | None = None) -> str | None:
    """The first difference among cases; each event meets its own condition, and a wildcard one."""
    listed = list(found)
    rules = [rule(f"r{place}", one.event.type, one.condition) for place, one in enumerate(listed)]
    return difference(rules, [one.event for one in listed], tally)


# -- conditions of several comparisons, against many events ---------------------------------------------


def tree(rng: random.Random, pool: Sequence[Any], depth: int = 3) -> Condition:
    """A condition whose comparisons are about values of the pool."""
    kind = rng.random()
    if depth == 0 or kind < 0.4:
        path = rng.choice(("data.a", "data.b", "data.c", "data.o.a", "data.l[0]", "severity", "service"))
        op = rng.choice((Op.EQ, Op.NE, Op.GT, Op.GTE, Op.LT, Op.LTE, Op.IN, Op.NIN, Op.EXISTS, *Op))
        operand = _operand(rng, op)
        if op in {Op.EQ, Op.NE, Op.GT, Op.GTE, Op.LT, Op.LTE}:
            operand = rng.choice(pool)
        elif op in {Op.IN, Op.NIN}:
            operand = tuple(rng.choice(pool) for _ in range(rng.randrange(1, 4)))
        return Compare(path, op, operand, rng.choice((Over.VALUE,) * 6 + (Over.ANY, Over.ALL)))
    if kind < 0.55:
        return Not(tree(rng, pool, depth - 1))
    items = tuple(tree(rng, pool, depth - 1) for _ in range(rng.randrange(4)))
    return AllOf(items) if kind < 0.7 else AnyOf(items)


def crowd(rng: random.Random, rules: int, events: int) -> tuple[list[Rule], list[Event]]:
    """Rules and events about few values, so that many match; types with dots, and wildcards over them."""
    pool = [rng.choice(SCALARS) for _ in range(6)] + ["error", 90, True]
    kinds = ("http.probe", "http.probe.slow", "http", "deploy.started")
    wanted = (*kinds, "http.*", "http.probe.*")
    made = [rule(f"r{n}", rng.choice(wanted), tree(rng, pool)) for n in range(rules)]
    seen = []
    for number in range(events):
        data: dict[str, Json] = {name: rng.choice(pool) for name in "abc" if rng.random() < 0.8}
        data["o"] = {"a": rng.choice(pool)}
        data["l"] = [rng.choice(pool) for _ in range(rng.randrange(3))]
        seen.append(event(data, rng.choice(kinds), number))
    return made, seen


def batches(seed: int, wanted: int) -> Iterator[Callable[[Tally], str | None]]:
    """Batches of cases that together are enough to tell a sound matcher from a mutant."""
    rng = random.Random(seed)
    for op in Op:
        for situation in SITUATIONS:
            found = cases(rng, op, situation, wanted)
            yield lambda tally, found=found: check(found, tally)  # type: ignore[misc]
    for _ in range(wanted // 5):
        rules, events = crowd(rng, 40, 20)
        yield lambda tally, rules=rules, events=events: difference(rules, events, tally)  # type: ignore[misc]


def main() -> int:
    """Look at some thousand cases; 1 and a line at the first difference."""
    tally = Tally()
    for batch in batches(int(sys.argv[1]), int(sys.argv[2])):
        found = batch(tally)
        if found is not None:
            sys.stdout.write(f"{found[:2000]}\n")
            return 1
    sys.stdout.write(f"{tally.cases} cases, no difference\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
