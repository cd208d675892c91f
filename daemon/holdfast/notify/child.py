"""The courier process: orders in on stdin, answers out on stdout, and it ends when stdin ends.

`python -m holdfast.notify.child`. Every order has a thread of its own with its own time limit. A send
that does not come back is given up as unconfirmed and left alone; it blocks nobody else.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import BinaryIO, Final

import msgspec

from holdfast.model.records import DeliveryState
from holdfast.model.values import SECOND
from holdfast.notify import target
from holdfast.notify.wire import LINE_MAX, READY, Answer, Order, answer_line, read_order

AT_ONCE: Final = 8


class Desk:
    """Takes orders and answers each exactly once."""

    def __init__(self, answer: Callable[[Answer], None], deliver: Callable[[Order], target.Result]) -> None:
        self._answer = answer
        self._deliver = deliver
        self._slots = threading.BoundedSemaphore(AT_ONCE)
        self._stuck = 0
        self._counting = threading.Lock()

    def take(self, order: Order) -> None:
        """Start on an order and return at once."""
        threading.Thread(target=self._attend, args=(order,), daemon=True).start()

    def _attend(self, order: Order) -> None:
        deadline = time.monotonic() + order.timeout / SECOND
        if not self._slots.acquire(timeout=order.timeout / SECOND):
            detail = f"not tried: {AT_ONCE} other messages were being sent all the time"
            self._answer(Answer(order.id, DeliveryState.FAILED, detail))
            return
        try:
            answer = self._send(order, deadline - time.monotonic())
        finally:
            self._slots.release()
        self._answer(replace(answer, stuck=self._stuck))

    def _send(self, order: Order, seconds: float) -> Answer:
        results: list[target.Result] = []
        given_up = threading.Event()
        sender = threading.Thread(target=self._try, args=(order, results, given_up), daemon=True)
        sender.start()
        sender.join(max(seconds, 0.0))
        with self._counting:
            if not results and sender.is_alive():
                given_up.set()
                self._stuck += 1
        if given_up.is_set():
            detail = f"no answer within {order.timeout} ms: it may still arrive"
            return Answer(order.id, DeliveryState.UNCONFIRMED, detail)
        if not results:
            return Answer(
                order.id, DeliveryState.UNCONFIRMED, "the send ended without a result: it may have arrived"
            )
        return Answer(order.id, results[0].state, results[0].detail)

    def _try(self, order: Order, results: list[target.Result], given_up: threading.Event) -> None:
        try:
            result = self._deliver(order)
        except Exception as error:  # noqa: BLE001  whatever a plugin raises must become an answer
            kind = type(error).__name__  # its text may hold the URL
            result = target.Result(DeliveryState.UNCONFIRMED, f"Apprise raised {kind}: it may have arrived")
        with self._counting:
            results.append(result)
            if given_up.is_set():
                self._stuck -= 1


def serve(orders: BinaryIO, answers: BinaryIO) -> int:
    """Answer orders until the other side closes; returns the exit code (2: the other side is broken)."""
    writing = threading.Lock()

    def answer(given: Answer) -> None:
        with writing:
            answers.write(answer_line(given))
            answers.flush()

    target.preload()
    desk = Desk(answer, target.deliver)
    answers.write(READY)
    answers.flush()
    while line := orders.readline(LINE_MAX + 1):
        if len(line) > LINE_MAX:
            return 2
        try:
            desk.take(read_order(line))
        except msgspec.MsgspecError:
            return 2
    return 0


def main() -> None:
    """Run as a process of its own."""
    code = serve(sys.stdin.buffer, sys.stdout.buffer)
    os._exit(code)  # threads of given-up sends must not hold the process


if __name__ == "__main__":
    main()
