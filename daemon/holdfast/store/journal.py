"""The journal's rows: entries in one order, the cursor of the pipeline, and what was quarantined."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import func, select

from holdfast.model.events import Entry
from holdfast.model.kinds import EntryKind
from holdfast.model.values import Millis
from holdfast.store import facts
from holdfast.store.database import Tx
from holdfast.store.tables import journal as table
from holdfast.store.tables import quarantine as quarantine_table

# the hot statement goes to the driver as it is, many rows at once: a step each would hand the interpreter's
# lock over for every row, and SQLAlchemy would cost more than the insert itself
_ROWS: Final = 64
_INSERT: Final = 'INSERT INTO journal (received, kind, source, id, "commit", body) VALUES '
_INSERTS: Final = [
    _INSERT + ", ".join(["(?, ?, ?, ?, ?, ?)"] * rows) + " ON CONFLICT (source, id) DO NOTHING"
    for rows in range(_ROWS + 1)
]
_HEAD: Final = "SELECT max(seq) FROM journal"
_CURSOR: Final = "cursor"


@dataclass(frozen=True, slots=True)
class Quarantined:
    """An entry that the pipeline could not handle, and why."""

    entry: Entry
    reason: str
    at: Millis


def append(tx: Tx, entries: Sequence[Entry], received: Millis) -> list[int]:
    """Write entries in order; the sequence number of each, 0 for one that is there already."""
    cursor: sqlite3.Cursor = tx.connection.cursor()  # type: ignore[assignment]
    stored = 0
    for start in range(0, len(entries), _ROWS):
        stored += _insert(cursor, entries[start : start + _ROWS], received)
    if stored == len(entries):
        last = cursor.lastrowid or 0
        return list(range(last - stored + 1, last + 1))
    # some were there: what was stored is in the order of the entries, so each is found as it comes
    cursor.execute("SELECT source, id, seq FROM journal ORDER BY seq DESC LIMIT ?", (stored,))
    rows = cursor.fetchall()
    seqs = []
    for entry in entries:
        new = bool(rows) and rows[-1][:2] == (entry.source, entry.id)
        seqs.append(rows.pop()[2] if new else 0)
    return seqs


def after(tx: Tx, seq: int, limit: int) -> list[Entry]:
    """The next entries after `seq`, oldest first."""
    rows = tx.exec_driver_sql(
        'SELECT seq, received, kind, source, id, "commit", body FROM journal '
        "WHERE seq > ? ORDER BY seq LIMIT ?",
        (seq, limit),
    )
    return [Entry(EntryKind(row[2]), row[3], row[4], row[5], row[6], row[1], row[0]) for row in rows]


def find(tx: Tx, seq: int) -> Entry | None:
    """One entry."""
    found = after(tx, seq - 1, 1)
    return found[0] if found and found[0].seq == seq else None


def find_before(tx: Tx, seq: int) -> Entry | None:
    """The newest entry before `seq`."""
    row = tx.execute(select(table).where(table.c.seq < seq).order_by(table.c.seq.desc()).limit(1)).first()
    return None if row is None else _entry(row)


def latest(tx: Tx, limit: int, kind: EntryKind | None = None) -> list[Entry]:
    """The newest entries, or those of one kind, oldest first."""
    query = select(table).order_by(table.c.seq.desc()).limit(limit)
    if kind is not None:
        query = query.where(table.c.kind == str(kind))
    return [_entry(row) for row in reversed(list(tx.execute(query)))]


def head(tx: Tx) -> int:
    """The newest sequence number; 0 for an empty journal."""
    return int(tx.exec_driver_sql(_HEAD).scalar() or 0)


def last_received(tx: Tx) -> Millis:
    """When the newest entry was received; 0 for an empty journal."""
    row = tx.execute(select(table.c.received).order_by(table.c.seq.desc()).limit(1)).scalar()
    return int(row or 0)


def cursor(tx: Tx) -> int:
    """The last sequence number that the pipeline has decided on."""
    return int(facts.get(tx, _CURSOR) or 0)


def advance(tx: Tx, seq: int) -> None:
    """Move the cursor; belongs into the transaction of the decisions it stands for."""
    facts.put(tx, _CURSOR, str(seq))


def prune(tx: Tx, before: Millis, limit: int) -> int:
    """Delete the oldest entries that were decided on and received before then; how many.

    What they led to stays in the incidents; what was set aside stays here, and so does the newest
    entry: the numbers go on from it.
    """
    done = tx.exec_driver_sql(
        "DELETE FROM journal WHERE seq IN (SELECT seq FROM journal WHERE received < ? AND seq <= ? "
        "AND seq NOT IN (SELECT seq FROM quarantine) AND seq < (SELECT max(seq) FROM journal) "
        "ORDER BY seq LIMIT ?)",
        (before, cursor(tx), limit),
    )
    return done.rowcount


def quarantine(tx: Tx, seq: int, reason: str, at: Millis) -> None:
    """Set an entry aside; it stays in the journal."""
    tx.execute(quarantine_table.insert().prefix_with("OR REPLACE").values(seq=seq, reason=reason, at=at))


def quarantined(tx: Tx, limit: int) -> list[Quarantined]:
    """The newest entries that were set aside."""
    rows = tx.execute(
        select(table, quarantine_table.c.reason, quarantine_table.c.at)
        .join(quarantine_table, quarantine_table.c.seq == table.c.seq)
        .order_by(table.c.seq.desc())
        .limit(limit)
    )
    return [Quarantined(_entry(row), row.reason, row.at) for row in rows]


def quarantined_count(tx: Tx) -> int:
    """How many entries were set aside."""
    return int(tx.execute(select(func.count()).select_from(quarantine_table)).scalar() or 0)


def _insert(cursor: sqlite3.Cursor, entries: Sequence[Entry], received: Millis) -> int:
    """How many were not there yet."""
    values: list[Any] = []
    for entry in entries:
        values += (received, str(entry.kind), entry.source, entry.id, entry.commit, entry.body)
    return cursor.execute(_INSERTS[len(entries)], values).rowcount


def _entry(row: Any) -> Entry:
    return Entry(EntryKind(row.kind), row.source, row.id, row.commit, row.body, row.received, row.seq)
