"""What is remembered per key: streaks, windows, distinct values, and when a guard last held.

Every state says whether it changed, so that only changes are written. Source time decides only what
lies within a window; a streak follows the order of the journal.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

import msgspec

from holdfast.model.values import Millis, Truth

#: How many events one window remembers, unless its pattern counts further than that.
MAX_TIMES: Final = 1_000
#: In place of a length: this streak has fired, and waits to be broken.
FIRED: Final = -1


class State(Protocol):
    """Something remembered; `touched` is the receive time of the event that last moved it."""

    touched: Millis

    def __bool__(self) -> bool:
        """Whether there is anything to remember."""


class Streaks(msgspec.Struct, array_like=True):
    """How many events in a row were true, by source."""

    touched: Millis = 0
    lengths: dict[str, int] = {}

    def __bool__(self) -> bool:
        return bool(self.lengths)

    def see(self, truth: Truth, source: str, needed: int) -> bool:
        """Take in one event; True if anything changed."""
        before = self.lengths.get(source, 0)
        if truth is Truth.FALSE:
            return self.lengths.pop(source, 0) != 0
        if truth is Truth.UNKNOWN or before in (FIRED, needed):
            return False
        self.lengths[source] = before + 1
        return True


class Reach(NamedTuple):
    """How far a window looks: `needed` events within `within`; what is older than `horizon` is gone."""

    needed: int
    within: Millis
    horizon: Millis

    @property
    def most(self) -> int:
        """How many events are remembered at most; the oldest go first."""
        return max(MAX_TIMES, self.needed)

    def completed(self, times: Sequence[Millis], at: int) -> bool:
        """Whether some `needed` of the sorted times lie within the span, the one at `at` among them."""
        last = self.needed - 1
        firsts = range(max(0, at - last), min(at, len(times) - self.needed) + 1)
        return any(times[first + last] - times[first] <= self.within for first in firsts)


class Seen(NamedTuple):
    """Whether an event completed what is needed, and how many were dropped for want of room."""

    completed: bool
    dropped: int


class Window(msgspec.Struct, array_like=True):
    """Source times of true events, sorted, since the last firing."""

    touched: Millis = 0
    times: list[Millis] = []

    def __bool__(self) -> bool:
        return bool(self.times)

    def see(self, time: Millis, reach: Reach) -> Seen:
        """Take in one true event."""
        insort(self.times, time)
        late = bisect_left(self.times, reach.horizon)
        dropped = max(0, len(self.times) - late - reach.most)
        del self.times[: late + dropped]
        at = bisect_left(self.times, time)
        return Seen(time in self.times[at : at + 1] and reach.completed(self.times, at), dropped)


class Distinct(msgspec.Struct, array_like=True):
    """The newest source time of each value of true events since the last firing."""

    touched: Millis = 0
    values: dict[str, Millis] = {}

    def __bool__(self) -> bool:
        return bool(self.values)

    def see(self, value: str, time: Millis, reach: Reach) -> Seen:
        """Take in one true event."""
        self.values[value] = max(time, self.values.get(value, time))
        order = sorted((when, name) for name, when in self.values.items())
        late = bisect_left(order, (reach.horizon, ""))
        dropped = max(0, len(order) - late - reach.most)
        for _, name in order[: late + dropped]:
            del self.values[name]
        kept = order[late + dropped :]
        if value not in self.values:
            return Seen(completed=False, dropped=dropped)
        at = kept.index((self.values[value], value))
        return Seen(reach.completed([when for when, _ in kept], at), dropped)


class Mark(msgspec.Struct, array_like=True, frozen=True):
    """One event that mattered to a guard."""

    time: Millis
    source: str
    event: str


class Held(msgspec.Struct, array_like=True):
    """The newest event for which a guard held, and the newest of which nobody can say."""

    touched: Millis = 0
    held: Mark | None = None
    unknown: Mark | None = None

    def __bool__(self) -> bool:
        return self.held is not None or self.unknown is not None


def newer(mark: Mark, than: Mark | None) -> Mark:
    """The mark with the later source time; of equal ones the one that came last."""
    return mark if than is None or mark.time >= than.time else than
