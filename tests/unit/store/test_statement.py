"""Statements that are said once: what they answer, what they refuse, and in whose words."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError, OperationalError

from holdfast.store.database import Database, Tx
from holdfast.store.statement import Query, Statement, fixed, given, insert_into
from holdfast.store.tables import meta, timeline, timers

Begin = Callable[[], AbstractContextManager[Tx]]

WRITE = insert_into(meta)
REPLACE = insert_into(meta, instead=True)
KEEP = insert_into(meta, unless_there=True)
NAMED = select(meta).where(meta.c.name >= given("first")).order_by(meta.c.name)
VALUES = Query(NAMED, lambda row: (row.name, row.value))


def test_rows_come_back_in_order_with_their_columns_by_name(tx: Begin) -> None:
    with tx() as t:
        WRITE.run_each(t, [{"name": "b", "value": "2"}, {"name": "a", "value": "1"}])
        found = VALUES.all(t, first="a"), VALUES.first(t, first="b"), VALUES.first(t, first="c")

    assert found == ([("a", "1"), ("b", "2")], ("b", "2"), None)


def test_a_second_row_of_a_key_is_refused_replaced_or_left_as_it_is(tx: Begin) -> None:
    with tx() as t:
        WRITE.run(t, name="a", value="1")
        kept = KEEP.run(t, name="a", value="2"), VALUES.all(t, first="a")
        replaced = REPLACE.run(t, name="a", value="3"), VALUES.all(t, first="a")

    assert kept == (0, [("a", "1")])
    assert replaced == (1, [("a", "3")])
    with pytest.raises(IntegrityError, match="UNIQUE"), tx() as t:
        WRITE.run(t, name="a", value="4")


def test_a_value_that_is_not_given_is_no_null(tx: Begin) -> None:
    with pytest.raises(KeyError, match="value"), tx() as t:
        WRITE.run(t, name="a")


def test_what_the_driver_refuses_has_the_name_that_transactions_know(database: Database, tx: Begin) -> None:
    with tx() as t:
        t.exec_driver_sql("DROP TABLE meta")
        with pytest.raises(OperationalError, match="no such table"):
            WRITE.run(t, name="a", value="1")


def test_a_reader_sees_one_state_from_its_first_statement_on(database: Database, tx: Begin) -> None:
    with database.read() as reader:
        before = VALUES.all(reader, first="x")
        with tx() as t:
            WRITE.run(t, name="x", value="1")
        after = VALUES.all(reader, first="x")
    with database.read() as reader:
        later = VALUES.all(reader, first="x")

    assert (before, after, later) == ([], [], [("x", "1")])


def test_a_limit_and_a_word_of_the_code_are_part_of_the_text(database: Database) -> None:
    query = select(timers.c.id).where(timers.c.due > fixed(7)).limit(given("limit"))
    with database.read() as t:
        said = Statement(query).said(t)

    assert "due > 7" in said.text
    assert said.names is not None
    assert said.names[0] == "limit"


def test_a_column_that_numbers_itself_is_left_to_the_database(tx: Begin) -> None:
    line = {"incident": "i1", "at": 1, "seq": 2, "kind": "k", "text": "t", "commit": "c", "data": b"{}"}
    with tx() as t:
        insert_into(timeline, without=("item",)).run_each(t, [line, line])
        items = Query(select(timeline.c.item), lambda row: row.item).all(t)

    assert items == [1, 2]
