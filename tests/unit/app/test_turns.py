"""Coroutines that wait for the pipeline, which is on another thread."""

from __future__ import annotations

import asyncio
import threading

import pytest

from holdfast.app.turns import Turns


async def settle() -> None:
    """Let everything run that can run."""
    loop = asyncio.get_running_loop()
    for _ in range(3):
        turn = loop.create_future()
        loop.call_soon(turn.set_result, None)
        await turn


def test_each_waiter_goes_on_when_its_place_has_come_and_not_before() -> None:
    async def play() -> list[int]:
        turns, came = Turns(asyncio.get_running_loop()), []

        async def wait(seq: int) -> None:
            await turns.come(seq)
            came.append(seq)

        waiting = [asyncio.create_task(wait(seq)) for seq in (7, 3, 5, 3)]
        await settle()
        for cursor in (2, 4, 3, 6, 9):  # a late word about an earlier place takes nothing back
            thread = threading.Thread(target=turns.moved, args=(cursor,))
            thread.start()
            thread.join()
            await settle()
            came.append(-cursor)
        await asyncio.gather(*waiting)
        return came

    assert asyncio.run(play()) == [-2, 3, 3, -4, -3, 5, -6, 7, -9]


def test_a_place_that_has_come_is_not_waited_for() -> None:
    async def play() -> None:
        turns = Turns(asyncio.get_running_loop())
        turns.moved(5)
        await settle()
        async with asyncio.timeout(5):
            await turns.come(5)
            await turns.come(1)

    asyncio.run(play())


def test_a_waiter_that_gave_up_holds_nobody_back() -> None:
    async def play() -> None:
        turns = Turns(asyncio.get_running_loop())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await turns.come(1)
        other = asyncio.create_task(turns.come(2))
        await settle()
        turns.moved(3)
        async with asyncio.timeout(5):
            await other

    asyncio.run(play())


def test_a_pipeline_that_outlives_the_loop_is_no_error() -> None:
    loop = asyncio.new_event_loop()
    turns = Turns(loop)
    loop.close()
    turns.moved(1)
