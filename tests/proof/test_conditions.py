"""Paths, globs and expressions of a rule, on whatever an event holds."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import strategies as st
from tests.proof.prove import Tally, prove, slips

from holdfast.conditions import MISSING, evaluate, glob_problem, lookup, parse_path, regex_problem
from holdfast.errors import InputError
from holdfast.model.conditions import Compare, Op
from holdfast.model.values import Truth

FACT = {"data": {"a b": [1, {"c": "x"}], "text": "abc", "": 0}, "type": "x"}


def test_paths(tally: Callable[[str], Tally]) -> None:
    good = ["data.text", 'data["a b"][1].c', "type", 'data[""]', r'data["a\"b"]']
    pieces = [
        ".",
        "..",
        "[",
        "]",
        '["',
        '"]',
        '"',
        "\\",
        "[0]",
        "[999999999]",
        "[-1]",
        "\u0661",
        " ",
        "\n",
        "\x00",
        "é",
    ]

    def parse(path: str) -> bool:
        value = lookup(FACT, path)
        steps = parse_path(path)
        assert steps
        assert all(isinstance(step, str) or 0 <= step < 10**9 for step in steps)
        assert value is MISSING or value is not None
        return True

    prove(
        tally("conditions.paths: paths"),
        slips(good, pieces, most=4),
        parse,
        refusals=(InputError,),
        thousands=60,
    )


@pytest.mark.parametrize(("op", "problem"), [(Op.REGEX, regex_problem), (Op.GLOB, glob_problem)])
def test_patterns(tally: Callable[[str], Tally], op: Op, problem: Callable[[str], str | None]) -> None:
    good = ["^a.*c$", "[a-z]+", "(a|b)*c", "a?b*", "*.[!x]?", "\\d{1,3}"]
    pieces = [
        "*",
        "?",
        "[",
        "]",
        "[!",
        "[]",
        "(",
        ")",
        "{",
        "}",
        "{1000}",
        "\\",
        "|",
        "(?=",
        "(?P<a>",
        "\\1",
        "\\pL",
        "\ud800",
        "\x00",
        "(?i)",
        "^",
        "(" * 60,
    ]
    values = slips(["abc", "ABC", "a" * 300], ["\ud800", "\n", "\x00", "é", "\U0001f600"], most=1)

    def parse(case: tuple[str, str, bool]) -> bool:
        pattern, value, fold = case
        why = problem(pattern)
        truth = evaluate(Compare("data.text", op, pattern, fold=fold), {"data": {"text": value}})
        if why is not None:
            assert why
            assert truth is Truth.UNKNOWN
            return False
        assert truth is not Truth.UNKNOWN or any("\ud800" <= sign <= "\udfff" for sign in value)
        return True

    prove(
        tally(f"conditions.texts: {op}"),
        st.tuples(slips(good, pieces), values, st.booleans()),
        parse,
        thousands=30,
    )
