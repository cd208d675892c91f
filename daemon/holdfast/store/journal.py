"""The journal's rows: entries in one order, the cursor of the pipeline, and what was quarantined."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import func, select

from holdfast.model.events import Entry, EntryKind
from holdfast.model.values import Millis
from holdfast.store import facts
from holdfast.store.database import Tx
from holdfast.store.tables import journal as table
from holdfast.store.tables import quarantine as quarantine_table

# the hot statement goes to the driver as it is, all rows at once: SQLAlchemy would cost more than the insert
_INSERT: Final = (
    'INSERT INTO journal (seq, received, kind, source, id, "commit", body) VALUES (?, ?, ?, ?, ?, ?, ?) '
    "ON CONFLICT (source, id) DO NOTHING"
)
_HEAD: Final = "SELECT max(seq) FROM journal"
#: A plain text binds three times as fast as a member of an enum.
_KINDS: Final[Mapping[EntryKind, str]] = {kind: kind.value for kind in EntryKind}
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
    last = cursor.execute(_HEAD).fetchone()[0] or 0
    seqs = range(last + 1, last + 1 + len(entries))
    if _insert(cursor, seqs, entries, received) == len(entries):
        return list(seqs)
    # each duplicate left a gap: write the others again, without gaps
    stored = {seq for (seq,) in cursor.execute("SELECT seq FROM journal WHERE seq > ?", (last,))}
    cursor.execute("DELETE FROM journal WHERE seq > ?", (last,))
    fresh = [entry for seq, entry in zip(seqs, entries, strict=True) if seq in stored]
    _insert(cursor, seqs, fresh, received)
    numbers = iter(seqs)
    return [next(numbers) if seq in stored else 0 for seq in seqs]


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


def _insert(cursor: sqlite3.Cursor, seqs: Iterable[int], entries: Sequence[Entry], received: Millis) -> int:
    """How many were not there yet."""
    rows = [
        (seq, received, _KINDS[entry.kind], entry.source, entry.id, entry.commit, entry.body)
        for seq, entry in zip(seqs, entries, strict=False)
    ]
    return cursor.executemany(_INSERT, rows).rowcount


def _entry(row: Any) -> Entry:
    return Entry(EntryKind(row.kind), row.source, row.id, row.commit, row.body, row.received, row.seq)
