"""Crash points: registered once, struck around the act, and deadly only where a test asks for it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from holdfast.effects import crash_point, crash_points, touch

POINT = crash_point("tests.unit.effects")

#: Touches three times and says how often it got there.
CODE = """
from holdfast.effects import crash_point, touch
point = crash_point("p")
for number in range(3):
    touch(point, lambda: print("act", number, flush=True))
    print("after", number, flush=True)
"""


def test_a_name_is_registered_once() -> None:
    with pytest.raises(ValueError, match=r"'tests\.unit\.effects' is registered twice"):
        crash_point(POINT)

    assert POINT in crash_points()


def test_the_world_is_touched_at_a_registered_point_only() -> None:
    acted: list[int] = []
    with pytest.raises(ValueError, match=r"'nowhere' is not a registered crash point"):
        touch("nowhere", lambda: acted.append(1))

    assert acted == []


def test_a_touch_gives_back_what_the_act_gives_and_lets_its_errors_through() -> None:
    def fail() -> int:
        raise ConnectionError("away")

    assert touch(POINT, lambda: 7) == 7
    with pytest.raises(ConnectionError, match="away"):
        touch(POINT, fail)


@pytest.mark.parametrize(
    ("crash_at", "code", "said"),
    [
        ("", 0, ["act 0", "after 0", "act 1", "after 1", "act 2", "after 2"]),
        ("other.before", 0, ["act 0", "after 0", "act 1", "after 1", "act 2", "after 2"]),
        ("p.before", -9, []),
        ("p.after", -9, ["act 0"]),
        ("p.before:1", -9, []),
        ("p.before:3", -9, ["act 0", "after 0", "act 1", "after 1"]),
        ("p.after:2", -9, ["act 0", "after 0", "act 1"]),
        ("p.after:9", 0, ["act 0", "after 0", "act 1", "after 1", "act 2", "after 2"]),
    ],
)
def test_a_strike_is_deadly_at_its_side_and_at_its_time(crash_at: str, code: int, said: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        env={**os.environ, "HOLDFAST_CRASH_AT": crash_at},
        check=False,
        capture_output=True,
        text=True,
    )

    assert (done.returncode, done.stdout.splitlines()) == (code, said)
