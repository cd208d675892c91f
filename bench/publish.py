#!/usr/bin/env python3
"""Puts the newest results of a full run into docs/performance.md and draws the plot.

bench/publish.py [RESULTS.jsonl] with the project's Python. What stands between `<!-- NAME -->` and
`<!-- /NAME -->` is replaced; the rest of the page is for people.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import budget
import msgspec
import plot
from main import ROOT, Bench, report
from plan import JOBS

PAGE = ROOT / "docs" / "performance.md"
RESULTS = ROOT / "build" / "bench"


def filled(page: str, name: str, text: str) -> str:
    """The page with another text between the two marks. Raises ValueError where they are missing."""
    found, count = re.subn(
        rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)",
        lambda match: f"{match[1]}\n{text}\n\n{match[2]}",
        page,
        flags=re.DOTALL,
    )
    if count != 1:
        raise ValueError(f"the page needs <!-- {name} --> and <!-- /{name} --> once, in this order")
    return found


def figures(lines: list[bytes]) -> str:
    """What the results were measured on, and their table."""
    about, *runs = (msgspec.json.decode(line) for line in lines)
    bench = Bench(Path(), Path(), Path(), quick=False, rounds=0, runs=runs)
    asked = {run["job"] for run in runs}
    machine = ", ".join(f"{key} {value}" for key, value in about.items())
    return f"Measured on: {machine}.\n\n{report(bench, [job for job in JOBS if job.name in asked])}"


def main() -> None:
    """Fill the page from the results that are there."""
    results = Path(sys.argv[1]) if sys.argv[1:] else max(RESULTS.glob("*[0-9].jsonl"))
    lines = results.read_bytes().splitlines()
    page = filled(PAGE.read_text(encoding="utf-8"), "figures", figures(lines))
    micro = RESULTS / "micro.json"
    if micro.exists():
        costs = budget.read(micro.read_bytes())
        page = filled(page, "budget", f"{budget.budget(costs)}\n\n{budget.parts(costs)}")
    PAGE.write_text(page, encoding="utf-8")
    plot.write(lines)
    sys.stdout.write(f"{PAGE} and {plot.IMAGE} are made of {results}\n")


if __name__ == "__main__":
    main()
