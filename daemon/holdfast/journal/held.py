"""Groups that are not let in yet: their senders are slowed down before any of them is refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final, Generic

from holdfast.journal.queue import G

#: One source has at most so many groups here, and all of them together at most so many bytes.
GROUPS: Final = 64
BYTES: Final = 16 * 1024 * 1024


class Held(Generic[G]):
    """First come, first served within a source. Not thread-safe: its owner locks."""

    def __init__(self, groups: int = GROUPS, size: int = BYTES) -> None:
        self._most = groups
        self._room = size
        self._groups: dict[int, tuple[G, float]] = {}
        self._sources: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._groups)

    def has(self, group: G) -> bool:
        """Whether one of its sources has a group here: then this one comes after it."""
        return any(self._sources[source] for source, _ in group.loads)

    def add(self, group: G, until: float) -> bool:
        """Keep a group until then, which is no earlier than of the one before; False without room."""
        size = _size(group)
        if size > self._room or any(self._sources[source] >= self._most for source, _ in group.loads):
            return False
        self._room -= size
        self._groups[id(group)] = group, until
        self._sources.update(source for source, _ in group.loads)
        return True

    def let_in(self, take: Callable[[G], bool]) -> list[G]:
        """Offer groups until one of their source is not taken; those that were."""
        stuck: set[str] = set()
        taken = []
        for group, _ in list(self._groups.values()):
            sources = {source for source, _ in group.loads}
            if sources & stuck or not take(group):
                stuck |= sources
            else:
                taken.append(group)
                self._remove(group)
        return taken

    def expired(self, now: float) -> Sequence[G]:
        """Those that have waited long enough, and leave."""
        late = [group for group, until in self._groups.values() if until <= now]
        for group in late:
            self._remove(group)
        return late

    def next(self) -> float | None:
        """When the next one has waited long enough."""
        return next((until for _, until in self._groups.values()), None)

    def _remove(self, group: G) -> None:
        del self._groups[id(group)]
        self._room += _size(group)
        self._sources.subtract(source for source, _ in group.loads)


def _size(group: G) -> int:
    return sum(load.size for load in group.loads.values())
