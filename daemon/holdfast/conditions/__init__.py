"""Conditions with three answers: true, false, and unknown where the event does not say.

Rules look at events with them, policies at proposals. `evaluate` answers, `trace` shows how it came
to the answer. Neither raises, whatever the fact holds: what cannot be decided is unknown. The page
docs/reference/semantics.md defines every operator with examples.
"""

from __future__ import annotations

from holdfast.conditions.evaluation import (
    MAX_DEPTH,
    Bind,
    Checked,
    evaluate,
    judge,
    operand_of,
    split_join,
    trace,
)
from holdfast.conditions.kleene import all_of, any_of, negate, truth_of
from holdfast.conditions.operators import RANKS, equal
from holdfast.conditions.paths import MISSING, Missing, dereference, follow, lookup, parse_path
from holdfast.conditions.texts import MAX_TEXT, glob_problem, regex_problem

__all__ = [
    "MAX_DEPTH",
    "MAX_TEXT",
    "MISSING",
    "RANKS",
    "Bind",
    "Checked",
    "Missing",
    "all_of",
    "any_of",
    "dereference",
    "equal",
    "evaluate",
    "follow",
    "glob_problem",
    "judge",
    "lookup",
    "negate",
    "operand_of",
    "parse_path",
    "regex_problem",
    "split_join",
    "trace",
    "truth_of",
]
