"""What waits for its commit, within bounds, and with a fair share for every source."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

from holdfast.errors import Overloaded
from holdfast.model.events import Entry
from holdfast.model.kinds import EntryKind

#: What an entry costs in memory beside its body, roughly.
_OVERHEAD: Final = 512
#: Events of one source take at most this part of the room; other kinds may exceed the room by it.
_SHARE: Final = 4


class SourceFull(Overloaded):
    """Too much of one source is waiting; the others are served."""


@dataclass(slots=True)
class Load:
    """How much waits: entries, and bytes."""

    entries: int = 0
    size: int = 0

    def add(self, other: Load, sign: int = 1) -> None:
        """Count more, or with a sign of -1 less."""
        self.entries += sign * other.entries
        self.size += sign * other.size

    def exceeds(self, more: Load, bound: Load) -> bool:
        """Whether it would, with more, be over a bound."""
        return self.entries + more.entries > bound.entries or self.size + more.size > bound.size


#: Loads by source, and whether they are events.
Loads = Mapping[tuple[str, bool], Load]


def weigh(entries: Sequence[Entry]) -> Loads:
    """How much room entries take."""
    loads: dict[tuple[str, bool], Load] = {}
    for entry in entries:
        key = entry.source, entry.kind is EntryKind.EVENT
        load = loads.get(key)
        if load is None:
            load = loads[key] = Load()
        load.entries += 1
        load.size += _OVERHEAD + len(entry.body)
    return loads


class _Group(Protocol):
    @property
    def loads(self) -> Loads: ...


G = TypeVar("G", bound=_Group)


class Waiting(Generic[G]):
    """Groups of entries in the order they came. Not thread-safe: its owner locks.

    A group counts until it is released, so what is being committed takes room too. What comes
    back from the world (outcomes, ticks, replies, ...) has a reserve that no flood of events fills.
    """

    def __init__(self, max_entries: int, max_bytes: int) -> None:
        share = Load(max_entries // _SHARE, max_bytes // _SHARE)
        self._bound = Load(max_entries, max_bytes)
        self._reserve = Load(max_entries + share.entries, max_bytes + share.size)
        self._share = share
        self._groups: deque[G] = deque()
        self._total = Load()
        self._sources: dict[str, Load] = {}
        self.refused: Counter[str] = Counter()

    def __len__(self) -> int:
        return self._total.entries

    def __bool__(self) -> bool:
        """Whether a group is there to be taken."""
        return bool(self._groups)

    @property
    def groups(self) -> int:
        """How many groups are there to be taken."""
        return len(self._groups)

    def larger(self, entries: int, size: int) -> bool:
        """Whether more than this waits, what is being committed included."""
        return self._total.entries > entries or self._total.size > size

    def add(self, group: G) -> None:
        """Let a group wait, all of it or nothing; Overloaded or SourceFull when there is no room."""
        loads = group.loads
        try:
            self._check(loads)
        except Overloaded:
            self.refuse(group)
            raise
        for (source, _), load in loads.items():
            self._total.add(load)
            self._sources.setdefault(source, Load()).add(load)
        self._groups.append(group)

    def fits(self, group: G) -> bool:
        """Whether there is room for it."""
        try:
            self._check(group.loads)
        except Overloaded:
            return False
        return True

    def refuse(self, group: G) -> None:
        """Count a group as refused."""
        self.refused.update({source: load.entries for (source, _), load in group.loads.items()})

    def put_back(self, groups: Sequence[G]) -> None:
        """Groups that were taken wait again, before all others."""
        self._groups.extendleft(reversed(groups))

    def take(self, max_entries: int, max_bytes: int) -> list[G]:
        """The oldest groups, up to these bounds, and at least one if any waits."""
        taken: list[G] = []
        load = Load()
        while self._groups:
            for one in self._groups[0].loads.values():
                load.add(one)
            if taken and (load.entries > max_entries or load.size > max_bytes):
                break
            taken.append(self._groups.popleft())
        return taken

    def release(self, groups: Sequence[G]) -> None:
        """Give back the room of groups that were taken."""
        for group in groups:
            for (source, _), load in group.loads.items():
                self._total.add(load, -1)
                left = self._sources[source]
                left.add(load, -1)
                if not left.entries:
                    del self._sources[source]

    def _check(self, loads: Loads) -> None:
        more, events = Load(), False
        for (_, is_event), load in loads.items():
            more.add(load)
            events = events or is_event
        if self._total.exceeds(more, self._bound if events else self._reserve):
            raise Overloaded(
                f"{self._total.entries:,} entries wait to be written, and no more are taken: try again soon"
            )
        for (source, is_event), load in loads.items():
            have = self._sources.get(source) if is_event else None
            # with nothing waiting a source may send one group of any size that the whole room holds
            if have is not None and have.exceeds(load, self._share):
                raise SourceFull(
                    f"{have.entries:,} events of source {source} wait to be written, and no more of it are "
                    "taken: send slower, or more events at once"
                )
