"""What was acknowledged survives kill -9; what was not may be there, and is there once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from holdfast.store import journal as rows
from holdfast.store.database import Database

CHILD = """
import sys, threading, time
from pathlib import Path
from holdfast.journal import Journal
from holdfast.model.events import Entry
from holdfast.model.kinds import EntryKind
from holdfast.store.database import Database

database = Database.open(Path(sys.argv[1]))
journal = Journal(database, lambda: int(time.time() * 1000), on_commit=lambda seq: None)
journal.start()

def work(worker):
    for number in range(1_000_000):
        ids = [f"{number}.{part}" for part in range(3)]
        acks = journal.put([Entry(EntryKind.EVENT, f"w{worker}", one, "c0", b"x" * 200) for one in ids])
        for one, ack in zip(ids, acks):
            sys.stdout.write(f"w{worker} {one} {ack.seq}\\n")
        sys.stdout.flush()

for worker in range(int(sys.argv[2])):
    threading.Thread(target=work, args=(worker,)).start()
"""


def stored(path: Path) -> dict[tuple[str, str], int]:
    database = Database.open(path)
    with database.read() as tx:
        entries = rows.after(tx, 0, 1_000_000)
    database.close()
    found = {(entry.source, entry.id): entry.seq for entry in entries}
    assert len(found) == len(entries)
    return found


def lines(output: str) -> list[tuple[str, str, int]]:
    """Whole lines only: the last one may have been cut."""
    return [
        (source, key, int(seq)) for source, key, seq in (line.split() for line in output.split("\n")[:-1])
    ]


def start(path: Path, workers: int, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, str(path), str(workers)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
    )


@pytest.mark.parametrize("after", [1, 40, 400])
def test_every_acknowledged_entry_is_in_the_database_after_kill_9(tmp_path: Path, after: int) -> None:
    path = tmp_path / "holdfast.db"
    child = start(path, 4)
    assert child.stdout is not None
    head = "".join(child.stdout.readline() for _ in range(after))
    child.send_signal(signal.SIGKILL)
    rest, _ = child.communicate(timeout=30)
    acknowledged = lines(head + rest)
    found = stored(path)

    assert len(acknowledged) >= after
    for source, key, seq in acknowledged:
        assert found[source, key] == seq


@pytest.mark.parametrize(("side", "kept"), [("before", 0), ("after", 1)])
def test_at_the_crash_point_all_of_a_commit_is_there_or_nothing(tmp_path: Path, side: str, kept: int) -> None:
    path = tmp_path / "holdfast.db"
    child = start(path, 1, HOLDFAST_CRASH_AT=f"journal.append.{side}:3")
    output, _ = child.communicate(timeout=30)
    acknowledged = lines(output)
    found = stored(path)

    assert child.returncode == -signal.SIGKILL
    assert {(source, key): seq for source, key, seq in acknowledged}.items() <= found.items()
    assert len(found) == len(acknowledged) + 3 * kept == 6 + 3 * kept
