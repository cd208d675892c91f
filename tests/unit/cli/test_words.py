from __future__ import annotations

import unicodedata

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.cli.words import ago, block, count, escaped, line, moment, short, shown
from holdfast.model.values import DAY, HOUR, MINUTE, SECOND

OBEYED = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
#: What changes a terminal, or the order in which text is read on it.
HOSTILE = "\x1b[2J\x1b]0;title\x07 \u009b31m \u202egnp.exe \u2066 \u200b \r\n \x00 \x7f"


def obeyed(text: str) -> set[str]:
    """The characters in a text that a terminal obeys instead of showing."""
    return {sign for sign in text if unicodedata.category(sign) in OBEYED}


@given(st.text())
def test_a_line_has_nothing_that_a_terminal_obeys(text: str) -> None:
    assert obeyed(line(text)) == set()


@given(st.text(min_size=1))
def test_a_line_never_grows_beyond_its_limit(text: str) -> None:
    assert len(line(text, 20)) <= 20


def test_hostile_text_keeps_the_words_in_it() -> None:
    found = line(HOSTILE + "the shop is down")

    assert obeyed(found) == set()
    assert found.endswith("the shop is down")


@pytest.mark.parametrize("text", ["", " ", "\n\t"])
def test_an_empty_line_stays_empty(text: str) -> None:
    assert line(text) == ""


@given(st.text(), st.integers(1, 5))
def test_a_block_is_safe_and_bounded(text: str, lines: int) -> None:
    found = block(text, lines)

    assert len(found) <= lines + 1
    assert obeyed("".join(found)) == set()


def test_a_block_keeps_indentation_and_counts_what_it_cuts() -> None:
    assert block("a\n\tb\nc\nd", 2) == ["a", "    b", "… 2 more lines"]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**50), 2**50) | st.text(),
        lambda x: st.lists(x) | st.dictionaries(st.text(), x),
    )
)
def test_escaped_json_means_the_same_and_cannot_touch_a_terminal(value: object) -> None:
    found = escaped(msgspec.json.format(msgspec.json.encode(value), indent=2))

    assert msgspec.json.decode(found) == value
    assert obeyed(found) <= {"\n"}


def test_the_eight_bit_control_sequence_is_escaped_in_json() -> None:
    assert escaped(msgspec.json.encode("\u009b2J")) == '"\\u009b2J"'


def test_characters_beyond_the_first_plane_are_escaped_as_pairs() -> None:
    assert escaped(msgspec.json.encode("\U000e0041")) == '"\\udb40\\udc41"'


@pytest.mark.parametrize(
    ("past", "said"),
    [
        (0, "now"),
        (999, "now"),
        (SECOND, "1 s ago"),
        (59 * SECOND, "59 s ago"),
        (3 * MINUTE + 40 * SECOND, "3 min ago"),
        (HOUR, "1 h ago"),
        (9 * DAY, "9 d ago"),
        (-5 * SECOND, "in 5 s"),
    ],
)
def test_how_long_ago_is_said_in_one_unit(past: int, said: str) -> None:
    assert ago(1_000_000_000_000 - past, 1_000_000_000_000) == said


def test_a_moment_is_utc() -> None:
    assert moment(1_700_000_000_123) == "2023-11-14 22:13:20"


@pytest.mark.parametrize("at", [10**30, -(10**30)])
def test_a_moment_that_no_calendar_has_is_a_question_mark(at: int) -> None:
    assert moment(at) == "?"


def test_a_short_id_is_the_part_that_tells_it_apart() -> None:
    assert [short("i41-abcdefgh"), short("g7.2-abcdefgh"), short("x")] == ["i41", "g7.2", "x"]


def test_one_of_a_thing_is_not_several() -> None:
    assert [count(1, "rule"), count(2, "rule"), count(0, "entry", "entries")] == [
        "1 rule",
        "2 rules",
        "0 entries",
    ]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "none"),
        (True, "true"),
        (3, "3"),
        ("", '""'),
        ("a\x1bb", "a b"),
        ([1, 2], "a list of 2"),
        ({"a": 1}, "an object of 1"),
    ],
)
def test_a_value_is_shown_in_a_few_words(value: object, said: str) -> None:
    assert shown(value) == said
