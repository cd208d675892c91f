"""What the rehearsal shows fits a narrow terminal, and a path can be copied."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from holdfast.model.records import TimelineItem
from holdfast.rehearsal.screen import Screen


@pytest.fixture
def page() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def screen(page: io.StringIO) -> Screen:
    return Screen(Console(file=page, width=80, highlight=False))


def item(kind: str, text: str) -> TimelineItem:
    return TimelineItem("i1", 100, 1, kind, text, "c1")


def test_a_line_has_its_time_kind_and_text(screen: Screen, page: io.StringIO) -> None:
    screen.item(item("opened", "the shop fails"))
    (line,) = page.getvalue().splitlines()

    assert line.split() == [line.split()[0], "s", "opened", "the", "shop", "fails"]


def test_nothing_but_a_plain_sentence_is_wider_than_the_terminal(screen: Screen, page: io.StringIO) -> None:
    screen.act(1, "a title", "story " * 40)
    screen.step("step " * 40)
    screen.item(item("evidence", "word " * 60))
    screen.code("a file", "line " * 60, "yaml")

    assert max(len(line) for line in page.getvalue().splitlines()) <= 80


def test_a_path_is_never_broken(screen: Screen, page: io.StringIO) -> None:
    path = "/var/" + "x" * 200
    screen.say(f"look at {path}")

    assert path in page.getvalue()


def test_markup_in_what_was_said_stays_text(screen: Screen, page: io.StringIO) -> None:
    screen.item(item("message", "[bold]not bold[/bold]"))
    screen.say("[red]not red[/red]")

    assert "[bold]not bold[/bold]" in page.getvalue()
    assert "[red]not red[/red]" in page.getvalue()


def test_what_the_story_does_not_need_is_left_out(screen: Screen, page: io.StringIO) -> None:
    screen.item(item("closed", "closed: it stayed away"))

    assert page.getvalue() == ""
