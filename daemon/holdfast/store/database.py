"""Open the database, and the one function that commits."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import IO, Any, Final, Self

from sqlalchemy import Connection, Engine, create_engine, event, exc

from holdfast.effects import crash_point, strike
from holdfast.errors import StoreError
from holdfast.store.wal import Wal

#: The newest migration; `migrations/versions` has a file of this name.
HEAD: Final = "0001"
BALLAST_BYTES: Final = 64 * 1024 * 1024

_MIGRATE: Final = crash_point("store.migrate")

#: What the disk says no with, through SQLAlchemy or past it, and what of it is a mistake of the code.
_REFUSALS: Final = (exc.DatabaseError, sqlite3.DatabaseError)
_DEFECTS: Final = (
    exc.IntegrityError,
    exc.DataError,
    exc.ProgrammingError,
    sqlite3.IntegrityError,
    sqlite3.DataError,
    sqlite3.ProgrammingError,
)

_PRAGMAS: Final = (
    "journal_mode=WAL",
    "synchronous=NORMAL",  # who waits for the disk does so beside the transactions: store/wal.py
    "cache_size=-8192",
    "temp_store=MEMORY",
)

#: A transaction. Rooms hand it to the functions of `store` and never look inside.
Tx = Connection


class Due(StrEnum):
    """Work for others that a transaction wrote down: who has to be woken after its commit."""

    ATTEMPTS = "attempts"
    MESSAGES = "messages"
    TIMERS = "timers"


#: What became due: of each kind, whatever was noted about it.
Dues = Mapping[Due, Sequence[Any]]


def mark(tx: Tx, due: Due, *about: object) -> None:
    """Note that this transaction made something due, and what, for who need not look it up then."""
    tx.info.setdefault(Due, {}).setdefault(due, []).extend(about)


def marks(tx: Tx) -> Dues:
    """What was noted since the last call, or since the transaction began."""
    found: Dues = tx.info.pop(Due, {})
    return found


def together(dues: Iterable[Dues]) -> Dues:
    """What became due in several transactions."""
    found: dict[Due, list[Any]] = {}
    for one in dues:
        for due, about in one.items():
            found.setdefault(due, []).extend(about)
    return found


class Busy(StoreError):
    """Somebody else writes, and the caller did not want to wait."""


class Database:
    """One SQLite file, opened by one daemon at a time (and by any number of readers)."""

    def __init__(self, path: Path, engine: Engine, lock: IO[str] | None) -> None:
        self.path = path
        self._engine = engine
        self._lock_file = lock
        self._writing = threading.Lock()
        self._freed: deque[Callable[[], object]] = deque()
        self._writer = engine.connect().execution_options(holdfast_write=True)
        # for SQLAlchemy one transaction begins here and never ends: the real ones are `begin`'s own, which
        # costs a third of what it would do for each
        self._writer.exec_driver_sql("SELECT 1")
        self._driver: sqlite3.Connection = self._writer.connection.dbapi_connection  # type: ignore[assignment]
        self._wal = Wal(path, self._checkpoint)

    @classmethod
    def open(cls, path: Path, *, lock: bool = True, ballast: int = 0) -> Self:
        """Open and, for the one that locks it, create and migrate. Raises StoreError with the way out."""
        held = _lock(path) if lock else None
        database: Self | None = None
        try:
            if not lock and not path.exists():
                raise StoreError(
                    f"{path} does not exist: start the daemon once, or name its state directory with --state"
                )
            database = cls(path, _engine(path), held)
            database._check_log()
            if lock:
                database._settle_log()
            database._check_version(migrate=lock)
            if ballast:
                _keep_ballast(path.with_suffix(".ballast"), ballast)
        except BaseException as error:
            if database is not None:
                database.close()
            elif held is not None:
                held.close()
            if isinstance(error, _REFUSALS):
                raise _explained(error, path) from error
            raise
        return database

    @contextlib.contextmanager
    def begin(self, point: str, *, wait: bool = True, derived: bool = False) -> Iterator[Tx]:
        """One write transaction: all of it is on disk when this returns, or none of it.

        What is `derived` does not wait for the disk: it survives the death of the process, and reaches the
        disk with the next transaction that does, or with `sync`. That is for what follows from what is
        on disk, and would be derived again, and for who calls `sync` before it promises anything.
        `point` is a registered crash point. Raises StoreError when the disk refuses, and Busy when
        another thread writes and the caller does not wait.
        """
        if not self._writing.acquire(blocking=wait):
            raise Busy(f"{self.path} is being written by another thread: try again")
        try:
            try:
                self._driver.execute("BEGIN IMMEDIATE")
                marks(self._writer)  # of one that did not come to its end
                yield self._writer
                strike(point, "before")
                self._driver.commit()
                self._wal.committed()
            except BaseException as error:
                with contextlib.suppress(sqlite3.Error):  # a disk that fails ends a transaction by itself
                    self._driver.rollback()
                # a defect of whoever wrote it stays what it is: trying again would not help
                if isinstance(error, _REFUSALS) and not isinstance(error, _DEFECTS):
                    self._release_ballast(error)
                    raise _explained(error, self.path) from error
                raise
            strike(point, "after")
        finally:
            self._writing.release()
            self._tell_freed()
        if not derived:
            self.sync()

    def sync(self) -> None:
        """Wait until everything that was committed before is on disk. Raises StoreError; what was
        committed is there all the same, and is on disk when a later call says so."""
        try:
            self._wal.sync()
        except (OSError, sqlite3.Error) as error:
            self._release_ballast(error)
            raise _explained(error, self.path) from error

    def when_free(self, act: Callable[[], object]) -> None:
        """Call `act` once when the thread that writes has ended its transaction; on that thread, or here."""
        self._freed.append(act)
        if not self._writing.locked():
            self._tell_freed()

    def _tell_freed(self) -> None:
        while self._freed:
            with contextlib.suppress(IndexError):  # another thread was faster
                self._freed.popleft()()

    def _checkpoint(self) -> None:
        with self._writing:
            refused, *_ = self._driver.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
        if refused:
            raise sqlite3.OperationalError("disk I/O error: the log cannot be emptied while it is read")

    @contextlib.contextmanager
    def read(self) -> Iterator[Tx]:
        """One consistent view; nothing can be written through it."""
        try:
            with self._engine.connect() as connection:
                yield connection
        except exc.DatabaseError as error:
            raise _explained(error, self.path) from error

    def close(self) -> None:
        """Give everything back, the lock last."""
        self._wal.close()
        with self._writing:
            self._writer.close()
            self._engine.dispose()
            if self._lock_file is not None:
                self._lock_file.close()
                self._lock_file = None

    def _check_log(self) -> None:
        if self._driver.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
            raise StoreError(
                f"{self.path} lies where SQLite cannot keep a log beside it, as on some network disks: "
                "choose a directory of a local disk with --state"
            )

    def _settle_log(self) -> None:
        """Bring what the last life left in the log into the database, as far as nobody reads.

        The disk may have refused a part of it, and the kernel hold it for written all the same (see
        `Wal.sync`): whoever only wrote on after it would promise what a loss of power takes away.
        """
        self._driver.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def _check_version(self, *, migrate: bool) -> None:
        with self._engine.connect() as connection:
            found = _version(connection)
        if found == HEAD:
            return
        if not migrate:
            raise StoreError(
                f"{self.path} has schema {found or 'none'}, this holdfast needs {HEAD}: "
                "start the daemon, which migrates it"
            )
        if found is not None and found > HEAD:
            raise StoreError(
                f"{self.path} was written by a newer holdfast (schema {found}, this one knows {HEAD}): "
                "upgrade holdfast"
            )
        self._migrate()

    def _migrate(self) -> None:
        # imported here: alembic costs a tenth of a second that only an upgrade has to pay
        from alembic import command  # noqa: PLC0415
        from alembic.config import Config  # noqa: PLC0415

        config = Config()
        config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
        with self.begin(_MIGRATE) as tx:
            config.attributes["connection"] = tx
            command.upgrade(config, "head")

    def _release_ballast(self, error: Exception) -> None:
        # some disks take what is written, and find no room for it only when it is waited for
        full = isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}
        if full or "disk is full" in str(error):
            self.path.with_suffix(".ballast").unlink(missing_ok=True)


def _engine(path: Path) -> Engine:
    engine = create_engine(
        f"sqlite:///{path}",
        connect_args={"check_same_thread": False, "timeout": 30, "cached_statements": 512},
        pool_size=4,
        max_overflow=16,
    )

    @event.listens_for(engine, "connect")
    def _configure(dbapi: Any, _record: object) -> None:
        dbapi.isolation_level = None  # transactions are begun below, in the open
        try:
            for pragma in _PRAGMAS:
                dbapi.execute(f"PRAGMA {pragma}")
        except sqlite3.Error:
            dbapi.close()
            raise

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        if not connection.get_execution_options().get("holdfast_write"):
            connection.exec_driver_sql("BEGIN")

    return engine


def _version(connection: Connection) -> str | None:
    known = connection.exec_driver_sql(
        "SELECT name FROM sqlite_master WHERE name = 'alembic_version'"
    ).first()
    if known is None:
        return None
    row = connection.exec_driver_sql("SELECT version_num FROM alembic_version").first()
    return None if row is None else str(row[0])


def _lock(path: Path) -> IO[str]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # opened for append: a daemon that loses the race must not wipe the winner's process id
        file = path.with_suffix(".lock").open("a+", encoding="ascii")
    except OSError as error:
        raise StoreError(
            f"cannot write in {path.parent} ({error.strerror}): create it, or choose another with --state"
        ) from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.seek(0)
        owner = file.read(20).strip() or "unknown"
        file.close()
        raise StoreError(
            f"another holdfast daemon (process {owner}) uses {path}: stop it first, or choose another --state"
        ) from error
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


def _keep_ballast(path: Path, size: int) -> None:
    """Space that is given back when the disk is full, so that the way out can still be journalled."""
    if path.exists() and path.stat().st_size >= size:
        return
    try:
        with path.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, size)
    except OSError:
        path.unlink(missing_ok=True)


def _explained(error: exc.DatabaseError | sqlite3.Error | OSError, path: Path) -> StoreError:
    cause = str(error.orig if isinstance(error, exc.DatabaseError) else error)
    if isinstance(error, OSError) or "disk is full" in cause or "disk I/O" in cause:
        return StoreError(f"{path} cannot be written ({cause}): free some space on its disk")
    if "not a database" in cause or "malformed" in cause:
        return StoreError(f"{path} is damaged ({cause}): stop the daemon and restore the file from a backup")
    return StoreError(f"{path}: {cause}")
