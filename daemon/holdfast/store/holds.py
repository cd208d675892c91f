"""Containments that last until something releases them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import select, update

from holdfast.model.values import Millis
from holdfast.store.database import Tx
from holdfast.store.statement import Query, Statement, given, insert_into
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


def _hold(row: Any) -> OpenHold:
    return OpenHold(row.run, row.incident, row.kind, row.since, row.released, row.why)


_INSERT: Final = insert_into(table, unless_there=True)
_ENDED: Final = {"released": given("released"), "why": given("why")}
_RELEASE: Final = Statement(
    update(table).where(table.c.run == given("of"), table.c.released.is_(None)).values(_ENDED)
)
_RESTORE: Final = Statement(update(table).where(table.c.run == given("of")).values(_ENDED))
_ALL: Final = select(table).order_by(table.c.since, table.c.run)
_OF_INCIDENT: Final = Query(_ALL.where(table.c.incident == given("incident")), _hold)
_LASTING: Final = Query(_ALL.where(table.c.released.is_(None)), _hold)
_LASTING_OF: Final = Query(
    _ALL.where(table.c.released.is_(None), table.c.incident == given("incident")), _hold
)


def insert(tx: Tx, hold: OpenHold) -> None:
    """A containment is in place from now on."""
    _INSERT.run(
        tx,
        run=hold.run,
        incident=hold.incident,
        kind=str(hold.kind),
        since=hold.since,
        released=None,
        why=hold.why,
    )


def release(tx: Tx, run: str, now: Millis, why: str) -> bool:
    """End a hold once; False when it has ended already."""
    return _RELEASE.run(tx, of=run, released=now, why=why) == 1


def restore(tx: Tx, run: str, why: str) -> None:
    """A hold that was to end lasts after all."""
    _RESTORE.run(tx, of=run, released=None, why=why)


def lasting(tx: Tx, incident: str | None = None) -> list[OpenHold]:
    """Holds that have not been released."""
    return _LASTING.all(tx) if incident is None else _LASTING_OF.all(tx, incident=incident)


def of_incident(tx: Tx, incident: str) -> list[OpenHold]:
    """An incident's holds, those that were released too, the oldest first."""
    return _OF_INCIDENT.all(tx, incident=incident)
