from __future__ import annotations

import io
import queue
import threading

import pytest

from holdfast.model.records import DeliveryState
from holdfast.notify.child import AT_ONCE, Desk, serve
from holdfast.notify.target import Result
from holdfast.notify.wire import LINE_MAX, READY, Answer, Order, order_line, read_answer

# Apprise loads all its plugins, and one of them loads a module that Python has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")

WAIT = 10.0


def order(number: int, timeout: int = 10_000) -> Order:
    return Order(f"m{number}", "json://localhost", "t", "b", timeout=timeout)


def test_every_order_is_answered_with_its_own_result() -> None:
    answers: queue.Queue[Answer] = queue.Queue()
    desk = Desk(answers.put, lambda one: Result(DeliveryState.FAILED, one.id))

    for number in range(20):
        desk.take(order(number))
    heard = [answers.get(timeout=WAIT) for _ in range(20)]

    assert {one.id: one.detail for one in heard} == {f"m{number}": f"m{number}" for number in range(20)}


def test_a_send_that_hangs_is_unconfirmed_and_holds_up_nobody() -> None:
    answers: queue.Queue[Answer] = queue.Queue()
    free = threading.Event()

    def deliver(one: Order) -> Result:
        if one.id == "m0":
            free.wait(WAIT)
        return Result(DeliveryState.SENT)

    desk = Desk(answers.put, deliver)
    desk.take(order(0, timeout=100))
    hung = answers.get(timeout=WAIT)
    desk.take(order(1))
    other = answers.get(timeout=WAIT)
    free.set()

    assert (hung.id, hung.state, hung.stuck) == ("m0", DeliveryState.UNCONFIRMED, 1)
    assert "100 ms" in hung.detail
    assert (other.id, other.state, other.stuck) == ("m1", DeliveryState.SENT, 1)


def test_a_send_that_was_given_up_and_ends_later_is_answered_once_and_no_longer_counted() -> None:
    answers: queue.Queue[Answer] = queue.Queue()
    free = threading.Event()
    ended = threading.Event()

    def deliver(one: Order) -> Result:
        if one.id == "m0":
            free.wait(WAIT)
            ended.set()
        return Result(DeliveryState.SENT)

    desk = Desk(answers.put, deliver)
    desk.take(order(0, timeout=50))
    answers.get(timeout=WAIT)
    free.set()
    ended.wait(WAIT)
    stuck = 1
    for number in range(1, 200):
        desk.take(order(number))
        stuck = answers.get(timeout=WAIT).stuck
        if not stuck:
            break

    assert stuck == 0
    assert answers.empty()


def test_an_exception_is_an_answer_that_does_not_repeat_its_text() -> None:
    answers: queue.Queue[Answer] = queue.Queue()

    def deliver(one: Order) -> Result:
        raise RuntimeError(f"{one.url}?token=s3cret")

    Desk(answers.put, deliver).take(order(0))
    answer = answers.get(timeout=WAIT)

    assert answer.state is DeliveryState.UNCONFIRMED
    assert "RuntimeError" in answer.detail
    assert "s3cret" not in answer.detail


def test_an_order_that_finds_no_free_place_in_its_time_certainly_was_not_sent() -> None:
    answers: queue.Queue[Answer] = queue.Queue()
    free = threading.Event()
    busy = threading.Semaphore(0)

    def deliver(one: Order) -> Result:
        busy.release()
        free.wait(WAIT)
        return Result(DeliveryState.SENT, one.id)

    desk = Desk(answers.put, deliver)
    for number in range(AT_ONCE):
        desk.take(order(number))
    for _ in range(AT_ONCE):
        assert busy.acquire(timeout=WAIT)
    desk.take(order(99, timeout=50))
    refused = answers.get(timeout=WAIT)
    free.set()
    rest = [answers.get(timeout=WAIT) for _ in range(AT_ONCE)]

    assert (refused.id, refused.state) == ("m99", DeliveryState.FAILED)
    assert "not tried" in refused.detail
    assert {one.state for one in rest} == {DeliveryState.SENT}


class Answers(io.BytesIO):
    """Lets the test wait until so many lines were written."""

    def __init__(self) -> None:
        super().__init__()
        self.flushed = threading.Semaphore(0)

    def flush(self) -> None:
        super().flush()
        self.flushed.release()


def test_it_says_that_it_is_ready_and_answers_an_order_with_a_wrong_url() -> None:
    answers = Answers()

    code = serve(io.BytesIO(order_line(Order("m1", "nosuch://x", "t", "b"))), answers)
    for _ in range(2):
        assert answers.flushed.acquire(timeout=WAIT)
    ready, answer = answers.getvalue().splitlines(keepends=True)

    assert (code, ready) == (0, READY)
    assert read_answer(answer).state is DeliveryState.FAILED


@pytest.mark.parametrize("line", [b"x" * (LINE_MAX + 5) + b"\n", b"not json\n", b"{}\n"])
def test_a_line_that_is_no_order_ends_it(line: bytes) -> None:
    assert serve(io.BytesIO(line), io.BytesIO()) == 2
