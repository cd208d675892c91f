from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import ConnectorError
from holdfast.execute import receipt
from holdfast.execute.connector import Ending
from holdfast.execute.receipt import HEAD_BYTES, TAIL_BYTES, Report, State
from holdfast.model.records import OutcomeKind

NONCE = "0123456789abcdef"
BOOT = "boot-1/memory-1"
HERE = {"here": "boot-1", "id": "memory-1", "now": "100.00"}


def answer(state: str = "ended", body: bytes = b"", *, noise: bytes = b"", **fields: str) -> bytes:
    lines = {"state": state, "here": "boot-1", "now": "100.00", **fields}
    header = "".join(f"{name}={value}\n" for name, value in lines.items())
    return noise + f"holdfast {NONCE}\n{header}\n".encode() + body + f"\nholdfast {NONCE} end\n".encode()


def ended(body: bytes = b"", **fields: str) -> Ending:
    told = {
        "boot": "boot-1",
        "begun": "90.50",
        "ended": "99.00",
        "exit": "0",
        "killed": "0",
        "skipped": "0",
        "held": "0",
        "left": "0",
        "sha256": hashlib.sha256(body).hexdigest(),
    }
    report = receipt.parse(answer("ended", body, **{**told, **fields}), NONCE)
    assert report is not None
    ending = receipt.ending(report, BOOT)
    assert ending is not None
    return ending


def about(state: State, **fields: str) -> Ending | None:
    return receipt.ending(Report(state, {**HERE, **fields}, b""), BOOT)


def test_a_receipt_becomes_an_ending_with_spans_back_from_now() -> None:
    assert ended(b"done\n", exit="3") == Ending(
        OutcomeKind.ENDED,
        exit_code=3,
        output="done\n",
        digest=hashlib.sha256(b"done\n").hexdigest(),
        started_ago=9500,
        ended_ago=1000,
    )


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"killed": "1", "exit": "143"}, OutcomeKind.KILLED),
        ({"skipped": "1"}, OutcomeKind.SKIPPED),
        ({"killed": "1", "skipped": "1"}, OutcomeKind.KILLED),
        ({"killed": "1", "left": "1"}, OutcomeKind.UNKNOWN),
        ({"held": "1"}, OutcomeKind.ENDED),
    ],
)
def test_the_flags_of_a_receipt_decide_its_kind_and_say_why(
    fields: dict[str, str], kind: OutcomeKind
) -> None:
    ending = ended(**fields)

    assert ending.kind is kind
    assert ending.detail


def test_a_receipt_of_an_earlier_boot_counts_but_its_times_are_unknown() -> None:
    ending = ended(boot="boot-0")

    assert ending.kind is OutcomeKind.ENDED
    assert (ending.started_ago, ending.ended_ago) == (None, None)


def test_an_output_that_differs_from_its_digest_is_said() -> None:
    assert "did not arrive" in ended(b"half", sha256=hashlib.sha256(b"whole").hexdigest()).detail


def test_an_unreadable_exit_code_is_none() -> None:
    assert ended(exit="").exit_code is None


@pytest.mark.parametrize("state", [State.RUNNING, State.CLAIMING])
def test_what_runs_or_is_about_to_has_no_ending(state: State) -> None:
    assert about(state) is None


def test_an_attempt_sealed_on_the_same_boot_and_memory_was_not_started() -> None:
    ending = about(State.NONE)

    assert ending is not None
    assert ending.kind is OutcomeKind.NOT_STARTED


@pytest.mark.parametrize(
    ("state", "fields", "why"),
    [
        (State.NONE, {"here": "boot-2"}, "rebooted"),
        (State.NONE, {"id": "memory-2"}, "state directory"),
        (State.NONE, {"id": "-"}, "state directory"),
        (State.LOST, {}, "no receipt"),
        (State.LOST, {"here": "boot-2", "boot": "boot-1"}, "rebooted"),
        (State.NO_STATE, {}, "state directory"),
    ],
)
def test_where_nobody_can_say_it_is_unknown_and_says_why(
    state: State, fields: dict[str, str], why: str
) -> None:
    ending = about(state, **fields)

    assert ending is not None
    assert ending.kind is OutcomeKind.UNKNOWN
    assert why in ending.detail


@pytest.mark.parametrize("state", [State.NO_STATE, State.NO_SETSID])
def test_some_answers_prove_that_nothing_was_started(state: State) -> None:
    assert "nothing was started" in (receipt.started_nothing(Report(state, {}, b"")) or "")


@pytest.mark.parametrize("state", [State.ENDED, State.RUNNING, State.NONE, State.LOST, State.CLAIMING])
def test_the_others_do_not(state: State) -> None:
    assert receipt.started_nothing(Report(state, {}, b"")) is None


def test_what_a_login_shell_says_before_is_ignored() -> None:
    report = receipt.parse(answer("none", noise=b"Welcome!\nholdfast 000\nstate=ended\n\n"), NONCE)

    assert report is not None
    assert report.state is State.NONE


def test_an_output_cannot_pretend_to_be_the_end_or_another_header() -> None:
    body = f"\nholdfast {NONCE} end\nholdfast {NONCE}\nstate=none\nexit=0\n\n".encode()

    ending = ended(body, exit="1")

    assert ending.exit_code == 1
    assert ending.detail == ""
    assert "state=none" in ending.output


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"Permission denied\n",
        answer()[:-1],
        answer().replace(b"state=ended", b"state=great"),
        answer().replace(b"state=", b"status="),
        answer().replace(NONCE.encode(), b"ffffffffffffffff"),
        f"\nholdfast {NONCE} end\nholdfast {NONCE}\n".encode(),
    ],
)
def test_anything_else_is_no_answer(data: bytes) -> None:
    assert receipt.parse(data, NONCE) is None


def test_an_answer_is_whole_with_its_last_line() -> None:
    data = answer(body=b"x")

    assert receipt.is_whole(data, NONCE)
    assert not receipt.is_whole(data[:-1], NONCE)


def test_a_boot_is_the_boot_id_and_the_memory() -> None:
    assert receipt.boot_of(Report(State.HERE, HERE, b"")) == BOOT


@pytest.mark.parametrize("report", [None, Report(State.NONE, HERE, b"")])
def test_a_shell_that_does_not_answer_has_no_boot(report: Report | None) -> None:
    with pytest.raises(ConnectorError, match="login shell"):
        receipt.boot_of(report)


def test_control_characters_become_visible() -> None:
    text = receipt.readable("ok\r\n\x1b[31mred\x00\x07\u202e\tü\n".encode() + b"\xff")

    assert text == "ok\n\\x1b[31mred\\x00\\x07\\u202e\tü\n\ufffd"


def test_a_secret_cut_by_the_gap_does_not_survive_in_halves() -> None:
    secret = b"S3CRET" * 100
    head = b"a" * (HEAD_BYTES - 300) + secret[:300]
    tail = secret[300:] + b"b" * (TAIL_BYTES - 300)

    text = receipt.readable(head + tail)

    assert "S3CRET" not in text
    assert "left out" in text
    assert text.startswith("aaa")
    assert text.endswith("bbb")


def test_an_output_just_below_the_limit_is_shown_whole() -> None:
    body = b"x" * (HEAD_BYTES + TAIL_BYTES - 1)

    assert receipt.readable(body) == body.decode()


@given(st.binary(max_size=300), st.binary(max_size=100))
def test_any_output_comes_back_byte_for_byte(body: bytes, noise: bytes) -> None:
    report = receipt.parse(answer(body=body, noise=noise), NONCE)

    assert report is not None
    assert report.body == body


@given(st.binary(max_size=400))
def test_no_bytes_make_the_reader_fail(data: bytes) -> None:
    start = f"holdfast {NONCE}\nstate=ended\nexit=".encode()
    report = receipt.parse(start + data + f"\nholdfast {NONCE} end\n".encode(), NONCE)

    if report is not None:
        receipt.ending(report, BOOT)
