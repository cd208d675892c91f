"""Everything that has to happen later is a row here, never a sleeping thread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from sqlalchemy import delete, select

from holdfast.model.values import Millis
from holdfast.store.database import Due, Tx, mark
from holdfast.store.statement import Query, Statement, given, insert_into
from holdfast.store.tables import timers as table


@dataclass(frozen=True, slots=True)
class Timer:
    """At `due`, do what `kind` says with `subject`."""

    kind: str
    subject: str
    due: Millis

    @property
    def id(self) -> str:
        """One timer of a kind per subject."""
        return f"{self.kind}:{self.subject}"


def _timer(row: Any) -> Timer:
    return Timer(row.kind, row.subject, row.due)


_PUT: Final = insert_into(table, instead=True)
_FIND: Final = Query(select(table).where(table.c.id == given("id")), _timer)
_TAKE: Final = Query(delete(table).where(table.c.id == given("id")).returning(*table.columns), _timer)
_CANCEL: Final = Statement(delete(table).where(table.c.id == given("id")))
_DUE: Final = Query(
    select(table).where(table.c.due <= given("now")).order_by(table.c.due, table.c.id).limit(given("limit")),
    _timer,
)
_NEXT_DUE: Final = Statement(select(table.c.due).order_by(table.c.due))
# an id is its kind, a colon and the subject: the key itself finds all of one kind, up to the sign after it
_OF_KIND: Final = Query(
    select(table).where(table.c.id >= given("begin"), table.c.id < given("end")).order_by(table.c.due),
    _timer,
)


@cache
def _cancelling(count: int) -> Statement:
    return Statement(delete(table).where(table.c.id.in_([given(f"id{n}") for n in range(count)])))


def put(tx: Tx, timer: Timer) -> None:
    """Set a timer; one that is set already is moved."""
    mark(tx, Due.TIMERS)
    _PUT.run(tx, id=timer.id, due=timer.due, kind=timer.kind, subject=timer.subject)


def take(tx: Tx, timer: str) -> Timer | None:
    """Remove a timer and return it; None when it was cancelled or moved away meanwhile."""
    return _TAKE.first(tx, id=timer)


def cancel(tx: Tx, kind: str, subject: str) -> None:
    """Forget a timer."""
    _CANCEL.run(tx, id=f"{kind}:{subject}")


def cancel_each(tx: Tx, kinds: Sequence[str], subject: str) -> None:
    """Forget a subject's timers of these kinds."""
    _cancelling(len(kinds)).run(tx, **{f"id{n}": f"{kind}:{subject}" for n, kind in enumerate(kinds)})


def due(tx: Tx, now: Millis, limit: int) -> list[Timer]:
    """Timers that are due, the oldest first."""
    return _DUE.all(tx, now=now, limit=limit)


def next_due(tx: Tx) -> Millis | None:
    """When the next timer is due."""
    soonest: Millis | None = _NEXT_DUE.value(tx)
    return soonest


def find(tx: Tx, kind: str, subject: str) -> Timer | None:
    """A timer that is waiting, or None."""
    return _FIND.first(tx, id=f"{kind}:{subject}")


def is_set(tx: Tx, kind: str, subject: str) -> bool:
    """Whether a timer is waiting."""
    return find(tx, kind, subject) is not None


def of_kind(tx: Tx, kind: str) -> list[Timer]:
    """Every timer of a kind."""
    return _OF_KIND.all(tx, begin=f"{kind}:", end=f"{kind};")
