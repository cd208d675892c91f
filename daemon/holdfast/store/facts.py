"""Single values that must survive a restart: the cursor, the kill switch, the last commit."""

from __future__ import annotations

from sqlalchemy import delete, select

from holdfast.store.database import Tx
from holdfast.store.tables import meta


def get(tx: Tx, name: str) -> str | None:
    """The value of a name, or None."""
    row = tx.exec_driver_sql("SELECT value FROM meta WHERE name = ?", (name,)).first()
    return None if row is None else str(row[0])


def named(tx: Tx, prefix: str) -> dict[str, str]:
    """Every value whose name begins with a prefix."""
    rows = tx.execute(
        select(meta).where(meta.c.name.startswith(prefix, autoescape=True)).order_by(meta.c.name)
    )
    return {row.name: row.value for row in rows}


def drop(tx: Tx, name: str) -> None:
    """Forget a name."""
    tx.execute(delete(meta).where(meta.c.name == name))


def put(tx: Tx, name: str, value: str) -> None:
    """Set the value of a name."""
    tx.execute(meta.insert().prefix_with("OR REPLACE").values(name=name, value=value))
