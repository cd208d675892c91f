"""The pieces that text output is made of. Whatever goes in is cleaned here, so nothing is forgotten."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from holdfast.cli.words import line

#: What a word of the closed vocabularies looks like; every other word is plain.
STYLES: Final = {
    "critical": "bold red",
    "error": "red",
    "warning": "yellow",
    "info": "blue",
    "open": "bold red",
    "cleared": "green",
    "closed": "dim",
    "verified": "green",
    "ineffective": "bold yellow",
    "failed": "red",
    "unknown": "bold yellow",
    "denied": "yellow",
    "deny": "red",
    "human": "yellow",
    "allow": "green",
    "asking": "bold yellow",
    "pending": "bold yellow",
    "waiting": "yellow",
    "running": "cyan",
    "verifying": "cyan",
    "unconfirmed": "yellow",
    "true": "green",
    "false": "red",
    "auto": "green",
    "suggest": "yellow",
    "observe": "dim",
}

#: The last column of a table is at least so wide.
_COLUMN: Final = 30

Cell = str | Text


def cell(text: Cell, style: str | None = None) -> Text:
    """Text that is shown as it is: no markup, nothing that a terminal obeys."""
    if isinstance(text, Text):
        return text
    return Text(line(text), STYLES.get(text, "") if style is None else style)


def sentence(*parts: Cell) -> Text:
    """Parts after one another, each with the spaces around it; words of the vocabularies are coloured."""
    return Text.assemble(*(_spaced(part) if isinstance(part, str) else part for part in parts))


def heading(text: str) -> Text:
    """A section begins."""
    return Text(f"\n{line(text)}", "bold")


def hint(text: str) -> Text:
    """What to do next; never more important than the answer itself."""
    return Text(line(text), "dim")


def listing(headers: Sequence[str], rows: Sequence[Sequence[Cell]], *, header: bool = True) -> Listing:
    """Rows in columns that keep their width, except the last, which wraps."""
    cells = tuple(tuple(cell(item) for item in row) for row in rows)
    return Listing(tuple(headers) if header else ("",) * len(headers), cells, header)


@dataclass(frozen=True, slots=True)
class Listing:
    """A table; where the terminal is too narrow for one, two lines for each row."""

    headers: tuple[str, ...]
    rows: tuple[tuple[Text, ...], ...]
    header: bool

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Choose by the width that there is."""
        columns = zip(*self.rows, strict=True)
        fixed = sum(2 + max(part.cell_len for part in column) for column in [*columns][:-1])
        if options.max_width - fixed >= _COLUMN:
            yield self._table()
            return
        for row in self.rows:
            yield Text("  ").join(row[:-1])
            yield Padding(row[-1], (0, 0, 0, 4))

    def _table(self) -> Table:
        table = Table(
            box=None,
            pad_edge=False,
            show_edge=False,
            show_header=self.header,
            header_style="dim",
            padding=(0, 2, 0, 0),
        )
        for index, name in enumerate(self.headers):
            last = index + 1 == len(self.headers)
            table.add_column(name, no_wrap=not last, overflow="fold" if last else "ellipsis")
        for row in self.rows:
            table.add_row(*row)
        return table


def pairs(rows: Sequence[tuple[Cell, Cell]], *, indent: int = 0) -> RenderableType:
    """Names and values; the values are aligned and wrap."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, overflow="fold")
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(cell(name, "dim") if isinstance(name, str) else name, cell(value))
    return indented(table, indent)


def indented(part: RenderableType, by: int) -> RenderableType:
    """The same, moved to the right."""
    return Padding(part, (0, 0, 0, by)) if by else part


def _spaced(part: str) -> Text:
    inner = part.strip(" ")
    if not inner:
        return Text(part)
    before, _, after = part.partition(inner)
    return Text.assemble(before, cell(inner), after)
