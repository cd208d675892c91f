#!/usr/bin/env python3
"""Draws what an event costs against the number of rules, from the results of `make bench`, as SVG.

bench/plot.py [RESULTS.jsonl] [IMAGE.svg]; without arguments the newest full run and docs/images/rules.svg.
"""

from __future__ import annotations

import math
import re
import statistics
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path

import msgspec

ROOT = Path(__file__).resolve().parents[1]
IMAGE = ROOT / "docs" / "images" / "rules.svg"
WIDTH, HEIGHT = 640, 380
LEFT, RIGHT, TOP, BOTTOM = 70, 180, 40, 50
COLOURS = ("#1b6ca8", "#c8553d", "#4c8c4a")

#: A line of the plot: (number of rules, microseconds) in ascending order.
Points = Sequence[tuple[int, float]]


def series(lines: Iterable[bytes]) -> dict[str, Points]:
    """The measured lines by their names; medians where a job ran several times."""
    seen: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for line in lines:
        run = msgspec.json.decode(line)
        found = re.fullmatch(r"([0-9]+) rules, (.+)", run.get("job", ""))
        if found and "cpu_us" in run.get("result", {}):
            seen[found[2]][int(found[1])].append(run["result"]["cpu_us"])
    return {
        name: [(count, statistics.median(runs)) for count, runs in sorted(counts.items())]
        for name, counts in seen.items()
    }


def draw(measured: Mapping[str, Points]) -> str:
    """The plot; both axes are logarithmic. Raises ValueError where nothing was measured."""
    points = [point for line in measured.values() for point in line]
    if not points:
        raise ValueError("no result of a job `N rules, ...` is in the file: run `make bench` first")
    across = _decades([count for count, _ in points])
    up = _decades([cost for _, cost in points])
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}">',
        "<style>text {font: 13px sans-serif}</style>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        _text(LEFT, 22, "CPU for one event, in microseconds, all processes together", "start"),
    ]
    for power in range(across[0], across[1] + 1):
        x = _place(10**power, across, LEFT, WIDTH - RIGHT)
        parts.append(f'<line x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{HEIGHT - BOTTOM}" stroke="#ddd"/>')
        parts.append(_text(x, HEIGHT - BOTTOM + 20, f"{10**power:,} rules", "middle"))
    for power in range(up[0], up[1] + 1):
        y = _place(10**power, up, HEIGHT - BOTTOM, TOP)
        parts.append(f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}" stroke="#ddd"/>')
        parts.append(_text(LEFT - 8, y + 4, f"{10.0**power:,g}", "end"))
    for (name, line), colour in zip(sorted(measured.items()), COLOURS, strict=False):
        placed = [
            (_place(count, across, LEFT, WIDTH - RIGHT), _place(cost, up, HEIGHT - BOTTOM, TOP))
            for count, cost in line
        ]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for (x, y), (_, cost) in zip(placed, line, strict=True):
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>')
            parts.append(_text(x, y - 9, f"{cost:,.0f}", "middle", colour))
        parts.append(_text(placed[-1][0] + 16, placed[-1][1] + 4, name, "start", colour))
    return "\n".join([*parts, "</svg>", ""])


def _decades(values: Sequence[float]) -> tuple[int, int]:
    """The powers of ten around the values, at least one decade apart."""
    low = math.floor(math.log10(min(values)))
    return low, max(low + 1, math.ceil(math.log10(max(values))))


def _place(value: float, decades: tuple[int, int], start: int, end: int) -> float:
    low, high = decades
    return start + (math.log10(value) - low) / (high - low) * (end - start)


def _text(x: float, y: float, text: str, anchor: str, colour: str = "#333") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{escape(text)}</text>'


def write(lines: Iterable[bytes], image: Path = IMAGE) -> None:
    """Draw what was measured to a file."""
    image.parent.mkdir(parents=True, exist_ok=True)
    image.write_text(draw(series(lines)), encoding="utf-8")


def main() -> None:
    """Draw the newest results, or those that are named."""
    words = [Path(word) for word in sys.argv[1:]]
    source = words[0] if words else max((ROOT / "build" / "bench").glob("*[0-9].jsonl"))
    write(source.read_bytes().splitlines(), *words[1:2])


if __name__ == "__main__":
    main()
