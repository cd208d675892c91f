from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import msgspec
import pytest

from holdfast.app import engines
from holdfast.config.load import load_files
from holdfast.errors import Overloaded
from holdfast.journal import Journal
from holdfast.match.durable import handle
from holdfast.match.durable.engine import DurableEngine
from holdfast.match.native import NativeEngine
from holdfast.model.events import EngineMode, EngineNews, EngineTrouble, Entry
from holdfast.model.kinds import EntryKind
from holdfast.model.snapshot import EngineKind, Snapshot
from holdfast.store import journal as rows
from holdfast.store.database import Database

PATIENCE = 60.0


@pytest.fixture
def snapshot() -> Snapshot:
    return load_files({"holdfast.yaml": b"format: 1\n"}, "c0ffee")


def nowhere(entries: Sequence[Entry]) -> None:
    raise AssertionError(entries)


def test_durable_is_what_a_config_gets_that_does_not_say(snapshot: Snapshot) -> None:
    loaded = engines.load(snapshot, nowhere)

    assert snapshot.engine is EngineKind.DURABLE
    assert isinstance(loaded.engine, DurableEngine)
    assert loaded.snapshot is snapshot


def test_native_is_what_one_gets_that_asks_for_it(snapshot: Snapshot) -> None:
    loaded = engines.load(replace(snapshot, engine=EngineKind.NATIVE), nowhere)
    loaded.engine.start(PATIENCE)
    loaded.engine.announce()

    assert isinstance(loaded.engine, NativeEngine)


def test_nothing_is_started_and_nothing_told_by_loading(snapshot: Snapshot) -> None:
    loaded = engines.load(snapshot, nowhere)

    assert loaded.engine.figures().pid == 0
    loaded.engine.close()


def test_what_becomes_of_it_is_journalled_under_the_config_that_it_is_for(snapshot: Snapshot) -> None:
    told: list[Entry] = []
    loaded = engines.load(snapshot, told.extend)
    loaded.engine.start(PATIENCE)
    loaded.engine.announce()
    loaded.engine.close()

    [entry] = told
    assert (entry.kind, entry.source, entry.commit) == (EntryKind.ENGINE, "engine", "c0ffee")
    assert msgspec.json.decode(entry.body, type=EngineNews).mode is EngineMode.DURABLE


def test_the_same_news_in_the_same_millisecond_are_two_entries(
    snapshot: Snapshot, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(database, lambda: 1_000, on_commit=lambda _: None)
    journal.start()
    acks = []
    loaded = engines.load(snapshot, lambda entries: acks.append(journal.append(entries)))
    loaded.engine.announce()  # nothing to tell yet
    loaded.engine.start(PATIENCE)
    for _ in range(50):
        loaded.engine.announce()
    loaded.engine.close()
    journal.stop()

    assert len(acks) == 51
    assert not any(ack.duplicate for future in acks for ack in future.result())
    with database.read() as tx:
        assert rows.head(tx) == 51


def test_news_that_the_journal_does_not_take_are_told_again(snapshot: Snapshot) -> None:
    told: list[Entry] = []
    full = [True, True, False]

    def append(entries: Sequence[Entry]) -> None:
        if full.pop(0):
            raise Overloaded("too much waits")
        told.extend(entries)

    loaded = engines.load(snapshot, append)
    loaded.engine.start(PATIENCE)
    loaded.engine.announce()
    for _ in range(3):
        assert loaded.engine.match([]) == []
        loaded.engine.figures()
    loaded.engine.close()

    assert [entry.kind for entry in told] == [EntryKind.ENGINE]


def test_without_durable_rules_it_matches_natively_and_says_why(
    snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handle, "find_spec", lambda _: None)
    told: list[Entry] = []
    loaded = engines.load(snapshot, told.extend)
    loaded.engine.start(PATIENCE)
    loaded.engine.announce()
    loaded.engine.close()

    [news] = [msgspec.json.decode(entry.body, type=EngineNews) for entry in told]
    assert (news.mode, news.trouble) == (EngineMode.NATIVE, EngineTrouble.DEATH)
    assert "built from source" in news.why
