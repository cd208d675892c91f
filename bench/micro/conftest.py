"""Times one room at a time on the same events, rules and database as the bench."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from samples import rulebook

from holdfast.model.snapshot import Snapshot
from holdfast.store.database import Database


@pytest.fixture
def cost(benchmark: Any) -> Callable[..., None]:
    """Time a call that does something for `events`; `prepare` makes its argument each time, untimed."""

    def time(
        room: str,
        what: str,
        act: Callable[..., object],
        *,
        events: int = 1,
        prepare: Callable[[], object] | None = None,
        rounds: int = 50,
    ) -> None:
        benchmark.group = room
        benchmark.extra_info.update(room=room, what=what, events=events)
        if prepare is None:
            benchmark(act)
        else:
            benchmark.pedantic(act, setup=lambda: ((prepare(),), {}), rounds=rounds, warmup_rounds=2)

    return time


@pytest.fixture
def snapshot(tmp_path: Path) -> Snapshot:
    """The config of W1 with ten rules."""
    return rulebook(tmp_path, 10)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """A database on disk, with the settings of the daemon."""
    opened = Database.open(tmp_path / "holdfast.db")
    yield opened
    opened.close()
