from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console, RenderableType

from holdfast.cli.render.paper import cell, listing, pairs, sentence

ROWS = [("i41", "open", "shop fails its probe"), ("i7", "cleared", "the queue is long")]


def printed(part: RenderableType, width: int, *, coloured: bool = False) -> list[str]:
    """What a terminal of that width shows."""
    page = io.StringIO()
    Console(
        file=page, width=width, force_terminal=coloured, color_system="standard" if coloured else None
    ).print(part)
    return [row.rstrip() for row in page.getvalue().splitlines()]


def test_markup_in_a_cell_is_only_text() -> None:
    assert printed(cell("[bold red]x[/bold red] [link=http://e]y[/link] :boom:"), 80) == [
        "[bold red]x[/bold red] [link=http://e]y[/link] :boom:"
    ]


def test_a_word_of_the_vocabulary_is_coloured_and_no_other() -> None:
    assert "\x1b[" in printed(cell("critical"), 80, coloured=True)[0]
    assert printed(cell("critically"), 80, coloured=True) == ["critically"]


def test_a_sentence_keeps_the_spaces_between_its_parts() -> None:
    assert printed(sentence("i41", "  ", "open", " for 3 min", ""), 80) == ["i41  open for 3 min"]


def test_a_wide_terminal_shows_a_table() -> None:
    assert printed(listing(("ID", "STATE", "TITLE"), ROWS), 80) == [
        "ID   STATE    TITLE",
        "i41  open     shop fails its probe",
        "i7   cleared  the queue is long",
    ]


def test_a_narrow_terminal_shows_two_lines_for_each_row() -> None:
    assert printed(listing(("ID", "STATE", "TITLE"), ROWS), 36) == [
        "i41  open",
        "    shop fails its probe",
        "i7  cleared",
        "    the queue is long",
    ]


def test_a_table_without_rows_is_only_its_head() -> None:
    assert printed(listing(("ID", "TITLE"), []), 80) == ["ID  TITLE"]


def test_pairs_align_their_values() -> None:
    assert printed(pairs([("a", "1"), ("long", "2")], indent=2), 80) == ["  a     1", "  long  2"]


@given(st.lists(st.tuples(st.text(max_size=300), st.text(max_size=300)), max_size=4), st.integers(20, 120))
def test_no_text_and_no_width_breaks_a_table(rows: list[tuple[str, str]], width: int) -> None:
    assert all(cell_len(row) <= width for row in printed(listing(("A", "B"), rows), width))
