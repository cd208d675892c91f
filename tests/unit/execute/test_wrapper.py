from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import ConnectorError
from holdfast.execute import wrapper
from holdfast.model.actions import Connector, PlannedStep, Retry, Risk
from holdfast.model.records import AttemptOrder

WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30)


def order(*argv: str, attempt: str = "r1/0/1", deadline: int = 5000, **more: object) -> AttemptOrder:
    step = PlannedStep(
        "act", Connector.SSH, "web1", argv, {}, Risk.LOW, (), False, False, deadline, Retry(), None, True
    )
    for name, value in more.items():
        object.__setattr__(step, name, value)
    return AttemptOrder(attempt, "r1", "i1", step, deadline)


def test_the_text_has_no_comments_and_is_small_enough_to_send_each_time() -> None:
    text = wrapper.text()

    assert not any(line.lstrip().startswith("#") for line in text.splitlines())
    assert len(text) < 10_000


def test_a_nonce_is_new_each_time() -> None:
    assert len({wrapper.new_nonce() for _ in range(100)}) == 100


def test_the_words_of_a_run_are_in_the_order_that_the_wrapper_reads_them() -> None:
    made = wrapper.run_words(order("echo", "-n", "x", idempotent=True, skip_if=("test", "y")), "st", "nonce")

    assert made == ["run", "nonce", "st", "r1.0.1", "5", "1", "2", "test", "y", "echo", "-n", "x"]


@pytest.mark.parametrize(("millis", "seconds"), [(1, 1), (0, 1), (1000, 1), (1001, 2), (60_000, 60)])
def test_a_deadline_is_rounded_up_to_whole_seconds(millis: int, seconds: int) -> None:
    assert wrapper.deadline_s(order("true", deadline=millis)) == seconds


@pytest.mark.parametrize(
    ("attempt", "name"),
    [("r1/0/1", "r1.0.1"), ("a-b_c/2/3", "a-b_c.2.3"), ("a.b", "a+2e+b"), ("a+b", "a+2b+b")],
)
def test_an_attempt_id_becomes_a_file_name(attempt: str, name: str) -> None:
    assert wrapper.claim_name(attempt) == name


@pytest.mark.parametrize("attempt", ["", "/x", "-x", "x" * 201, "é" * 60])
def test_an_attempt_id_that_makes_no_file_name_is_refused(attempt: str) -> None:
    with pytest.raises(ConnectorError, match="nothing was started"):
        wrapper.claim_name(attempt)


@given(st.text(max_size=12), st.text(max_size=12))
def test_different_attempts_have_different_harmless_names(one: str, other: str) -> None:
    names = []
    for attempt in (one, other):
        try:
            names.append(wrapper.claim_name(attempt))
        except ConnectorError:
            return

    assert (names[0] == names[1]) == (one == other)
    assert all(not name.startswith((".", "-")) and "/" not in name and "@" not in name for name in names)


@given(st.lists(WORDS, min_size=1, max_size=5))
def test_a_shell_reads_back_exactly_the_words(words: list[str]) -> None:
    line = wrapper.command_line(words).decode()

    assert shlex.split(line)[:4] == ["exec", "sh", "-c", wrapper.text()]
    assert shlex.split(line)[5:] == words


@pytest.mark.parametrize("word", ["a\0b", "\ud800", "x" * wrapper.MAX_LINE])
def test_a_word_that_cannot_be_sent_is_refused_before_anything_starts(word: str) -> None:
    with pytest.raises(ConnectorError, match="nothing was started"):
        wrapper.command_line(["run", word])
    with pytest.raises(ConnectorError, match="nothing was started"):
        wrapper.local_argv("/bin/sh", ["run", word])
