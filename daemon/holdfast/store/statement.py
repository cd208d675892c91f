"""Statements that are said once: SQLAlchemy writes their text, the driver runs it.

Building a statement anew costs ten times, and running one through SQLAlchemy three times, what SQLite
takes to answer it. So each is a constant: its text is made once for a dialect, and goes to the driver
of the same connection, inside the same transaction. Values are handed over as they are (str, int,
bytes, bool, None).
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from functools import cached_property
from operator import attrgetter, methodcaller
from typing import Any, Final, Generic, NamedTuple, TypeVar

from sqlalchemy import BindParameter, ColumnElement, Table, bindparam, exc, literal_column
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.sql.expression import ClauseElement
from sqlalchemy.sql.selectable import ReturnsRows

from holdfast.store.database import Tx

T = TypeVar("T")

_CHANGED: Final = attrgetter("rowcount")
_ROW: Final = methodcaller("fetchone")
_ROWS: Final = methodcaller("fetchall")


def given(name: str) -> BindParameter[Any]:
    """A value that is named when the statement is run."""
    return bindparam(name)


def fixed(value: StrEnum | int) -> ColumnElement[Any]:
    """A word of the code's own vocabulary, or a number, that stands in the text itself: the planner sees
    it, and finds a partial index by it."""
    return literal_column(str(value) if isinstance(value, int) else f"'{value}'")


class _Said(NamedTuple):
    """A statement in the words of one dialect."""

    text: str
    #: The order of the values; None where the driver takes them by name.
    names: Sequence[str] | None
    #: Values that the dialect itself put in (SQLite's OFFSET beside a LIMIT).
    own: Mapping[str, object]

    def values(self, given: Mapping[str, object]) -> Any:
        """The values as the driver wants them."""
        every = {**self.own, **given} if self.own else given
        return every if self.names is None else [every[name] for name in self.names]


class Statement:
    """One statement that changes rows, or that asks for one value."""

    def __init__(self, core: ClauseElement) -> None:
        self._core = core
        self._said: dict[tuple[str, str], _Said] = {}

    def run(self, tx: Tx, **values: object) -> int:
        """Run it; how many rows it changed."""
        return int(self._driven(tx, values, _CHANGED))

    def run_each(self, tx: Tx, many: Sequence[Mapping[str, object]]) -> None:
        """Run it once for each set of values."""
        for values in many:
            self._driven(tx, values, _CHANGED)

    def value(self, tx: Tx, **values: object) -> Any:
        """The first column of the first row; None where there is no row."""
        row = self._driven(tx, values, _ROW)
        return None if row is None else row[0]

    def said(self, tx: Tx) -> _Said:
        """Its words in the dialect of a connection."""
        dialect = tx.dialect
        key = (dialect.name, dialect.paramstyle)
        found = self._said.get(key)
        if found is None:
            made = self._core.compile(dialect=dialect)
            own = {name: value for name, value in made.params.items() if value is not None}
            names = made.positiontup  # type: ignore[attr-defined]
            found = self._said[key] = _Said(str(made), names, own)
        return found

    def _driven(self, tx: Tx, values: Mapping[str, object], answer: Callable[[Any], Any]) -> Any:
        """What the driver's cursor answers."""
        said = self.said(tx)
        if not tx.in_transaction():
            # a reader's transaction, one view of all that follows, begins with what SQLAlchemy itself runs
            tx.exec_driver_sql("SELECT 1")
        cursor = tx.connection.cursor()
        try:
            cursor.execute(said.text, said.values(values))
            return answer(cursor)
        except tx.dialect.loaded_dbapi.Error as error:
            # whoever opened the transaction knows failures by SQLAlchemy's names
            base = tx.dialect.loaded_dbapi.Error
            raise exc.DBAPIError.instance(said.text, None, error, base, dialect=tx.dialect) from error


class Query(Statement, Generic[T]):
    """One statement that asks for rows; `make` turns a row, whose columns have names, into a noun."""

    def __init__(self, core: ReturnsRows, make: Callable[[Any], T]) -> None:
        super().__init__(core)
        self._names = core.exported_columns.keys()
        self._make = make

    def first(self, tx: Tx, **values: object) -> T | None:
        """The first row, or None."""
        row = self._driven(tx, values, _ROW)
        return None if row is None else self._make(self._named(row))

    def all(self, tx: Tx, **values: object) -> list[T]:
        """Every row, in the statement's order."""
        return [self._make(self._named(row)) for row in self._driven(tx, values, _ROWS)]

    @cached_property
    def _named(self) -> Callable[[Sequence[Any]], Any]:
        # made when it is needed first: a class costs more than a thousand rows
        row: Any = namedtuple("row", self._names, rename=True)  # type: ignore[misc]  # noqa: PYI024
        return row._make


def insert_into(
    table: Table, *, without: Sequence[str] = (), instead: bool = False, unless_there: bool = False
) -> Statement:
    """Write a whole row: every column is given, but those `without`, which number themselves.

    A row of the same key is refused, replaced (`instead`) or left as it is (`unless_there`).
    """
    names = [column.name for column in table.columns if column.name not in without]
    # PostgreSQL says the same in the same words, by an `insert` of its own dialect
    core = upsert(table).values({name: bindparam(name) for name in names})
    if unless_there:
        core = core.on_conflict_do_nothing()
    if instead:
        keys = [column.name for column in table.primary_key]
        others = {name: core.excluded[name] for name in names if name not in keys}
        core = core.on_conflict_do_update(index_elements=keys, set_=others)
    return Statement(core)
