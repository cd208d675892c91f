"""A target on which nobody knows what is running is not touched again without a human."""

from __future__ import annotations

from typing import Final

from holdfast.pipeline.work import Work
from holdfast.store import facts

_PREFIX: Final = "lock:"


def lock(work: Work, target: str, run: str) -> None:
    """An attempt of this run may still be running there."""
    facts.put(work.tx, _PREFIX + target, run)


def free(work: Work, run: str) -> None:
    """The operator has looked at what this run left behind."""
    for name, holder in facts.named(work.tx, _PREFIX).items():
        if holder == run:
            facts.drop(work.tx, name)


def holds(work: Work, run: str) -> bool:
    """Whether the unknown end of this run keeps a target locked."""
    return run in facts.named(work.tx, _PREFIX).values()


def held_by(work: Work, target: str) -> str | None:
    """The run whose unknown end keeps a target locked."""
    return facts.get(work.tx, _PREFIX + target)
