"""The database: opened once, migrated, all of a transaction or none of it."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, exc

from holdfast.effects import crash_point
from holdfast.errors import StoreError
from holdfast.store import facts
from holdfast.store.database import HEAD, Busy, Database, Due, mark, marks, together
from holdfast.store.tables import metadata


def test_the_migrations_make_exactly_the_tables_that_the_code_declares(tmp_path: Path) -> None:
    Database.open(tmp_path / "x.db").close()
    engine = create_engine(f"sqlite:///{tmp_path / 'x.db'}")
    with engine.connect() as connection:
        difference = compare_metadata(MigrationContext.configure(connection), metadata)
    engine.dispose()

    assert difference == []


def test_a_second_daemon_is_refused_and_told_who_has_the_database(tmp_path: Path) -> None:
    first = Database.open(tmp_path / "x.db")
    with pytest.raises(StoreError) as refused:
        Database.open(tmp_path / "x.db")
    first.close()

    assert f"process {os.getpid()}" in str(refused.value)
    assert "stop it first" in str(refused.value)


def test_the_loser_of_the_race_leaves_the_owners_name_in_the_lock(tmp_path: Path) -> None:
    first = Database.open(tmp_path / "x.db")
    for _ in range(2):
        with pytest.raises(StoreError, match=f"process {os.getpid()}"):
            Database.open(tmp_path / "x.db")
    first.close()


def test_the_lock_goes_with_the_process_that_held_it(tmp_path: Path) -> None:
    code = (
        "import os,signal,sys; from pathlib import Path; from holdfast.store.database import Database; "
        "Database.open(Path(sys.argv[1])); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "x.db")], check=False)
    again = Database.open(tmp_path / "x.db")
    again.close()

    assert done.returncode == -9


def test_a_reader_needs_no_lock_but_an_existing_database(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="start the daemon once"):
        Database.open(tmp_path / "x.db", lock=False)
    writer = Database.open(tmp_path / "x.db")
    reader = Database.open(tmp_path / "x.db", lock=False)
    with reader.read() as tx:
        found = facts.get(tx, "nothing")
    reader.close()
    writer.close()

    assert found is None


def test_a_database_of_a_newer_holdfast_is_not_touched(tmp_path: Path) -> None:
    Database.open(tmp_path / "x.db").close()
    with sqlite3.connect(tmp_path / "x.db") as plain:
        plain.execute("UPDATE alembic_version SET version_num = '9999'")
    plain.close()
    with pytest.raises(StoreError, match=f"newer holdfast .schema 9999, this one knows {HEAD}"):
        Database.open(tmp_path / "x.db")


def test_a_file_that_is_no_database_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"not a database" * 100)
    with pytest.raises(StoreError, match="restore the file from a backup"):
        Database.open(tmp_path / "x.db")


def test_an_error_in_a_transaction_leaves_nothing_of_it(database: Database, point: str) -> None:
    def half_done() -> None:
        with database.begin(point) as tx:
            facts.put(tx, "half", "done")
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        half_done()
    with database.read() as tx:
        found = facts.get(tx, "half")

    assert found is None


def test_nothing_can_be_written_through_a_read(database: Database, point: str) -> None:
    with database.begin(point) as tx:
        facts.put(tx, "a", "1")
    with database.read() as tx:
        facts.put(tx, "a", "2")
    with database.read() as tx:
        found = facts.get(tx, "a")

    assert found == "1"


def test_a_full_disk_is_said_and_the_ballast_makes_room_for_the_way_out(tmp_path: Path, point: str) -> None:
    database = Database.open(tmp_path / "x.db", ballast=1 << 20)
    kept = (tmp_path / "x.ballast").stat().st_size
    with database.begin(point) as tx:
        pages = int(tx.exec_driver_sql("PRAGMA page_count").scalar() or 0)
        tx.exec_driver_sql(f"PRAGMA max_page_count = {pages}")

    def fill() -> None:
        with database.begin(point) as tx:
            for number in range(1000):
                facts.put(tx, f"name {number}", "x" * 5000)

    with pytest.raises(StoreError, match="free some space on its disk"):
        fill()
    released = not (tmp_path / "x.ballast").exists()
    database.close()

    assert kept == 1 << 20
    assert released


def test_what_was_committed_survives_a_kill_right_after_the_commit(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from holdfast.effects import crash_point; "
        "from holdfast.store.database import Database; from holdfast.store import facts\n"
        "point = crash_point('p'); database = Database.open(Path(sys.argv[1]))\n"
        "with database.begin(point) as tx: facts.put(tx, 'kept', 'yes')"
    )
    outcomes = {}
    for side in ("before", "after"):
        path = tmp_path / f"{side}.db"
        done = subprocess.run(
            [sys.executable, "-c", code, str(path)],
            check=False,
            env={**os.environ, "HOLDFAST_CRASH_AT": f"p.{side}"},
        )
        database = Database.open(path)
        with database.read() as tx:
            outcomes[side] = (done.returncode, facts.get(tx, "kept"))
        database.close()

    assert outcomes == {"before": (-9, None), "after": (-9, "yes")}


def test_after_an_error_the_next_transaction_is_a_whole_one(database: Database, point: str) -> None:
    def half_done(error: type[BaseException]) -> None:
        with database.begin(point) as tx:
            facts.put(tx, "half", "done")
            raise error

    for error in (RuntimeError, KeyboardInterrupt, sqlite3.IntegrityError):
        with pytest.raises(error):
            half_done(error)
        with database.begin(point) as tx:
            facts.put(tx, "whole", error.__name__)
        with database.read() as tx:
            assert (facts.get(tx, "half"), facts.get(tx, "whole")) == (None, error.__name__)


@pytest.mark.parametrize("mistake", ["INSERT INTO meta (name, value) VALUES (NULL, '')", "SELECT ?"])
def test_a_mistake_of_the_code_is_no_matter_of_the_disk(database: Database, point: str, mistake: str) -> None:
    with pytest.raises(exc.DBAPIError), database.begin(point) as tx:
        tx.exec_driver_sql(mistake)
    with pytest.raises((sqlite3.IntegrityError, sqlite3.ProgrammingError)), database.begin(point) as tx:
        tx.connection.cursor().execute(mistake)


POINT = crash_point("tests.unit.store.database")


def test_what_was_derived_survives_the_death_of_the_process(tmp_path: Path) -> None:
    code = (
        "import os,signal,sys; from pathlib import Path; from holdfast.effects import crash_point; "
        "from holdfast.store import facts; from holdfast.store.database import Database; "
        "db=Database.open(Path(sys.argv[1])); point=crash_point('x')\n"
        "with db.begin(point, derived=True) as tx: facts.put(tx, 'k', 'v')\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "x.db")], check=False)
    database = Database.open(tmp_path / "x.db")
    with database.read() as tx:
        found = facts.get(tx, "k")
    database.close()

    assert found == "v"


def test_who_does_not_wait_is_told_once_when_the_other_has_ended(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "x.db")
    begun, go_on, told = threading.Event(), threading.Event(), []

    def write() -> None:
        with database.begin(POINT):
            begun.set()
            go_on.wait(20)

    writer = threading.Thread(target=write)
    writer.start()
    begun.wait(20)
    with pytest.raises(Busy), database.begin(POINT, wait=False):
        pass
    database.when_free(lambda: told.append(database._writing.locked()))
    before = list(told)
    go_on.set()
    writer.join()
    with database.begin(POINT):
        pass
    database.close()

    assert (before, told) == ([], [False])


def test_who_asks_when_nobody_writes_is_told_at_once(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "x.db")
    told: list[int] = []
    database.when_free(lambda: told.append(1))
    database.close()

    assert told == [1]


def test_a_transaction_remembers_what_it_made_due_until_somebody_asks(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "x.db")
    with database.begin(POINT) as tx:
        mark(tx, Due.TIMERS)
        mark(tx, Due.TIMERS)
        mark(tx, Due.ATTEMPTS, "a", "b")
        mark(tx, Due.ATTEMPTS, "c")
        first, second = marks(tx), marks(tx)
    database.close()

    assert (first, second) == ({Due.TIMERS: [], Due.ATTEMPTS: ["a", "b", "c"]}, {})
    assert together([first, second, {Due.ATTEMPTS: ["d"], Due.MESSAGES: []}]) == {
        Due.TIMERS: [],
        Due.ATTEMPTS: ["a", "b", "c", "d"],
        Due.MESSAGES: [],
    }


def test_what_became_due_in_a_transaction_that_failed_is_forgotten(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "x.db")

    def fail() -> None:
        with database.begin(POINT) as tx:
            mark(tx, Due.ATTEMPTS, "a")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with database.begin(POINT) as tx:
        found = marks(tx)
    database.close()

    assert found == {}
