"""How far each reply mailbox has been read."""

from __future__ import annotations

from sqlalchemy import select

from holdfast.store.database import Tx
from holdfast.store.tables import mailboxes as table


def cursor(tx: Tx, channel: str) -> tuple[int, int] | None:
    """(UIDVALIDITY, last UID) of a channel's mailbox, or None before the first look."""
    row = tx.execute(select(table.c.uidvalidity, table.c.uid).where(table.c.channel == channel)).first()
    return None if row is None else (row.uidvalidity, row.uid)


def advance(tx: Tx, channel: str, uidvalidity: int, uid: int) -> None:
    """Everything up to `uid` is journalled."""
    tx.execute(
        table.insert().prefix_with("OR REPLACE").values(channel=channel, uidvalidity=uidvalidity, uid=uid)
    )
