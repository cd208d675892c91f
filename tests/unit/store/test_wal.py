"""Until when the log is on disk, and who waits for that."""

from __future__ import annotations

import errno
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from holdfast.effects import crash_point
from holdfast.errors import StoreError
from holdfast.store import facts
from holdfast.store.database import Database
from holdfast.store.wal import Wal

DEADLINE = 20
POINT = crash_point("tests.unit.store.wal")
DATASYNC = os.fdatasync


class Disk:
    """Stands between the log and the disk: counts, refuses, or takes its time."""

    def __init__(self) -> None:
        self.flushed: list[str] = []
        self.refuses = 0
        self.why = errno.EIO
        self.at: Callable[[], None] = lambda: None

    def __call__(self, file: int) -> None:
        self.at()
        if self.refuses:
            self.refuses -= 1
            raise OSError(self.why, os.strerror(self.why))
        DATASYNC(file)
        self.flushed.append(str(Path(f"/proc/self/fd/{file}").readlink()))


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    between = Disk()
    monkeypatch.setattr(os, "fdatasync", between)
    return between


@pytest.fixture
def checkpoints() -> list[str]:
    return []


@pytest.fixture
def wal(tmp_path: Path, checkpoints: list[str]) -> Iterator[Wal]:
    (tmp_path / "x.db-wal").touch()
    log = Wal(tmp_path / "x.db", lambda: checkpoints.append("done"))
    yield log
    log.close()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database.open(tmp_path / "x.db")
    yield opened
    opened.close()


def put(database: Database, name: str, *, derived: bool = False) -> None:
    with database.begin(POINT, derived=derived) as tx:
        facts.put(tx, name, "there")


def test_whoever_waits_for_a_commit_has_waited_for_all_before_it(wal: Wal, disk: Disk) -> None:
    wal.sync()
    assert disk.flushed == []
    wal.committed()
    wal.committed()
    wal.sync()
    wal.sync()

    assert len(disk.flushed) == 1


def test_many_who_wait_at_once_share_what_the_disk_does(wal: Wal, disk: Disk) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        begun.set()
        assert go_on.wait(DEADLINE)

    disk.at = hold
    with ThreadPoolExecutor(9) as pool:
        wal.committed()
        first = pool.submit(wal.sync)
        assert begun.wait(DEADLINE)
        # what is committed while the disk is busy with what came before is not covered by it
        wal.committed()
        others = [pool.submit(wal.sync) for _ in range(8)]
        assert not any(other.done() for other in others)
        go_on.set()
        for waiting in (first, *others):
            waiting.result(DEADLINE)

    assert len(disk.flushed) == 2


def test_what_the_disk_refused_once_goes_into_the_database_before_anything_is_promised(
    wal: Wal, disk: Disk, checkpoints: list[str]
) -> None:
    disk.refuses = 1
    wal.committed()
    with pytest.raises(OSError, match="Input/output"):
        wal.sync()
    assert (disk.flushed, checkpoints) == ([], [])

    wal.sync()  # nothing new was committed, and still nothing was promised
    assert (disk.flushed, checkpoints) == ([], ["done"])

    wal.committed()
    wal.sync()
    assert (len(disk.flushed), checkpoints) == (1, ["done"])


def test_a_log_stays_in_doubt_until_the_database_has_it(tmp_path: Path, disk: Disk) -> None:
    answers = [OSError("first"), OSError("second"), None]

    def checkpoint() -> None:
        answer = answers.pop(0)
        if answer is not None:
            raise answer

    (tmp_path / "x.db-wal").touch()
    wal = Wal(tmp_path / "x.db", checkpoint)
    disk.refuses = 1
    wal.committed()
    for why in ("Input/output", "first", "second"):
        with pytest.raises(OSError, match=why):
            wal.sync()
    wal.sync()
    wal.close()

    assert answers == []
    assert disk.flushed == []


def test_a_transaction_waits_for_its_own_log(database: Database, disk: Disk) -> None:
    put(database, "a")
    put(database, "b", derived=True)
    assert len(disk.flushed) == 1
    database.sync()

    assert disk.flushed == [f"{database.path}-wal"] * 2


def test_others_write_while_one_waits_for_the_disk(database: Database, disk: Disk) -> None:
    wrote: list[str] = []

    def write_too() -> None:
        disk.at = lambda: None
        put(database, "b", derived=True)
        wrote.append("b")

    disk.at = write_too
    put(database, "a")

    assert wrote == ["b"]


def test_what_was_promised_survives_a_loss_of_power(database: Database, disk: Disk, tmp_path: Path) -> None:
    """A copy of both files is made as they are when the disk says that it has them; nothing later counts."""
    lost = tmp_path / "lost"
    lost.mkdir()

    def cut() -> None:
        for name in ("x.db", "x.db-wal"):
            shutil.copyfile(tmp_path / name, lost / name)

    disk.at = cut
    for number in range(30):
        put(database, f"derived-{number}", derived=True)
        put(database, f"promised-{number}")
        if number % 10 == 5:
            with database._writing:
                database._driver.execute("PRAGMA wal_checkpoint(RESTART)")
        after = Database.open(lost / "x.db")
        with after.read() as tx:
            for name in (f"derived-{number}", f"promised-{number}", "promised-0"):
                assert facts.get(tx, name) == "there"
        after.close()


def test_after_the_disk_refused_the_database_itself_has_what_is_promised_then(
    database: Database, disk: Disk, tmp_path: Path
) -> None:
    disk.refuses = 1
    with pytest.raises(StoreError, match=r"Input/output.*free some space"):
        put(database, "doubtful")
    put(database, "next")
    alone = tmp_path / "alone.db"
    shutil.copyfile(database.path, alone)  # whatever the log was worth
    after = Database.open(alone)
    with after.read() as tx:
        found = facts.get(tx, "doubtful"), facts.get(tx, "next")
    after.close()

    assert found == ("there", "there")


def killed(database: Database, where: Path) -> Path:
    """The files as a SIGKILL leaves them."""
    where.mkdir()
    for name in ("x.db", "x.db-wal"):
        shutil.copyfile(database.path.with_name(name), where / name)
    return where / "x.db"


def test_what_the_last_life_left_in_a_doubtful_log_is_in_the_database_before_anything_is_promised(
    database: Database, disk: Disk, tmp_path: Path
) -> None:
    disk.refuses = 1
    with pytest.raises(StoreError):
        put(database, "doubtful")
    restarted = Database.open(killed(database, tmp_path / "killed"))
    alone = tmp_path / "alone.db"
    shutil.copyfile(restarted.path, alone)
    restarted.close()
    after = Database.open(alone)
    with after.read() as tx:
        found = facts.get(tx, "doubtful")
    after.close()

    assert found == "there"


def test_a_start_does_not_wait_for_who_is_reading(database: Database, tmp_path: Path) -> None:
    put(database, "a")
    path = killed(database, tmp_path / "killed")
    reader = Database.open(path, lock=False)
    with reader.read() as tx:
        facts.get(tx, "a")  # holds the log as it is
        with ThreadPoolExecutor(1) as pool:
            restarted = pool.submit(Database.open, path).result(DEADLINE)
        put(restarted, "b")
        restarted.close()
    reader.close()


def test_a_disk_that_is_found_full_only_when_it_is_waited_for_gets_the_ballast_too(
    tmp_path: Path, disk: Disk
) -> None:
    database = Database.open(tmp_path / "x.db", ballast=1 << 20)
    disk.refuses, disk.why = 1, errno.ENOSPC
    with pytest.raises(StoreError, match="free some space"):
        put(database, "a")
    kept = (tmp_path / "x.ballast").exists()
    put(database, "b")
    database.close()

    assert not kept


def test_a_log_that_cannot_be_emptied_promises_nothing(database: Database, disk: Disk) -> None:
    disk.refuses = 1
    with pytest.raises(StoreError):
        put(database, "doubtful")
    database._driver.execute("PRAGMA busy_timeout = 0")
    with database.read() as reader:
        facts.get(reader, "x")  # holds the log as it is
        with pytest.raises(StoreError, match="while it is read"):
            put(database, "next")
    put(database, "last")

    with database.read() as tx:
        assert facts.get(tx, "next") == facts.get(tx, "last") == "there"
