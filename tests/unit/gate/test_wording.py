from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.gate.wording import CODE_PLACEHOLDER, EMPTY, clean, clock, command, span
from holdfast.model.values import DAY, HOUR, MINUTE, SECOND

hostile = st.text(st.characters(), max_size=60) | st.lists(
    st.sampled_from(
        [
            "\r\n",
            "\n",
            "Bcc: x@example.com",
            "{",
            "code",
            "}",
            "\x1b[2J",
            "\u202e",
            "\u2028",
            "\ud800",
            "{code}",
            " ",
            "ab",
        ]
    )
).map("".join)


@given(hostile, st.integers(4, 80))
def test_hostile_text_becomes_one_bounded_printable_line(text: str, limit: int):
    line = clean(text, limit)

    assert len(line.splitlines()) == 1
    assert len(line) <= max(limit, len(EMPTY))
    assert line == line.strip()
    assert line.isprintable()
    assert CODE_PLACEHOLDER not in line
    assert line.encode()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("shop fails its probe (500)", "shop fails its probe (500)"),
        ("a\r\nBcc: x", "a Bcc: x"),
        ("\x1b[31mred", "[31mred"),
        ("zero\u200bwidth \u202eleft", "zerowidth left"),
        ("{co\u200bde}", "(code)"),
        ("", EMPTY),
        ("\x00\x01", EMPTY),
        ("Grüße aus Zürich", "Grüße aus Zürich"),
        ("x" * 41, "x" * 39 + "…"),
        (" " * 1000 + "x", "…"),
    ],
)
def test_clean_keeps_what_can_be_read(text: str, line: str):
    assert clean(text, 40) == line


@given(st.lists(hostile, min_size=1, max_size=4), st.integers(1, 200))
def test_a_command_is_one_printable_line(argv: list[str], limit: int):
    line = command(argv, limit)

    assert len(line.splitlines()) == 1
    assert line.isprintable()
    assert CODE_PLACEHOLDER not in line


@given(st.lists(st.text(st.characters(min_codepoint=32, max_codepoint=126)), min_size=1, max_size=4))
def test_a_printable_command_is_shown_exactly(argv: list[str]):
    line = command(argv, 10_000)

    assert CODE_PLACEHOLDER in "".join(argv) or shlex.split(line) == argv


def test_what_cannot_be_seen_in_a_command_is_shown_as_an_escape():
    assert command(["a\nb", "\u202ec", "d\u00a0e"], 100) == r"'a\nb' '\u202ec' 'd\xa0e'"
    assert command(["{code}"], 100) == r"'{\x63ode}'"


def test_what_is_cut_off_a_command_is_counted():
    assert command(["x" * 150], 100) == "x" * 100 + "… (50 more characters)"


@pytest.mark.parametrize(
    ("millis", "words"),
    [
        (0, "0 s"),
        (-5, "0 s"),
        (999, "0 s"),
        (45 * SECOND, "45 s"),
        (2 * MINUTE + 5 * SECOND, "2 min 5 s"),
        (HOUR, "1 h"),
        (3 * DAY + 4 * HOUR + 5 * MINUTE, "3 d 4 h"),
    ],
)
def test_a_span_has_at_most_two_units(millis: int, words: str):
    assert span(millis) == words


@pytest.mark.parametrize(
    ("at", "words"),
    [(0, "00:00:00 UTC"), (DAY - 1, "23:59:59 UTC"), (1_763_841_845_123, "20:04:05 UTC")],
)
def test_the_clock_shows_the_time_of_day_in_utc(at: int, words: str):
    assert clock(at) == words


@given(st.integers())
def test_the_clock_reads_any_instant(at: int):
    assert len(clock(at)) == len("00:00:00 UTC")
