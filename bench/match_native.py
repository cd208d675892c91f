#!/usr/bin/env python3
"""How fast the native engine matches, and that rules about other event types cost nothing.

Run from anywhere with the project's Python: bench/match_native.py [--events N]. Prints, asserts nothing.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "daemon"))

from holdfast.match.native import NativeEngine
from holdfast.model.conditions import AllOf, Compare, Op
from holdfast.model.events import Event, Provenance
from holdfast.model.rules import IncidentSpec, Mode, Pattern, Quiet, Rule
from holdfast.model.values import MINUTE, Severity, Text, Trust

BATCH = 500


def rule(number: int, event_type: str) -> Rule:
    """A rule with two comparisons."""
    where = AllOf((Compare("data.value", Op.GT, 90), Compare("host", Op.NE, f"h{number}")))
    return Rule(
        name=f"r{number}",
        doc="",
        mode=Mode.AUTO,
        when=Pattern(f"r{number}/e", "e", event_type, where),
        incident=IncidentSpec("alarm", Severity.ERROR, Text(("alarm",))),
        clears=Quiet(MINUTE),
    )


def event(number: int, event_type: str) -> Event:
    """One event out of a hundred that are all alike but for their value."""
    value, host = number % 101, f"h{number % 100}"
    provenance = Provenance("none", Trust.LOW, "bench")
    data = {"value": value, "unit": "ms", "labels": {"zone": "a"}}
    return Event(str(number), "bench", event_type, 1, 1, Severity.INFO, host, provenance, None, host, data)


def rate(rules: list[Rule], events: list[Event]) -> tuple[float, int]:
    """Events per second, best of three, and how many findings were true."""
    engine = NativeEngine(rules)
    best, true = float("inf"), 0
    for _ in range(3):
        start = time.perf_counter()
        found = [
            findings
            for at in range(0, len(events), BATCH)
            for findings in engine.match(events[at : at + BATCH])
        ]
        best = min(best, time.perf_counter() - start)
        true = sum(truth == "true" for findings in found for truth in findings.values())
    return len(events) / best, true


def main() -> None:
    """Print one line per number of rules."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=20_000)
    wanted = parser.parse_args().events
    out = sys.stdout.write
    out(f"{'rules':>12}  {'each its own type':>22}  {'all of one type':>22}\n")
    for count in (10, 100, 1_000):
        own = [rule(number, f"alarm_{number}") for number in range(count)]
        one = [rule(number, "alarm") for number in range(count)]
        spread, _ = rate(own, [event(number, f"alarm_{number % count}") for number in range(wanted)])
        few = max(100, wanted * 10 // count)
        crowd, _ = rate(one, [event(number, "alarm") for number in range(few)])
        out(f"{count:>6,} rules  {spread:>11,.0f} events/s  {crowd:>11,.0f} events/s\n")


if __name__ == "__main__":
    main()
