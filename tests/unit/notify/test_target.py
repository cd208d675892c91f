from __future__ import annotations

import unicodedata
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.model.records import DeliveryState
from holdfast.notify.target import TITLE_MAX, addressed, deliver, judge, one_line, plain
from holdfast.notify.wire import Order

# Apprise loads all its plugins, and one of them loads a module that Python has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")

SMTP = "Connection error while submitting email"


def order(url: str, reply_to: str | None = None, **headers: str) -> Order:
    return Order("m1", url, "t", "b", reply_to, headers)


def test_a_mail_url_gets_the_reply_address_and_says_that_it_is_automatic() -> None:
    url = addressed(order("mailto://u:p@h/?to=a@b", "holdfast+g1@lab.test"))

    assert url == (
        "mailto://u:p@h/?to=a@b&reply=holdfast%2Bg1%40lab.test&+Auto-Submitted=auto-generated"
        "&+X-Auto-Response-Suppress=All&+X-Holdfast=1"
    )


def test_a_mail_url_without_a_query_gets_one() -> None:
    assert addressed(order("mailtos://u:p@h")).startswith("mailtos://u:p@h?+Auto-Submitted=auto-generated&")


@pytest.mark.parametrize("url", ["ntfy://host/topic?priority=high", "json://h/", "tgram://token/id"])
def test_a_url_of_another_kind_stays_as_it_is(url: str) -> None:
    assert addressed(order(url, "holdfast+g1@lab.test", References="<a@b>")) == url


def test_a_header_cannot_hide_the_mark_of_our_own_mail() -> None:
    url = addressed(order("mailto://h", None, **{"X-Holdfast": "0", "Auto-Submitted": "no"}))

    assert "+X-Holdfast=1" in url
    assert "+Auto-Submitted=auto-generated" in url


def test_a_header_with_a_hostile_name_is_left_out_and_a_hostile_value_is_one_line() -> None:
    headers = {"Bad\r\nBcc": "x", "Re:x": "y", "References": "<a>\r\nBcc: thief@evil.test"}

    query = unquote(addressed(order("mailto://h", None, **headers)))

    assert "+References=<a> Bcc: thief@evil.test&" in query
    assert "Bad" not in query
    assert "Re:x" not in query


@given(st.text(max_size=400))
def test_a_title_is_one_short_line_whatever_it_was(text: str) -> None:
    line = one_line(text)

    assert len(line) <= TITLE_MAX
    assert not [sign for sign in line if unicodedata.category(sign) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
    assert line == line.strip()


def test_a_long_title_shows_that_it_was_cut() -> None:
    assert one_line("x" * 300) == "x" * 199 + "\u2026"


def test_a_body_keeps_its_lines_and_loses_control_characters() -> None:
    assert plain("a\r\nb\rc\td\x00\x1b[2Je") == "a\nb\nc\td[2Je"


REFUSED = "Socket Exception: HTTPConnectionPool: NewConnectionError: Connection refused"
HTTP_TIMEOUT = "Socket Exception: HTTPConnectionPool(host='h', port=1): Read timed out. (read timeout=4.0)"
LATE = "Socket Exception: Max retries (Caused by ConnectTimeoutError('timed out. (connect timeout=4.0)'))"
ABORTED = "Socket Exception: ('Connection aborted.', RemoteDisconnected('Remote end closed connection'))"


@pytest.mark.parametrize(
    ("logs", "state", "word"),
    [
        (
            [("WARNING", f'{SMTP} to "h"'), ("DEBUG", "Socket Exception: timed out")],
            "failed",
            "no connection",
        ),
        ([("WARNING", "x"), ("DEBUG", REFUSED)], "failed", "no connection"),
        ([("WARNING", "x"), ("DEBUG", LATE)], "failed", "no connection"),
        ([("WARNING", "x"), ("DEBUG", HTTP_TIMEOUT)], "unconfirmed", "may have arrived"),
        ([("WARNING", "x"), ("DEBUG", ABORTED)], "unconfirmed", "may have arrived"),
        (
            [("DEBUG", "Socket Exception: Connection unexpectedly closed: timed out")],
            "unconfirmed",
            "may have",
        ),
        ([("DEBUG", "Socket Exception: {'a@b': (550, b'no such user')}")], "failed", "code 550"),
        (
            [("DEBUG", "Socket Exception: (535, b'5.7.8 bad')"), ("WARNING", SMTP)],
            "failed",
            "check user, password",
        ),
        ([("WARNING", "Failed to send: Internal Server Error, error=503.")], "failed", "code 503"),
        ([], "failed", "gave no code"),
    ],
)
def test_the_log_of_a_failed_send_says_whether_it_can_have_arrived(
    logs: list[tuple[str, str]], state: str, word: str
) -> None:
    result = judge(logs)

    assert str(result.state) == state
    assert word in result.detail


def test_a_message_about_time_outs_is_not_taken_for_one() -> None:
    payload = ("DEBUG", "JSON Payload: {'message': 'probe timed out, Connection reset, error=503.'}")

    result = judge([payload, ("WARNING", "Failed to send JSON notification: error=400.")])

    assert (result.state, result.code) == (DeliveryState.FAILED, 400)


def test_a_message_that_quotes_an_error_is_not_taken_for_one() -> None:
    payload = ("DEBUG", "JSON Payload: {'message': \"(550, b'no') timed out, Connection refused\"}")

    result = judge([payload, ("WARNING", "A Connection error occurred sending JSON notification to h.")])

    assert result.code is None
    assert "gave no code" in result.detail


@given(st.lists(st.tuples(st.sampled_from(["DEBUG", "WARNING", "ERROR"]), st.text(max_size=60))))
def test_no_text_of_the_service_ever_becomes_part_of_the_detail(logs: list[tuple[str, str]]) -> None:
    canary = "c4n4ry-t0ken"

    result = judge([(level, f"{text} {canary}") for level, text in logs])

    assert canary not in result.detail


@pytest.mark.parametrize("url", ["", "nonsense", "nosuch://host", "json://a json://b", "mailto://"])
def test_a_url_that_is_not_exactly_one_service_is_a_clear_failure(url: str) -> None:
    result = deliver(order(url))

    assert result.state is DeliveryState.FAILED
    assert "exactly one service" in result.detail


def test_a_reply_address_that_apprise_would_drop_is_a_clear_failure() -> None:
    result = deliver(order("mailto://u:p@127.0.0.1:1/?from=a@b.test&to=c@d.test", "not an address"))

    assert result.state is DeliveryState.FAILED
    assert "replies.address" in result.detail
