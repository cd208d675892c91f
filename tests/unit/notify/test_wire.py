from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.model.records import DeliveryState
from holdfast.notify.wire import Answer, Order, answer_line, order_line, read_answer, read_order

ORDER = Order("m1", "mailto://bot:s3cret@x", "t", "the code is 7KQ4-MX", "h+ref@x", {"References": "<a@b>"})


@given(st.text(), st.text())
def test_an_order_comes_out_of_its_line_as_it_went_in(title: str, body: str) -> None:
    order = Order("m1", "json://localhost", title, body)

    line = order_line(order)

    assert line.count(b"\n") == 1
    assert read_order(line) == order


def test_text_that_is_no_unicode_goes_out_with_question_marks() -> None:
    line = order_line(Order("m1", "json://localhost", "a\ud800b", "c\udfffd"))

    assert (read_order(line).title, read_order(line).body) == ("a?b", "c?d")


def test_an_order_can_be_shown_without_giving_its_secrets_away() -> None:
    shown = repr(ORDER)

    assert "m1" in shown
    assert not [word for word in ("s3cret", "7KQ4", "ref", "<a@b>") if word in shown]


def test_an_answer_comes_out_of_its_line_as_it_went_in() -> None:
    answer = Answer("7", DeliveryState.UNCONFIRMED, "no answer", 3)

    assert read_answer(answer_line(answer)) == answer


@pytest.mark.parametrize("line", [b"", b"{}", b"[]", b'{"id":"1"}', b"\xff", b'{"id":"1","state":"lost"}'])
def test_a_line_that_is_no_answer_is_refused(line: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        read_answer(line)
