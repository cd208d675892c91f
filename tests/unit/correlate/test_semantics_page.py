"""Every example of docs/reference/semantics.md, run through the engine and the correlator."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from holdfast.conditions import evaluate
from holdfast.correlate import Correlator
from holdfast.match.native import NativeEngine
from holdfast.model.conditions import AllOf, AnyOf, Compare, Condition, Not, Op, Over
from holdfast.model.events import Event, Provenance
from holdfast.model.rules import Guard, GuardEffect, IncidentSpec, Mode, Pattern, Quiet, Rule
from holdfast.model.values import MINUTE, SECOND, Ref, Severity, Text, Trust, Truth

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "semantics.md"
START = 1_000_000
CONDITION_KEYS = {"where", "holds", "fails", "unknown"}
PATTERN_KEYS = {
    "when",
    "per",
    "unless",
    "clears",
    "events",
    "fires",
    "guarded",
    "unsure",
    "silenced",
    "cleared",
}


def examples() -> list[Any]:
    """The example blocks, named by the heading above them and their line."""
    found, heading, block = [], "", None
    for number, line in enumerate(PAGE.read_text().splitlines(), 1):
        if line.startswith("#"):
            heading = line.strip("# ")
        if line == "```example":
            block = []
        elif line == "```" and block is not None:
            found.append(pytest.param(yaml.safe_load("\n".join(block)), id=f"{heading} (line {number})"))
            block = None
        elif block is not None:
            block.append(line)
    return found


EXAMPLES = examples()


@pytest.mark.parametrize("example", [given for given in EXAMPLES if "where" in given.values[0]])
def test_a_condition_answers_as_the_page_says(example: dict[str, Any]) -> None:
    assert set(example) <= CONDITION_KEYS
    condition = where(example["where"])
    wanted = [
        (truth, data)
        for name, truth in (("holds", Truth.TRUE), ("fails", Truth.FALSE), ("unknown", Truth.UNKNOWN))
        for data in example.get(name, [])
    ]

    assert wanted
    for truth, data in wanted:
        assert evaluate(condition, event(data, 1, "any").fact()) is truth, data


@pytest.mark.parametrize("example", [given for given in EXAMPLES if "when" in given.values[0]])
def test_a_pattern_fires_when_the_page_says(example: dict[str, Any]) -> None:
    assert set(example) <= PATTERN_KEYS
    rule = build(example)
    engine, correlator = NativeEngine([rule]), Correlator([rule])
    seen: dict[str, list[int]] = {name: [] for name in ("fires", "guarded", "unsure", "silenced", "cleared")}
    for number, data in enumerate(example["events"], 1):
        came = event(data, number, rule.when.event)
        [findings] = engine.match([came])
        signals = correlator.advance(came, findings)
        seen["fires"] += [number] * len(signals.firings)
        seen["guarded"] += [number for firing in signals.firings if firing.guards]
        seen["unsure"] += [number for firing in signals.firings if firing.unknown_guards]
        seen["silenced"] += [number] * len(signals.silenced)
        seen["cleared"] += [number] * len(signals.cleared)

    assert {name: numbers for name, numbers in seen.items() if name in example or numbers} == {
        name: example[name] for name in seen if name in example
    }


def test_every_word_has_an_example_that_holds_and_one_that_must_not() -> None:
    text = "\n".join(str(given.values[0]) for given in EXAMPLES)
    words = {str(op) for op in Op} - {"eq"}  # a bare value is the same
    words |= {"streak", "count", "distinct", "unless", "clears", "silence", "per", "fold"}
    missing = {word for word in words if not re.search(rf"'{word}'", text)}

    assert missing == set()
    for given in EXAMPLES:
        example = given.values[0]
        if "where" in example:
            assert example["holds"]
            assert example["fails"]
    for word in ("streak", "count", "distinct"):
        outcomes = [
            bool(given.values[0]["fires"]) for given in EXAMPLES if word in given.values[0].get("when", {})
        ]
        assert True in outcomes
        assert False in outcomes


# -- reading the examples ----------------------------------------------------------------------------


def where(given: Mapping[str, Any]) -> Condition:
    """The condition of a `where`."""
    items: list[Condition] = []
    for key, value in given.items():
        if key in ("any", "all"):
            items.append((AnyOf if key == "any" else AllOf)(tuple(where(item) for item in value)))
        elif key == "not":
            items.append(Not(where(value)))
        elif isinstance(value, dict):
            items.extend(compares(key, value, Over.VALUE))
        else:
            items.append(Compare(key, Op.EQ, value))
    return items[0] if len(items) == 1 else AllOf(tuple(items))


def compares(path: str, given: dict[str, Any], over: Over) -> list[Condition]:
    """The comparisons of one field."""
    given = dict(given)
    fold = given.pop("fold", False)
    items: list[Condition] = []
    for key, value in given.items():
        if key in ("any", "all"):
            items.extend(compares(path, value, Over(key)))
        elif key == "same":
            alias, *steps = value.removeprefix("$").split(".")
            items.append(Compare(path, Op.SAME, Ref(alias, tuple(steps))))
        else:
            operand = tuple(value) if isinstance(value, list) else value
            items.append(Compare(path, Op(key), operand, over, fold))
    return items


def span(text: str) -> int:
    """A duration as rules write it."""
    return int(text[:-1]) * {"s": SECOND, "m": MINUTE}[text[-1]]


def pattern(alias: str, given: dict[str, Any]) -> Pattern:
    """One pattern."""
    given = dict(given)
    within = span(given.pop("within")) if "within" in given else None
    return Pattern(
        f"page/{alias}", alias, given.pop("event"), where(given.pop("where", {})), within=within, **given
    )


def build(example: dict[str, Any]) -> Rule:
    """The rule of an example; its `when` is called probe."""
    guards = []
    for alias, given in example.get("unless", {}).items():
        plain = {name: value for name, value in given.items() if name not in ("within", "effect")}
        effect = GuardEffect(given.get("effect", "ask"))
        guards.append(Guard(pattern(alias, plain), span(given["within"]), (), effect))
    return Rule(
        name="page",
        doc="",
        mode=Mode.AUTO,
        when=pattern("probe", example["when"]),
        incident=IncidentSpec("service-down", Severity.ERROR, Text(())),
        clears=pattern("clears", example["clears"]) if "clears" in example else Quiet(MINUTE),
        unless=tuple(guards),
        per=tuple(example.get("per", ["service"])),
    )


def event(given: dict[str, Any], number: int, kind: str) -> Event:
    """One event; `at` is its source time."""
    given = dict(given)
    received = START + number * 10 * SECOND
    time = START + span(given.pop("at")) if "at" in given else received
    data = {path.removeprefix("data."): given.pop(path) for path in list(given) if path.startswith("data.")}
    known: dict[str, Any] = {"source": "probe", "subject": "shop", "service": "shop"} | given
    return Event(
        id=str(number),
        type=known.pop("type", kind),
        time=time,
        received=received,
        severity=Severity(known.pop("severity", "error")),
        provenance=Provenance("bearer", Trust.HIGH, "c0ffee"),
        data=data,
        **known,
    )
