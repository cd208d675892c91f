"""How far the decisions lag behind the acknowledgements, and whose events may add to that."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from math import exp
from typing import Final

#: No event waits longer for its decision than about this, in seconds, as long as others send little.
TARGET: Final = 0.5
#: Nor do more events wait than this, by the same measure: while they are in memory still, a decision about
#: them costs half of what it does once they have to be read back.
MOST: Final = 10_000
#: So many undecided events of a source are always taken, and any number that comes when it has none.
LITTLE: Final = 50
#: For so long the speed of the decisions is remembered, in seconds during which there was work.
_MEMORY: Final = 0.5
#: Until it is known, the speed is taken for this: so many events, in so many seconds.
_GUESS: Final = (200.0, 0.05)
#: Stands for whoever sent what the last life left.
_LAST_LIFE: Final = ""


@dataclass(slots=True)
class _Run:
    """Events of one source with no other entry among them, on disk since a moment."""

    first: int
    last: int
    source: str
    at: float


class Pace:
    """Counts events from their acceptance until they are decided on. Pure but for what it is told;
    not thread-safe.

    Times are seconds of a clock that never goes back. A decision takes as long as it takes; what
    would wait longer than `TARGET`, or with more than `MOST`, is admitted from sources only that have less
    than an equal share.
    """

    def __init__(self) -> None:
        self._sources: dict[str, int] = {}
        self._total = 0
        self._runs: deque[_Run] = deque()
        self._events, self._seconds = _GUESS
        self._since: float | None = None  # since when there has been work without a pause

    def __len__(self) -> int:
        """How many events are not decided on yet."""
        return self._total

    @property
    def rate(self) -> float:
        """Decisions per second, while there are any to make."""
        return self._events / self._seconds

    def wait(self, now: float, more: int = 0) -> float:
        """How many seconds an event that comes now would wait, or the oldest has waited already."""
        oldest = now - self._runs[0].at if self._runs else 0.0
        return max((self._total + more) / self.rate, oldest)

    def admits(self, source: str, count: int, now: float) -> bool:
        """Whether so many more events of a source may wait for their decision."""
        own = self._sources.get(source, 0)
        if not own or own + count <= LITTLE:
            return True
        if self._total + count <= MOST and self.wait(now, count) <= TARGET:
            return True
        return own + count <= min(MOST, self.rate * TARGET) / len(self._sources)

    def accept(self, source: str, count: int) -> None:
        """They wait for their commit, and then for their decision."""
        self._sources[source] = self._sources.get(source, 0) + count
        self._total += count

    def forget(self, source: str, count: int) -> None:
        """They wait no longer: decided on, or never stored."""
        left = self._sources[source] - count
        if left:
            self._sources[source] = left
        else:
            del self._sources[source]
        self._total -= count

    def stored(self, source: str, seq: int, now: float) -> None:
        """An accepted event is on disk, at this sequence number."""
        newest = self._runs[-1] if self._runs else None
        if newest is not None and newest.source == source and newest.last == seq - 1 and newest.at == now:
            newest.last = seq
        else:
            self._runs.append(_Run(seq, seq, source, now))

    def inherit(self, cursor: int, head: int, now: float) -> None:
        """The last life left entries up to `head`, of which those after `cursor` are not decided on."""
        if head > cursor:
            self.accept(_LAST_LIFE, head - cursor)
            self._runs.append(_Run(cursor + 1, head, _LAST_LIFE, now))

    def decided(self, cursor: int, now: float) -> None:
        """Everything up to this sequence number is decided on."""
        done = 0
        while self._runs and self._runs[0].first <= cursor:
            run = self._runs[0]
            count = min(cursor, run.last) - run.first + 1
            self.forget(run.source, count)
            done += count
            run.first += count
            if run.first > run.last:
                self._runs.popleft()
        if done and self._since is not None:
            keep = exp((self._since - now) / _MEMORY)
            self._events = self._events * keep + done
            self._seconds = self._seconds * keep + now - self._since
        # only between two decisions with work left in between is the speed that of the decisions
        if done or not self._runs:
            self._since = now if self._runs else None
