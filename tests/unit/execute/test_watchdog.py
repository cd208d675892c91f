from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from holdfast.execute.watchdog import Watchdog


@pytest.fixture
def watchdog() -> Iterator[Watchdog]:
    made = Watchdog()
    yield made
    made.close()


def test_a_body_that_takes_too_long_is_interrupted_from_outside(watchdog: Watchdog) -> None:
    bitten = threading.Event()
    with watchdog.limit(0.02, bitten.set):
        assert bitten.wait(10)


def test_a_body_that_ends_in_time_is_left_alone(watchdog: Watchdog) -> None:
    bitten, later = threading.Event(), threading.Event()
    with watchdog.limit(0.02, bitten.set):
        pass
    with watchdog.limit(0.1, later.set):
        assert later.wait(10)

    assert not bitten.is_set()


def test_a_shorter_limit_set_later_bites_first(watchdog: Watchdog) -> None:
    order: list[str] = []
    done = threading.Event()
    with (
        watchdog.limit(60, lambda: order.append("long")),
        watchdog.limit(0.02, lambda: (order.append("short"), done.set())),
    ):
        assert done.wait(10)

    assert order == ["short"]


def test_an_act_that_fails_does_not_end_the_watch(watchdog: Watchdog) -> None:
    bitten = threading.Event()

    def fail() -> None:
        raise ValueError("on purpose")

    with watchdog.limit(0.01, fail), watchdog.limit(0.02, bitten.set):
        assert bitten.wait(10)


def test_closing_ends_the_thread() -> None:
    watchdog = Watchdog()
    with watchdog.limit(60, lambda: None):
        pass
    watchdog.close()

    assert not any(
        thread.name == "execute-watchdog" and thread.is_alive() for thread in threading.enumerate()
    )


def test_closing_what_never_watched_is_fine() -> None:
    Watchdog().close()
