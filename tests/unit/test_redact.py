from __future__ import annotations

import base64
import threading
from urllib.parse import quote, quote_plus

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.redact import MARK, Redactor

CANARY = "c4n/ary+s3cret=="
PEM = "-----BEGIN KEY-----\nMC4CAQAwBQYDK2VwBCIEIDpQx\nR8vXYo2Lw9ZkqT1n3mB7\n-----END KEY-----\n"


@pytest.mark.parametrize(
    "form",
    [
        CANARY,
        quote(CANARY),
        quote(CANARY, safe=""),
        quote(CANARY, safe="").replace("%2F", "%2f").replace("%2B", "%2b").replace("%3D", "%3d"),
        quote_plus(CANARY),
        base64.b64encode(CANARY.encode()).decode(),
        base64.urlsafe_b64encode(CANARY.encode()).decode(),
        CANARY.encode().hex(),
        CANARY.encode().hex().upper(),
        msgspec.json.encode(CANARY).decode(),
    ],
)
def test_every_common_form_of_a_secret_is_replaced(form: str) -> None:
    clean = Redactor([CANARY]).text(f"before {form} after")

    assert form not in clean
    assert CANARY not in clean
    assert clean.startswith("before ")
    assert clean.endswith(" after")
    assert MARK in clean


@pytest.mark.parametrize("user", ["a", "ab", "abc", "abcd"])
def test_a_secret_inside_basic_authentication_is_replaced(user: str) -> None:
    header = base64.b64encode(f"{user}:{CANARY}:x".encode()).decode()

    clean = Redactor([CANARY]).text(f"Authorization: Basic {header}")

    core = base64.b64encode(CANARY.encode()).decode()[4:16]
    assert MARK in clean
    assert core not in clean
    assert len(clean) < len(f"Authorization: Basic {header}")


def test_a_secret_with_quotes_is_replaced_inside_json() -> None:
    secret = 'pa"ss\\word\nline'

    clean = Redactor([secret]).text(msgspec.json.encode({"password": secret}).decode())

    assert clean == f'{{"password":"{MARK}"}}'


def test_each_line_of_a_key_is_replaced_by_itself() -> None:
    printed = PEM.replace("\n", "\r\n   ")

    clean = Redactor([PEM]).text(printed)

    assert "MC4CAQ" not in clean
    assert "R8vXYo" not in clean
    assert "BEGIN KEY" in clean


def test_a_secret_read_from_a_file_is_found_without_its_last_newline() -> None:
    assert Redactor(["hunter22\n"]).text("it is hunter22.") == f"it is {MARK}."


def test_secrets_that_overlap_leave_no_piece_of_either() -> None:
    assert Redactor(["abcdef", "defghi"]).text("xabcdefghiy") == f"x{MARK}y"


def test_a_secret_inside_another_one_does_not_hide_it() -> None:
    assert (
        Redactor(["long-secret-long", "secret"]).text("a long-secret-long b secret") == f"a {MARK} b {MARK}"
    )


def test_secrets_side_by_side_are_all_replaced() -> None:
    assert Redactor(["aaaa"]).text("aaaaaaaaa") == MARK


def test_values_that_are_too_short_are_left_alone() -> None:
    assert Redactor(["", "a", "abc"]).text("abc a") == "abc a"


def test_text_without_secrets_is_returned_as_it_is() -> None:
    assert Redactor([CANARY]).text("nothing here") == "nothing here"
    assert Redactor().text("nothing here") == "nothing here"


def test_what_was_learned_stays_known_next_to_what_is_new() -> None:
    redactor = Redactor(["old-secret"])
    redactor.learn(["new-secret"])

    assert redactor.text("old-secret new-secret") == f"{MARK} {MARK}"


def test_the_longest_form_is_known() -> None:
    assert Redactor().longest == 0
    assert Redactor(["abcdefgh"]).longest == 16  # hexadecimal


def test_learning_while_redacting_never_fails() -> None:
    redactor = Redactor(["first-secret"])
    thread = threading.Thread(target=lambda: [redactor.learn([f"secret-{i}"]) for i in range(200)])
    thread.start()
    texts = [redactor.text("first-secret") for _ in range(500)]
    thread.join()

    assert set(texts) == {MARK}
    assert redactor.text("secret-199") == MARK


@given(st.text(min_size=4, max_size=40), st.text(max_size=60), st.text(max_size=60))
def test_no_secret_survives_anywhere(secret: str, before: str, after: str) -> None:
    clean = Redactor([secret]).text(before + secret + after)

    # the marks are ours; what is between them is what was kept
    assert all(secret not in piece for piece in clean.split(MARK))


@given(st.binary(min_size=6, max_size=40), st.binary(max_size=20), st.binary(max_size=20))
def test_base64_is_recognised_at_every_offset(data: bytes, before: bytes, after: bytes) -> None:
    secret = data.hex()
    encoded = base64.b64encode(before + secret.encode() + after).decode()

    assert MARK in Redactor([secret]).text(encoded)
