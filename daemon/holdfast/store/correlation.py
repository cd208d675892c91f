"""The state of streaks, counts and guards; it commits with the cursor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sqlalchemy import delete, select

from holdfast.store.database import Tx
from holdfast.store.statement import Query, Statement, given, insert_into
from holdfast.store.tables import correlation as table

_LOAD: Final = Query(select(table), lambda row: ((row.pattern, row.key), row.state))
_SAVE: Final = insert_into(table, instead=True)
_DROP: Final = Statement(
    delete(table).where(table.c.pattern == given("pattern"), table.c.key == given("key"))
)


def load(tx: Tx) -> dict[tuple[str, str], bytes]:
    """Every saved state by (pattern hash, key)."""
    return dict(_LOAD.all(tx))


def save(tx: Tx, changed: Mapping[tuple[str, str], bytes | None]) -> None:
    """Write what changed; None removes."""
    kept = [{"pattern": p, "key": k, "state": s} for (p, k), s in changed.items() if s is not None]
    gone = [{"pattern": p, "key": k} for (p, k), s in changed.items() if s is None]
    _SAVE.run_each(tx, kept)
    _DROP.run_each(tx, gone)
