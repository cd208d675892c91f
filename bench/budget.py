#!/usr/bin/env python3
"""Where an event's time goes: the micro-benchmarks as a table, and what they come to for an event of W1.

`make bench-micro`, or bench/budget.py FILE with what pytest-benchmark wrote. Microseconds of wall time for
one event; `least` is the quickest round, which other work on the machine disturbs least.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import msgspec
from figures import markdown, number

#: What one event of W1 costs by itself: (test, how often per event, why).
W1 = (
    ("test_door[1]", 1.0, "parsed, checked, made an event, encoded, answered"),
    ("test_append[8]", 1.0, "on disk, with those that wait on 8 connections"),
    ("test_road[noise-8]", 0.99, "read back, matched, decided, committed"),
    ("test_road[fires-8]", 0.01, "the same for the one in a hundred that fires"),
    ("test_local_attempt", 0.01, "the attempt of that one (in processes of its own)"),
)


@dataclass(frozen=True, slots=True)
class Cost:
    """Microseconds for one event."""

    room: str
    what: str
    least: float
    median: float


class _Stats(msgspec.Struct):
    min: float
    median: float


class _Extra(msgspec.Struct):
    room: str
    what: str
    events: int


class _Benchmark(msgspec.Struct):
    name: str
    stats: _Stats
    extra_info: _Extra


class _File(msgspec.Struct):
    benchmarks: list[_Benchmark]


def read(content: bytes) -> dict[str, Cost]:
    """The costs by the name of their test."""
    found = {}
    for item in msgspec.json.decode(content, type=_File).benchmarks:
        scale = 1e6 / item.extra_info.events
        found[item.name] = Cost(
            item.extra_info.room, item.extra_info.what, item.stats.min * scale, item.stats.median * scale
        )
    return found


def parts(costs: dict[str, Cost]) -> str:
    """Every part by room, in the order of the road."""
    lines = [["room", "what", "least us", "median us"]]
    lines += [[cost.room, cost.what, number(cost.least), number(cost.median)] for cost in costs.values()]
    return markdown(lines, left=2)


def budget(costs: dict[str, Cost]) -> str:
    """What the parts of one event of W1 add up to. Parts that were not measured are left out, and named."""
    known = [(costs[name], share, why) for name, share, why in W1 if name in costs]
    total = sum(cost.least * share for cost, share, _ in known)
    lines = [["an event of W1", "why", "least us", "share"]]
    for cost, share, why in known:
        spent = cost.least * share
        lines.append([f"{cost.room}: {cost.what}", why, number(spent), f"{spent / total:.0%}"])
    lines.append(["together", "", number(total), "100%"])
    missing = [name for name, _, _ in W1 if name not in costs]
    return markdown(lines, left=2) + (f"\n\nNot measured: {', '.join(missing)}" if missing else "")


def main() -> None:
    """Print both tables."""
    costs = read(Path(sys.argv[1]).read_bytes())
    sys.stdout.write(f"{parts(costs)}\n\n{budget(costs)}\n")


if __name__ == "__main__":
    main()
