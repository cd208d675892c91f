"""Whoever waits for the tests waits for half a minute, whatever they ask for."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from holdfast.errors import ConfigError
from holdfast.model.snapshot import Snapshot
from holdfast.ruletest import run

LONG = ", ".join(["{wait: 30d}"] * 12)


def test_a_story_of_a_year_is_ended_and_said_to_take_too_long(told: Callable[..., Snapshot]) -> None:
    snapshot = told(
        """
        test: a-year
        doc: A year of months.
        script: [LONG]
        """.replace("LONG", LONG)
    )

    with pytest.raises(ConfigError) as refused:
        run(snapshot, patience=0.05)

    (problem,) = refused.value.problems
    assert str(problem) == (
        "tests/told.yaml:4:10: script: all tests together take more than 0.05 s "
        "(this one was on: make it shorter)"
    )


def test_what_failed_before_the_time_was_over_is_said_too(told: Callable[..., Snapshot]) -> None:
    snapshot = told(
        """
        test: a
        doc: Nothing fires.
        script:
          - expect: {fired: [shop-down]}
        ---
        test: b
        doc: A year of months.
        script: [LONG]
        """.replace("LONG", LONG)
    )

    with pytest.raises(ConfigError, match=r"no rule fired .*\n.* take more than"):
        run(snapshot, patience=2.0)
