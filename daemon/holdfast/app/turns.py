"""Wait on the event loop until the pipeline, on its own thread, has come to a place in the journal."""

from __future__ import annotations

import asyncio
import heapq


class Turns:
    """Bridges the pipeline's cursor to coroutines that wait for it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._cursor = 0
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._count = 0

    def moved(self, cursor: int) -> None:
        """The pipeline has decided up to here; called on one thread."""
        self._cursor = max(self._cursor, cursor)
        if not self._waiting:
            return  # whoever comes from now on sees the cursor
        try:
            self._loop.call_soon_threadsafe(self._advance)
        except RuntimeError:
            # the loop has ended: the daemon is going down and nobody waits any more
            return

    async def come(self, seq: int) -> None:
        """Wait for a place in the journal."""
        if seq <= self._cursor:
            return
        self._count += 1
        future: asyncio.Future[None] = self._loop.create_future()
        heapq.heappush(self._waiting, (seq, self._count, future))
        self._advance()  # it may have come between the first look and this
        await future

    def _advance(self) -> None:
        while self._waiting and self._waiting[0][0] <= self._cursor:
            future = heapq.heappop(self._waiting)[2]
            if not future.done():
                future.set_result(None)
