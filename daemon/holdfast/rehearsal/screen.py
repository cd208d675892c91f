"""What the rehearsal shows: a live timeline in the terminal, plain lines where there is none."""

from __future__ import annotations

import time
from typing import Final

from rich.console import Console
from rich.panel import Panel
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from holdfast.model.records import TimelineItem

_STYLES: Final = {
    "opened": "bold red",
    "reopened": "bold red",
    "evidence": "red",
    "decided": "cyan",
    "start": "yellow",
    "attempt": "yellow",
    "verifying": "blue",
    "ineffective": "bold magenta",
    "question": "bold magenta",
    "answer": "bold green",
    "hold": "yellow",
    "released": "green",
    "cleared": "bold green",
    "verified": "bold green",
    "closed": "dim",
    "message": "dim",
    "clear": "dim",
}
_QUIET: Final = frozenset({"closed"})


class Screen:
    """Everything that is printed goes through here."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began = time.monotonic()

    def act(self, number: int, title: str, story: str) -> None:
        """A new act."""
        self._console.print()
        self._console.rule(f"[bold]{number}. {title}", align="left")
        self._console.print(Text(story, style="italic"))

    def step(self, text: str) -> None:
        """Something that the rehearsal itself does."""
        self._line("rehearsal", text, "bold")

    def item(self, item: TimelineItem) -> None:
        """One line of an incident's timeline."""
        if item.kind not in _QUIET:
            self._line(item.kind, item.text, _STYLES.get(item.kind, ""))

    def code(self, title: str, text: str, language: str) -> None:
        """A file, a mail or the answer of a command."""
        shown = Syntax(text.rstrip(), language, background_color="default", word_wrap=True)
        self._console.print(Panel(shown, title=Text(title), title_align="left", border_style="dim"))

    def say(self, text: str, style: str = "") -> None:
        """A plain sentence."""
        # paths are there to be copied: the terminal may wrap them, we do not
        self._console.print(Text(text, style=style), soft_wrap=True)

    def _line(self, kind: str, text: str, style: str) -> None:
        grid = Table.grid(padding=(0, 1))
        grid.add_column(width=8, justify="right", style="dim")
        grid.add_column(width=11, style=style)
        grid.add_column(style="" if style == "dim" else style.removeprefix("bold "))
        grid.add_row(Text(f"{time.monotonic() - self._began:.1f} s"), Text(kind), Text(text))
        self._console.print(grid)
