"""Who may wait for a commit: what there is room for, and what will be decided on soon enough."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from holdfast.journal.commit import Group, Result
from holdfast.journal.held import Held
from holdfast.journal.pace import Pace
from holdfast.journal.queue import SourceFull, Waiting
from holdfast.model.kinds import EntryKind

#: Events of a source that is ahead of the decisions are held so many seconds before they are refused.
PATIENCE: Final = 1.0


class Entrance:
    """Groups wait for their commit here, or are held back before that. Not thread-safe: its owner locks.

    Without a `pace` nothing is held. `elapsed` is its clock, in seconds.
    """

    def __init__(self, waiting: Waiting[Group], pace: Pace | None, elapsed: Callable[[], float]) -> None:
        self.waiting = waiting
        self._pace = pace
        self._elapsed = elapsed
        self._held: Held[Group] = Held()

    def inherit(self, cursor: int, head: int) -> None:
        """The last life left entries up to `head`, and decided on those up to `cursor`."""
        if self._pace is not None:
            self._pace.inherit(cursor, head, self._elapsed())

    def enter(self, group: Group, *, patient: bool) -> bool:
        """Let a group wait for its commit; False if it is held, which only a patient one is.

        Raises Overloaded, and SourceFull where it is the fault of one source.
        """
        if not self._held.has(group) and self._admits(group):
            self._let_in(group)
            return True
        if patient and self._held.add(group, self._elapsed() + PATIENCE):
            return False
        self.waiting.refuse(group)
        raise ahead(group)

    def decided(self, cursor: int) -> list[Group]:
        """Everything up to this sequence number is decided on; the held groups that come in for it."""
        if self._pace is None:
            return []
        self._pace.decided(cursor, self._elapsed())
        return self._held.let_in(self._take_held) if self._held else []

    def settled(self, groups: Sequence[Group], results: Sequence[Result]) -> None:
        """These wait no longer: they are on disk, or will never be."""
        self.waiting.release(groups)
        if self._pace is not None:
            now = self._elapsed()
            for group, result in zip(groups, results, strict=True):
                _account(self._pace, group, result, now)

    def late(self) -> Sequence[Group]:
        """The groups that were held for too long: they leave, and count as refused."""
        late = self._held.expired(self._elapsed())
        for group in late:
            self.waiting.refuse(group)
        return late

    def close(self) -> Sequence[Group]:
        """Every group that is held: it leaves."""
        return self._held.expired(float("inf"))

    def _admits(self, group: Group) -> bool:
        pace, now = self._pace, self._elapsed()
        return pace is None or all(
            not event or pace.admits(source, load.entries, now)
            for (source, event), load in group.loads.items()
        )

    def _let_in(self, group: Group) -> None:
        self.waiting.add(group)
        if self._pace is not None:
            for (source, event), load in group.loads.items():
                if event:
                    self._pace.accept(source, load.entries)

    def _take_held(self, group: Group) -> bool:
        fits = self._admits(group) and self.waiting.fits(group)
        if fits:
            self._let_in(group)
        return fits


def ahead(group: Group) -> SourceFull:
    """What a sender is told who is too far ahead of the decisions."""
    sources = ", ".join(sorted({source for source, _ in group.loads}))
    return SourceFull(
        f"too many events of source {sources} are not decided on yet, and no more of it are taken: "
        "send slower"
    )


def _account(pace: Pace, group: Group, result: Result, now: float) -> None:
    for place, entry in enumerate(group.entries):
        if entry.kind is EntryKind.EVENT:
            seq = 0 if isinstance(result, Exception) else result[place].seq
            if seq:
                pace.stored(entry.source, seq, now)
            else:
                pace.forget(entry.source, 1)
