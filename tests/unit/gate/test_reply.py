from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.gate.reply import TEXT_MAX, Parsed, parse
from holdfast.gate.token import ALPHABET, display, normalise

CHOICES = ("roll-back", "wait")

choice_names = st.from_regex(r"[a-z][a-z0-9-]{0,15}", fullmatch=True)
codes = st.text(ALPHABET, min_size=6, max_size=6)


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("roll-back 7KQ4MX", Parsed("roll-back", "7KQ4MX")),
        ("roll-back 7KQ4-MX", Parsed("roll-back", "7KQ4MX")),
        ("ROLL-BACK 7kq4 mx", Parsed("roll-back", "7KQ4MX")),
        ("  Roll-Back   7kq4mx  ", Parsed("roll-back", "7KQ4MX")),
        ("Roll\u2011back 7KQ4\u2013MX", Parsed("roll-back", "7KQ4MX")),
        ("roll-back\u00a07KQ4MX", Parsed("roll-back", "7KQ4MX")),
        ("roll-back 7KQ4MO", Parsed("roll-back", "7KQ4M0")),
        ("roll-back", Parsed("roll-back")),
        ("Wait", Parsed("wait")),
        ("wait 7KQ4-MX", Parsed("wait", "7KQ4MX")),
        ("deny", Parsed("deny")),
        ("DENY 7KQ4MX", Parsed("deny", "7KQ4MX")),
    ],
)
def test_a_choice_alone_or_with_a_code_is_understood(text: str, parsed: Parsed):
    assert parse(text, CHOICES) == parsed


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "Approve? not sure 7KQ4MX",
        "roll-back? 7KQ4MX",
        "roll-back not sure 7KQ4MX",
        "roll-back 7KQ4MX please",
        "roll-back 7KQ4MX-",
        "roll-back -7KQ4MX",
        "roll-back 7KQ4\u00df",
        "please roll-back 7KQ4MX",
        "roll-back not yet",
        "roll-back7KQ4MX",
        "roll back 7KQ4MX",
        "7KQ4MX",
        "7KQ4MX roll-back",
        "> roll-back 7KQ4MX",
        "roll-back 7KQ4MU",
        "roll-back 7KQ4M",
        "roll-back 7KQ4MXX",
        "roll-back 7-K-Q-4-M-X",
        "roll-back: 7KQ4MX",
        "don't wait",
        "wait.",
        "yes",
        "roll-back\t7KQ4MX",
        "roll-back 7KQ4MX\n",
        "roll-back 7KQ4MX\r\nBcc: everyone@example.com",
        "roll-back 7KQ4\u200bMX",
        "\u202eroll-back 7KQ4MX",
        "roll-back\u20287KQ4MX",
        "roll-back \ud800",
        "wait" + " " * TEXT_MAX,
    ],
)
def test_anything_else_is_not(text: str):
    assert parse(text, CHOICES) is None


def test_deny_is_understood_where_no_choice_has_that_name():
    assert parse("deny", ("go", "stay")) == Parsed("deny")


def test_a_choice_that_is_called_deny_keeps_its_spelling():
    assert parse("deny", ("Approve", "Deny")) == Parsed("Deny")


def test_two_choices_with_one_spelling_name_neither():
    assert parse("wait", ("Wait", "wait")) is None
    assert parse("deny", ("Wait", "wait")) == Parsed("deny")


@given(choice_names, codes)
def test_what_a_card_asks_for_is_understood(name: str, code: str):
    assert parse(f"{name} {display(code)}", [name]) == Parsed(name, code)
    assert parse(f" {name.upper()} {code.lower()}", [name]) == Parsed(name, code)
    assert parse(name, [name]) == Parsed(name)


def squashed(text: str) -> str:
    """The text without what one may type in several ways: case, spaces, dashes, look-alikes."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    kept = (sign for sign in folded if unicodedata.category(sign) not in {"Zs", "Pd"} and sign != "\u2212")
    return "".join(kept).translate(str.maketrans("oil", "011"))


near_misses = st.text(st.sampled_from("wait 7KQ4MX-deny roll-back?.,!>\u2013\u00a0\uff17\u212a"), max_size=20)


@given(choice_names, codes, st.text() | near_misses, st.text() | near_misses)
def test_no_word_around_a_command_is_ever_ignored(name: str, code: str, before: str, after: str):
    for line in (f"{before}{name} {code}{after}", f"{name} {before}{code}", f"{before}{name}{after}"):
        parsed = parse(line, [name])

        assert parsed is None or squashed(line) == squashed(parsed.choice + (parsed.code or ""))


@given(st.text(), st.lists(choice_names, max_size=3))
def test_whatever_is_parsed_was_on_offer(text: str, choices: list[str]):
    parsed = parse(text, choices)

    assert parsed is None or parsed.choice in {*choices, "deny"}
    assert parsed is None or parsed.code is None or normalise(parsed.code) == parsed.code


@given(
    st.sampled_from(["wait", "roll-back 7KQ4MX"]),
    st.characters(categories=["Cc", "Cf", "Cs", "Co", "Zl", "Zp"]),
    st.data(),
)
def test_a_control_character_anywhere_spoils_the_reply(line: str, control: str, data: st.DataObject):
    at = data.draw(st.integers(0, len(line)))

    assert parse(line[:at] + control + line[at:], CHOICES) is None
