"""The sign of life: given as long as the pipeline moves, and not for a thread that is stuck."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from holdfast.app import daemon as module
from holdfast.app.daemon import STUCK_AFTER, Daemon

ROUNDS = 40
#: So much time passes between two looks at the clock.
STEP_MS = 5_000


@dataclass
class Pipeline:
    """Moves, rests or is stuck."""

    cursor: int = 5
    idle: bool = False
    moves: bool = False

    def pass_(self) -> None:
        self.cursor += self.moves


class Supervisor:
    """Counts signs of life."""

    beat = 0.001

    def __init__(self) -> None:
        self.beats = 0

    def alive(self) -> None:
        self.beats += 1


def beats(monkeypatch: pytest.MonkeyPatch, pipeline: Pipeline) -> int:
    """How many signs of life there were in a while."""
    watched = object.__new__(Daemon)
    watched.supervisor = Supervisor()  # type: ignore[assignment]
    watched.pipeline = pipeline  # type: ignore[assignment]
    looks = 0

    def clock() -> int:
        nonlocal looks
        looks += 1
        pipeline.pass_()
        if looks >= ROUNDS:
            watched.stopping.set()
        return looks * STEP_MS

    async def play() -> None:
        watched.stopping = asyncio.Event()
        async with asyncio.timeout(30):
            await watched._watch_over()

    monkeypatch.setattr(module, "now", clock)
    asyncio.run(play())
    return watched.supervisor.beats  # type: ignore[attr-defined, no-any-return]


def test_a_pipeline_that_is_stuck_gives_no_more_sign_of_life(monkeypatch: pytest.MonkeyPatch) -> None:
    given = beats(monkeypatch, Pipeline())

    assert 1 <= given <= STUCK_AFTER * 1000 / STEP_MS


def test_one_that_moves_or_has_nothing_to_do_does(monkeypatch: pytest.MonkeyPatch) -> None:
    moving = beats(monkeypatch, Pipeline(moves=True))
    resting = beats(monkeypatch, Pipeline(idle=True))

    assert min(moving, resting) > STUCK_AFTER * 1000 / STEP_MS
