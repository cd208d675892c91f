from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.gate.token import ALPHABET, code_for, display, gate_of, normalise, thread_ref, verify

KEY = b"k" * 32
OTHER_KEY = b"j" * 32

names = st.text(st.characters(codec="utf-8"), max_size=30)
codes = st.text(ALPHABET, min_size=6, max_size=6)


def test_a_code_is_six_symbols_that_nobody_confuses():
    code = code_for(KEY, "gate-1", "sven")

    assert len(code) == 6
    assert set(code) <= set(ALPHABET)
    assert not set("ILOU") & set(ALPHABET)


def test_a_code_stays_the_same_from_one_release_to_the_next():
    # A card that was sent before an update is answered after it.
    assert code_for(KEY, "gate-1", "sven") == "2Q0BNT"
    assert thread_ref(KEY, "gate-1") == "gate-1-dsshrkm82n"


@given(names, names, names, names)
def test_another_gate_another_operator_or_another_key_has_another_code(
    gate: str, operator: str, other_gate: str, other_operator: str
):
    # 30 bits: two different inputs agree by chance once in 10^9 runs.
    same = code_for(KEY, gate, operator) == code_for(KEY, other_gate, other_operator)

    assert same == ((gate, operator) == (other_gate, other_operator))
    assert code_for(KEY, gate, operator) != code_for(OTHER_KEY, gate, operator)


def test_moving_a_letter_from_the_gate_to_the_operator_changes_the_code():
    assert code_for(KEY, "ab", "c") != code_for(KEY, "a", "bc")
    assert code_for(KEY, "a|b", "c") != code_for(KEY, "a", "b|c")


@pytest.mark.parametrize("key", [b"", b"short", b"k" * 15])
def test_a_short_key_is_refused(key: bytes):
    with pytest.raises(ValueError, match="16"):
        code_for(key, "gate-1", "sven")


@pytest.mark.parametrize(
    "typed",
    [
        "7KQ4MX",
        "7kq4mx",
        "7KQ4-MX",
        " 7kq4 mx ",
        "7KQ4\u2013MX",  # a phone made the dash longer
        "7KQ4\u2011MX",
        "7KQ4\u00a0MX",
        "\uff17\uff2b\uff31\uff14\uff2d\uff38",  # full width
    ],
)
def test_every_way_to_type_a_code_is_the_same_code(typed: str):
    assert normalise(typed) == "7KQ4MX"


def test_look_alikes_count_as_what_they_look_like():
    assert normalise("oIlO1L") == "011011"


@pytest.mark.parametrize(
    "typed",
    [
        "",
        " ",
        "-",
        "7KQ4M",
        "7KQ4MXX",
        "7KQ4MU",
        "7KQ4M!",
        "7KQ4MX\n",
        "7KQ4M\u200bX",
        "7KQ4\u00df",  # becomes SS in upper case
        "7KQ4M\u0131",  # becomes I in upper case
        "7" * 10_000,
        "7KQ4MX" + " " * 100,
    ],
)
def test_what_cannot_be_a_code_is_none(typed: str):
    assert normalise(typed) is None


@given(st.text())
def test_normalise_never_fails_and_gives_a_code_or_nothing(text: str):
    code = normalise(text)

    assert code is None or (len(code) == 6 and set(code) <= set(ALPHABET))


@given(codes)
def test_a_displayed_code_reads_back(code: str):
    assert normalise(display(code)) == code
    assert display(code)[4] == "-"


@given(names, names)
def test_the_right_code_verifies_however_it_is_typed(gate: str, operator: str):
    code = code_for(KEY, gate, operator)

    assert verify(KEY, gate, operator, code)
    assert verify(KEY, gate, operator, f" {display(code).lower()}")


@given(names, names, codes)
def test_any_other_code_does_not(gate: str, operator: str, guess: str):
    assert verify(KEY, gate, operator, guess) == (guess == code_for(KEY, gate, operator))


@given(st.text())
def test_text_that_is_no_code_never_verifies(text: str):
    if normalise(text) is None:
        assert not verify(KEY, "gate-1", "sven", text)


@given(names.filter(bool))
def test_a_thread_reference_survives_the_mail_and_leads_back(gate: str):
    ref = thread_ref(KEY, gate)

    assert gate_of(KEY, ref) == gate
    assert gate_of(KEY, f" {ref.upper()} ") == gate
    assert ref.isascii()
    assert ref == ref.lower()
    assert not set(ref) & set("+@ <>\r\n\"',;:\\")


@pytest.mark.parametrize("gate", ["01j9z6m2", "gate-17", "g", "g123.2-5f0c"])
def test_a_plain_gate_id_stays_readable_in_its_reference(gate: str):
    assert thread_ref(KEY, gate).startswith(f"{gate}-")
    assert len(thread_ref(KEY, gate)) == len(gate) + 11


@pytest.mark.parametrize("gate", ["x.abc", "G1", "a..b", "a-", ".a", "a b", "a\n", "g" * 41, "x.", "gräte"])
def test_any_other_gate_id_is_encoded_and_leads_back(gate: str):
    ref = thread_ref(KEY, gate)

    assert re.fullmatch(r"x\.[a-z2-7]+-[0-9a-z]{10}", ref)
    assert gate_of(KEY, ref) == gate


def test_a_forged_or_damaged_reference_names_no_gate():
    ref = thread_ref(KEY, "gate-1")

    assert gate_of(KEY, ref.replace("gate-1", "gate-2")) is None
    assert gate_of(KEY, ref[:-1]) is None
    assert gate_of(OTHER_KEY, ref) is None
    assert gate_of(KEY, "gate-1") is None
    assert gate_of(KEY, ref + "x" * 300) is None


@given(st.text())
def test_any_text_as_a_reference_is_none_and_never_an_error(text: str):
    assert gate_of(KEY, text) is None
    assert gate_of(KEY, f"x.{text}-0000000000") is None
