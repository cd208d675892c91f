#!/usr/bin/env python3
"""How far whole runs of `make bench` agree: the medians of Holdfast in each file, and how far they lie apart.

bench/compare.py FILE.jsonl ... with the project's Python; without files the newest three full runs.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from figures import markdown, number, spread
from main import ROOT, rows
from plan import JOBS, OURS

Run = dict[str, Any]


def compared(files: Mapping[str, Sequence[Run]]) -> str:
    """One line for each figure that all files have."""
    medians: dict[tuple[str, str], dict[str, float]] = {}
    for name, runs in files.items():
        for row in rows(JOBS, runs):
            middle = row.median(OURS)
            if middle is not None:
                medians.setdefault((row.title, row.unit), {})[name] = middle
    lines = [["", "unit", *files, "spread"]]
    for (title, unit), found in medians.items():
        if len(found) == len(files):
            values = [found[name] for name in files]
            lines.append([title, unit, *map(number, values), f"{spread(values):.0%}"])
    return markdown(lines)


def read(path: Path) -> list[Run]:
    """The runs of a file, without what says where they were made."""
    found = [msgspec.json.decode(line) for line in path.read_bytes().splitlines()]
    return [line for line in found if "job" in line]


def main() -> None:
    """Print the comparison."""
    newest = sorted((ROOT / "build" / "bench").glob("*[0-9].jsonl"))[-3:]
    paths = [Path(word) for word in sys.argv[1:]] or newest
    sys.stdout.write(compared({path.stem: read(path) for path in paths}) + "\n")


if __name__ == "__main__":
    main()
