"""Everything that has to happen later is a row here, never a sleeping thread."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import delete, select

from holdfast.model.values import Millis
from holdfast.store.database import Tx
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


def put(tx: Tx, timer: Timer) -> None:
    """Set a timer; one that is set already is moved."""
    tx.execute(
        table.insert()
        .prefix_with("OR REPLACE")
        .values(id=timer.id, due=timer.due, kind=timer.kind, subject=timer.subject)
    )


def take(tx: Tx, timer: str) -> Timer | None:
    """Remove a timer and return it; None when it was cancelled or moved away meanwhile."""
    row = tx.execute(select(table).where(table.c.id == timer)).first()
    if row is None:
        return None
    tx.execute(delete(table).where(table.c.id == timer))
    return Timer(row.kind, row.subject, row.due)


def cancel(tx: Tx, kind: str, subject: str) -> None:
    """Forget a timer."""
    tx.execute(delete(table).where(table.c.id == f"{kind}:{subject}"))


def due(tx: Tx, now: Millis, limit: int) -> list[Timer]:
    """Timers that are due, the oldest first."""
    rows = tx.execute(select(table).where(table.c.due <= now).order_by(table.c.due, table.c.id).limit(limit))
    return [Timer(row.kind, row.subject, row.due) for row in rows]


def next_due(tx: Tx) -> Millis | None:
    """When the next timer is due."""
    return tx.execute(select(table.c.due).order_by(table.c.due).limit(1)).scalar()


def find(tx: Tx, kind: str, subject: str) -> Timer | None:
    """A timer that is waiting, or None."""
    row = tx.execute(select(table).where(table.c.id == f"{kind}:{subject}")).first()
    return None if row is None else Timer(row.kind, row.subject, row.due)


def is_set(tx: Tx, kind: str, subject: str) -> bool:
    """Whether a timer is waiting."""
    return tx.execute(select(table.c.id).where(table.c.id == f"{kind}:{subject}")).first() is not None


def of_kind(tx: Tx, kind: str) -> list[Timer]:
    """Every timer of a kind."""
    rows = tx.execute(select(table).where(table.c.kind == kind).order_by(table.c.due))
    return [Timer(row.kind, row.subject, row.due) for row in rows]
