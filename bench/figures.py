"""The arithmetic of the bench: percentiles, medians, spreads, ratios, and the table that they stand in."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

Numbers = Sequence[float]


def percentile(values: Numbers, share: float) -> float:
    """The smallest value that at least `share` (0 to 1) of all values do not exceed; nearest rank.

    Raises ValueError without values or with a share outside 0 to 1.
    """
    if not values or not 0 <= share <= 1:
        raise ValueError("a percentile needs values, and a share from 0 to 1")
    rank = max(1, math.ceil(len(values) * share - 1e-9))  # 0.99 * 100 is a hair more than 99
    return sorted(values)[rank - 1]


def spread(values: Numbers) -> float:
    """How far the values lie apart, as a part of their median: 0.1 is ten percent. 0 for a median of 0."""
    middle = statistics.median(values)
    return (max(values) - min(values)) / abs(middle) if middle else 0.0


def ratio(ours: float | None, theirs: float | None, *, higher_is_better: bool) -> float | None:
    """How many times as good ours is: 1 is equal, 2 twice as good. None where one is missing or 0."""
    if not ours or not theirs:
        return None
    return ours / theirs if higher_is_better else theirs / ours


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: the same figure of several contestants, of each all runs that succeeded."""

    title: str
    unit: str
    figures: dict[str, list[float]]
    aim: str = ""
    higher_is_better: bool = True
    failed: set[str] = field(default_factory=set)

    def median(self, name: str) -> float | None:
        """The middle of a contestant's runs; None where it has none."""
        runs = self.figures.get(name)
        return statistics.median(runs) if runs else None

    def cell(self, name: str) -> str:
        """The median for people; `failed` where there was a run and none succeeded."""
        middle = self.median(name)
        return "failed" if middle is None and name in self.failed else number(middle)


def table(rows: Sequence[Row], contestants: Sequence[str], ours: str, theirs: str) -> str:
    """Rows as Markdown: medians, our ratio to one of the others, our spread over the runs, and the aim."""
    head = ["", "unit", *contestants, f"{ours} : {theirs}", "spread", "runs", "aim"]
    lines = [head]
    for row in rows:
        runs = row.figures.get(ours, [])
        times = ratio(row.median(ours), row.median(theirs), higher_is_better=row.higher_is_better)
        lines.append(
            [
                row.title,
                row.unit,
                *(row.cell(name) for name in contestants),
                "-" if times is None else f"{times:.2f}",
                f"{spread(runs):.0%}" if len(runs) > 1 else "-",
                str(len(runs)),
                row.aim,
            ]
        )
    return markdown(lines)


def markdown(lines: Sequence[Sequence[str]], left: int = 1) -> str:
    """A Markdown table with aligned columns; the first `left` of them to the left, numbers to the right."""
    widths = [max(len(line[place]) for line in lines) for place in range(len(lines[0]))]
    rule = [("-" * width + "-") if place < left else "-" * width + ":" for place, width in enumerate(widths)]
    shown = [
        " | ".join(
            cell.ljust(width) if place < left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    ]
    return "\n".join(
        [
            f"| {shown[0]} |",
            f"|{'|'.join('-' + part for part in rule)}|",
            *(f"| {line} |" for line in shown[1:]),
        ]
    )


def number(value: float | None) -> str:
    """A figure for people: three digits that mean something, thousands apart; a dash for none."""
    if value is None:
        return "-"
    if value == 0 or abs(value) >= 100 or float(value).is_integer():
        return f"{value:,.0f}"
    return f"{value:.3g}"
