"""Every operator in every situation, through both matchers, held against the definition."""

from __future__ import annotations

import random
from collections.abc import Callable

import differ
import pytest

from holdfast.model.conditions import Op
from holdfast.model.values import Truth

WANTED = 2_000 if differ.LONG else 200
#: `same` joins two events: one alone never satisfies it.
NEVER = {(Op.SAME, "match")}


@pytest.mark.parametrize("op", list(Op))
def test_an_operator_means_the_same_to_both_matchers_in_every_situation(
    op: Op, record_property: Callable[[str, object], None]
) -> None:
    rng = random.Random(f"table {op}")
    row = []
    for situation in differ.SITUATIONS:
        tally = differ.Tally()
        found = differ.cases(rng, op, situation, WANTED)
        difference = differ.check(found, tally)
        row.append((situation, len(found), tally.truths))

        assert difference is None

    record_property("proof", line(op, row))
    for situation, cases, truths in row:
        assert cases == (0 if (op, situation) in NEVER else WANTED)
        if situation == "match":
            assert truths[Truth.TRUE] == cases
        if situation == "no match":
            assert truths[Truth.TRUE] == 0


def line(op: Op, row: list[tuple[str, int, dict[Truth, int]]]) -> str:
    """One row of the table: cases, and how many of them were true, false and unknown."""
    cells = [
        f"{situation}: {cases} ({'/'.join(str(truths[truth]) for truth in Truth)})"
        for situation, cases, truths in row
    ]
    return f"{op:<11} true/false/unknown " + "  ".join(f"{cell:<34}" for cell in cells).rstrip()
