"""How far each reply mailbox has been read."""

from __future__ import annotations

from typing import Final

from sqlalchemy import select

from holdfast.store.database import Tx
from holdfast.store.statement import Query, given, insert_into
from holdfast.store.tables import mailboxes as table

_CURSOR: Final = Query(
    select(table.c.uidvalidity, table.c.uid).where(table.c.channel == given("channel")),
    lambda row: (row.uidvalidity, row.uid),
)
_ADVANCE: Final = insert_into(table, instead=True)


def cursor(tx: Tx, channel: str) -> tuple[int, int] | None:
    """(UIDVALIDITY, last UID) of a channel's mailbox, or None before the first look."""
    return _CURSOR.first(tx, channel=channel)


def advance(tx: Tx, channel: str, uidvalidity: int, uid: int) -> None:
    """Everything up to `uid` is journalled."""
    _ADVANCE.run(tx, channel=channel, uidvalidity=uidvalidity, uid=uid)
