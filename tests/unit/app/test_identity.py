"""Who the daemon is: made once, kept, and never guessed anew."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from holdfast.app.identity import identity
from holdfast.errors import StoreError
from holdfast.store.database import Database


def test_it_is_made_once_and_kept(database: Database, tmp_path: Path) -> None:
    first = identity(database, tmp_path)
    again = identity(database, tmp_path)

    assert first == again
    assert len(first.gate_key) == 32
    assert first.install.isalnum()


def test_two_databases_are_two_daemons(database: Database, tmp_path: Path) -> None:
    other = Database.open(tmp_path / "other.db")
    (tmp_path / "elsewhere").mkdir()
    ids = identity(database, tmp_path), identity(other, tmp_path / "elsewhere")
    other.close()

    assert ids[0].install != ids[1].install
    assert ids[0].gate_key != ids[1].gate_key


def test_nobody_else_can_read_the_key(database: Database, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        identity(database, tmp_path)
    finally:
        os.umask(before)

    assert stat.S_IMODE((tmp_path / "reply.key").stat().st_mode) == 0o600


@pytest.mark.parametrize("content", [b"", b"short", bytes(33)])
def test_a_damaged_key_is_refused_with_the_way_out(
    database: Database, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "reply.key").write_bytes(content)
    with pytest.raises(StoreError, match=r"reply\.key is damaged: remove it"):
        identity(database, tmp_path)


def test_a_key_that_a_crash_left_half_written_is_no_key(database: Database, tmp_path: Path) -> None:
    (tmp_path / "reply.new").write_bytes(b"half")
    made = identity(database, tmp_path)

    assert (tmp_path / "reply.key").read_bytes() == made.gate_key
    assert not (tmp_path / "reply.new").exists()
