"""A real SQLite file for each test, and a way to wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from holdfast.effects import crash_point
from holdfast.store.database import Database

POINT = crash_point("tests.unit.app")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database.open(tmp_path / "holdfast.db")
    yield opened
    opened.close()


@pytest.fixture
def point() -> str:
    return POINT


@pytest.fixture
def until() -> Callable[..., None]:
    """Waits for a condition, and fails when it does not come."""

    def wait(condition: Callable[[], object], seconds: float = 20.0) -> None:
        deadline = time.monotonic() + seconds
        pause = threading.Event()
        while not condition():
            assert time.monotonic() < deadline, f"it did not come within {seconds} s"
            pause.wait(0.01)

    return wait
