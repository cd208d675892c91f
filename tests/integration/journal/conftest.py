"""A real SQLite file, and a journal on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from holdfast.journal import Journal
from holdfast.store.database import Database


class Clock:
    """A clock that a test sets."""

    def __init__(self, now: int) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


def nobody(seq: int) -> None:
    """Is told of a commit, and does not care."""


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database.open(tmp_path / "holdfast.db")
    yield opened
    opened.close()


@pytest.fixture
def clock() -> Clock:
    return Clock(1_700_000_000_000)


@pytest.fixture
def make(database: Database, clock: Clock) -> Iterator[Callable[..., Journal]]:
    made: list[Journal] = []

    def _make(*, on_commit: Callable[[int], None] = nobody, **options: Any) -> Journal:
        journal = Journal(database, clock, on_commit=on_commit, **options)
        made.append(journal)
        return journal

    yield _make
    for journal in made:
        journal.stop()
