"""Single values that must survive a restart: the cursor, the kill switch, the last commit."""

from __future__ import annotations

from typing import Final

from sqlalchemy import delete, select

from holdfast.store.database import Tx
from holdfast.store.statement import Statement, given, insert_into
from holdfast.store.tables import meta

_GET: Final = Statement(select(meta.c.value).where(meta.c.name == given("name")))
_PUT: Final = insert_into(meta, instead=True)
_DROP: Final = Statement(delete(meta).where(meta.c.name == given("name")))


def get(tx: Tx, name: str) -> str | None:
    """The value of a name, or None."""
    found: str | None = _GET.value(tx, name=name)
    return found


def named(tx: Tx, prefix: str) -> dict[str, str]:
    """Every value whose name begins with a prefix."""
    rows = tx.execute(
        select(meta).where(meta.c.name.startswith(prefix, autoescape=True)).order_by(meta.c.name)
    )
    return {row.name: row.value for row in rows}


def drop(tx: Tx, name: str) -> None:
    """Forget a name."""
    _DROP.run(tx, name=name)


def put(tx: Tx, name: str, value: str) -> None:
    """Set the value of a name."""
    _PUT.run(tx, name=name, value=value)
