from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import product
from typing import Any

import msgspec
import pytest
from cases import CONDITIONS, fired, read_back, rule, rules
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.match.durable.branches import Is, Kind, is_plain
from holdfast.match.durable.facts import ID, Asked
from holdfast.match.durable.program import BELOW, MAX_FIELDS, MAX_RULES, TYPE, Program, compile_rules
from holdfast.model.conditions import AllOf, Compare, Op
from holdfast.model.values import Truth

KINDS = st.sampled_from(["lab.x", "lab.y", "lab.*", "other"])
SETS = st.lists(st.tuples(CONDITIONS, KINDS), max_size=25).map(
    lambda made: [rule(f"r{number}", where, kind) for number, (where, kind) in enumerate(made)]
)
#: What is emitted, and nothing else: no joins, no `$or`, no regular expressions, no arithmetic.
ALLOWED = {"$and", "$neq", "$lt", "$lte", "$gt", "$gte", "$nex"}


def words(value: object) -> Iterator[str]:
    """Every key at any depth."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from words(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from words(inner)


def leaves(value: object) -> Iterator[object]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for inner in value:
            yield from leaves(inner)
    else:
        yield value


@given(SETS)
def test_only_the_safe_part_of_the_language_is_emitted(made: list[Any]) -> None:
    program = compile_rules(made)

    for ruleset in program.rulesets:
        for place, (name, text) in enumerate(ruleset):
            assert name == str(place)
            assert {word for word in words(text) if word.startswith("$")} <= ALLOWED
            first, *others = read_back(text)
            assert first[1] is Is.EQ, "each rule begins with what the event is"
            assert first[0] == TYPE or first[0].startswith(BELOW)
            absent = [how is Is.UNSET for _, how, _ in others]
            assert absent == sorted(absent), "absence is tested last"
            assert all(type(leaf) in (int, float, str) and is_plain(leaf) for leaf in leaves(text))
            assert all(isinstance(text[key], list) for key in text)


def test_absence_is_tested_last_whatever_the_order_in_the_config() -> None:
    [ruleset] = compile_rules(
        rules([AllOf((Compare("data.a", Op.EXISTS, False), Compare("data.b", Op.GT, 1)))])
    ).rulesets

    assert [how for _, how, _ in read_back(ruleset[0][1])] == [Is.EQ, Is.GT, Is.UNSET]


@given(SETS)
def test_every_ruleset_stays_within_its_bounds(made: list[Any]) -> None:
    program = compile_rules(made)

    for place, ruleset in enumerate(program.rulesets):
        assert 0 < len(ruleset) <= MAX_RULES
        assert len(ruleset) == len(program.answers[place])
    for unit in program.units:
        assert unit.size <= MAX_FIELDS


def test_a_thousand_rules_of_many_fields_are_split_within_the_bounds() -> None:
    wide = [AllOf(tuple(Compare(f"data.f{n}_{i}", Op.EXISTS, True) for i in range(8))) for n in range(100)]
    program = compile_rules(rules([*wide, *(Compare("data.n", Op.GT, n) for n in range(900))]))

    assert len(program.rulesets) > 20
    assert max(map(len, program.rulesets)) <= MAX_RULES
    assert max(unit.size for unit in program.units) <= MAX_FIELDS
    assert {key for unit in program.units for key in unit.keys} == {f"r{n}/e" for n in range(1000)}


@given(SETS)
def test_the_facts_of_one_unit_never_fire_a_rule_of_another(made: list[Any]) -> None:
    program = compile_rules(made)

    for unit in program.units:
        same = [one for one in program.units if one is not unit and one.ruleset == unit.ruleset]
        assert unit.wanted not in {one.wanted for one in same}


def test_units_of_one_type_are_kept_apart_though_they_would_fit_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("holdfast.match.durable.program.MAX_FIELDS", 8)
    program = compile_rules(rules([Compare(f"data.f{n}", Op.GT, n) for n in range(5)]))

    assert len({unit.ruleset for unit in program.units}) == len(program.units) > 1


def test_small_units_of_different_types_share_a_ruleset() -> None:
    program = compile_rules([rule(f"r{n}", Compare("data.a", Op.EQ, 1), f"lab.k{n}") for n in range(9)])

    assert len(program.units) == 9
    assert len(program.rulesets) == 1


def test_no_rules_make_no_rulesets() -> None:
    assert compile_rules([]) == Program((), (), (), ())


def can_be_written(value: object) -> bool:
    """Whether durable_rules can read it: a little beyond a literal may be more than events may show."""
    if isinstance(value, float):
        return b"e" not in msgspec.json.encode(value)
    if isinstance(value, str):
        return is_plain(value[:2048])
    return isinstance(value, int) and abs(value) <= 2**53 + 2


@given(SETS)
@settings(max_examples=50)
def test_smoke_facts_can_be_shown_and_every_rule_that_can_fire_does_in_one(made: list[Any]) -> None:
    program = compile_rules(made)
    seen: dict[int, set[int]] = {number: set() for number in range(len(program.rulesets))}
    for ruleset, fact, expected in program.smoke:
        assert all(map(can_be_written, fact.values())), fact
        assert fired(program, ruleset, fact) == expected
        seen[ruleset] |= expected

    for number, ruleset_rules in enumerate(program.rulesets):
        for place, (_, text) in enumerate(ruleset_rules):
            names = [name for name, _, _ in read_back(text)]
            if len(set(names)) == len(names):  # no two tests of one field, which may contradict each other
                assert place in seen[number]


@pytest.mark.parametrize("op", [Op.GT, Op.LT, Op.GTE, Op.LTE, Op.NE])
@pytest.mark.parametrize(
    "literal", [1.00001, -1.00001, 1.0000001, -1.0, 1, 0.9999999, 999999999999999.9, 2**53, -(2**53)]
)
def test_the_smoke_fact_beside_a_literal_can_be_shown_too(op: Op, literal: float) -> None:
    program = compile_rules(rules([Compare("data.a", op, literal)]))

    for _, fact, _ in program.smoke:
        assert all(map(can_be_written, fact.values())), fact
    fires = {place for _, _, expected in program.smoke for place in expected}
    assert fires == set(range(len(program.rulesets[0])))


def fnv(name: str) -> int:
    """32-bit FNV-1a, by which durable_rules tells names apart."""
    value = 2166136261
    for byte in name.encode():
        value = (value ^ byte) * 16777619 % 2**32
    return value


def test_no_two_names_that_may_meet_in_a_ruleset_are_the_same_to_durable_rules() -> None:
    numbered = [f"{letter}{n}" for letter, n in product([*Kind, "q", "o"], range(MAX_FIELDS))]
    # units are numbered through all rulesets
    below = [f"{BELOW}{number}" for number in range(5_000)]
    internal = ["id", "sid", "$s", "$time", "$m", "m", "$timerName", "$forward", "$reverse", "$state", "$f"]
    names = [TYPE, *numbered, *below, *internal, *(str(place) for place in range(MAX_RULES))]

    assert len({fnv(name) for name in names}) == len(set(names)) == len(names)
    assert fnv("k32728") == fnv("k261234"), "the hash is the one that facts of durable_rules collided in"


@given(SETS)
def test_all_names_come_from_that_universe(made: list[Any]) -> None:
    known = {f"{letter}{n}" for letter, n in product([*Kind, "q", "o"], range(MAX_FIELDS))}
    program = compile_rules(made)

    for ruleset in program.rulesets:
        for _, text in ruleset:
            for name, _, _ in read_back(text):
                assert name == TYPE or name in known or (name[0] == BELOW and name[1:].isdecimal()), name


DETERMINISM = """
import sys, msgspec
sys.path.append(sys.argv[1])
from cases import rules, rule
from holdfast.match.durable.program import compile_rules
from holdfast.model.conditions import *
made = []
for n in range(60):
    parts = [Compare(f"data.f{n % 7}", Op.IN, ("a", n, None)),
             Compare(f"data.g{n % 5}", Op.EXISTS, n % 2 == 0),
             Compare("data.t", Op.REGEX, "x"), Compare("severity", Op.GTE, "error")]
    made.append(rule(f"r{n}", (AllOf if n % 3 else AnyOf)(tuple(parts[: 1 + n % 4])), f"lab.k{n % 4}"))
p = compile_rules(made)
smoke = [(r, f, sorted(e)) for r, f, e in p.smoke]
slots = [[(s.path, sorted(s.kinds), s.keys) for s in u.paths()] for u in p.units]
sys.stdout.buffer.write(msgspec.json.encode([p.rulesets, p.answers, smoke, slots]))
"""


def test_the_same_rules_make_the_same_program_in_every_process() -> None:
    made = []
    for seed in ("0", "1", "4711"):
        done = subprocess.run(
            [sys.executable, "-c", DETERMINISM, os.path.dirname(__file__)],  # noqa: PTH120
            capture_output=True,
            check=False,
            env={**os.environ, "PYTHONHASHSEED": seed},
            timeout=60,
        )
        assert done.returncode == 0, done.stderr.decode()
        made.append(done.stdout)

    assert len(made[0]) > 5_000
    assert made[0] == made[1] == made[2]


@given(SETS)
def test_every_pattern_can_be_forced_to_either_answer_and_only_to_its_own(made: list[Any]) -> None:
    program = compile_rules(made)

    for unit in program.units:
        first: dict[str, Any] = {f"{BELOW}{unit.number}": 1} if unit.below else {TYPE: unit.wanted}
        base = fired(program, unit.ruleset, first)
        for key in unit.keys:
            for literal, truth in ((1, Truth.TRUE), (0, Truth.FALSE)):
                more = fired(program, unit.ruleset, {**first, unit.forced(key): literal}) - base
                assert [
                    (program.answers[unit.ruleset][p].key, program.answers[unit.ruleset][p].truth)
                    for p in more
                ] == [(key, truth)]


def test_a_fact_is_never_told_apart_by_a_name_of_its_own() -> None:
    assert msgspec.json.decode(Asked.about(3, {TYPE: "lab.x"}).text) == {"id": ID, TYPE: "lab.x"}
