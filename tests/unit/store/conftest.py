"""A real SQLite file for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.effects import crash_point
from holdfast.store.database import Database

POINT = crash_point("tests.unit.store")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database.open(tmp_path / "holdfast.db")
    yield opened
    opened.close()


@pytest.fixture
def point() -> str:
    return POINT
