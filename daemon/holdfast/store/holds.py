"""Containments that last until something releases them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import select, update

from holdfast.model.values import Millis
from holdfast.store.database import Tx
from holdfast.store.tables import holds as table


@dataclass(frozen=True, slots=True)
class OpenHold:
    """One hold; `released` is None while it lasts."""

    run: str
    incident: str
    kind: str
    since: Millis
    released: Millis | None
    why: str


def insert(tx: Tx, hold: OpenHold) -> None:
    """A containment is in place from now on."""
    tx.execute(
        table.insert()
        .prefix_with("OR IGNORE")
        .values(
            run=hold.run,
            incident=hold.incident,
            kind=hold.kind,
            since=hold.since,
            released=None,
            why=hold.why,
        )
    )


def release(tx: Tx, run: str, now: Millis, why: str) -> bool:
    """End a hold once; False when it has ended already."""
    done = tx.execute(
        update(table).where(table.c.run == run, table.c.released.is_(None)).values(released=now, why=why)
    )
    return done.rowcount == 1


def restore(tx: Tx, run: str, why: str) -> None:
    """A hold that was to end lasts after all."""
    tx.execute(update(table).where(table.c.run == run).values(released=None, why=why))


def lasting(tx: Tx, incident: str | None = None) -> list[OpenHold]:
    """Holds that have not been released."""
    query = select(table).where(table.c.released.is_(None)).order_by(table.c.since, table.c.run)
    if incident is not None:
        query = query.where(table.c.incident == incident)
    return [_hold(row) for row in tx.execute(query)]


def of_incident(tx: Tx, incident: str) -> list[OpenHold]:
    """An incident's holds, those that were released too, the oldest first."""
    rows = tx.execute(select(table).where(table.c.incident == incident).order_by(table.c.since, table.c.run))
    return [_hold(row) for row in rows]


def _hold(row: Any) -> OpenHold:
    return OpenHold(row.run, row.incident, row.kind, row.since, row.released, row.why)
