"""The one way out: whatever changes the world outside goes through `touch`.

Together with `store.Database.begin`, the one way to disk, it strikes *crash points*: named instants
at which a test kills the daemon with SIGKILL, to prove that nothing acknowledged is lost and
nothing is done twice. Outside of such a test a strike is one dictionary look-up.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")

_points: set[str] = set()
_struck: dict[str, int] = {}

#: `NAME.before` or `NAME.after`, optionally `:N` for the N-th time it is reached (from 1).
_CRASH_AT: Final = os.environ.get("HOLDFAST_CRASH_AT", "")


def crash_point(name: str) -> str:
    """Register a crash point at import and return its name; a name is taken once."""
    if name in _points:
        raise ValueError(f"crash point {name!r} is registered twice")
    _points.add(name)
    return name


def crash_points() -> frozenset[str]:
    """Every registered crash point, for the test that kills the daemon at each."""
    return frozenset(_points)


def strike(point: str, side: str) -> None:
    """Die here, at once, if a test asked for it."""
    if not _CRASH_AT:
        return
    here = f"{point}.{side}"
    _struck[here] = _struck.get(here, 0) + 1
    if _CRASH_AT in (here, f"{here}:{_struck[here]}"):
        os.kill(os.getpid(), signal.SIGKILL)


def touch(point: str, act: Callable[[], T]) -> T:
    """Do something to the world outside. `point` is a registered crash point; errors pass through."""
    if point not in _points:
        raise ValueError(f"{point!r} is not a registered crash point")
    strike(point, "before")
    result = act()
    strike(point, "after")
    return result
