"""The state of streaks, counts and guards; it commits with the cursor."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import delete, select

from holdfast.store.database import Tx
from holdfast.store.tables import correlation as table


def load(tx: Tx) -> dict[tuple[str, str], bytes]:
    """Every saved state by (pattern hash, key)."""
    return {(row.pattern, row.key): row.state for row in tx.execute(select(table))}


def save(tx: Tx, changed: Mapping[tuple[str, str], bytes | None]) -> None:
    """Write what changed; None removes."""
    kept = [{"pattern": p, "key": k, "state": s} for (p, k), s in changed.items() if s is not None]
    if kept:
        tx.execute(table.insert().prefix_with("OR REPLACE"), kept)
    for (pattern, key), state in changed.items():
        if state is None:
            tx.execute(delete(table).where(table.c.pattern == pattern, table.c.key == key))
