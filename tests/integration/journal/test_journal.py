"""The journal on a real SQLite file: one order, one transaction for all who wait, and every way to fail."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.effects import crash_point
from holdfast.errors import Overloaded, StoreError
from holdfast.journal import Ack, Journal, SourceFull, entrance, writer
from holdfast.journal.pace import Pace
from holdfast.model.events import Entry
from holdfast.model.kinds import EntryKind
from holdfast.store import journal as rows
from holdfast.store.database import Database

DEADLINE = 20
HOLD = crash_point("tests.integration.journal")


def event(source: str, number: object, body: bytes = b"{}") -> Entry:
    return Entry(EntryKind.EVENT, source, str(number), "c0", body)


def on_disk(database: Database) -> list[Entry]:
    with database.read() as tx:
        return rows.after(tx, 0, 1_000_000)


class Commits:
    """Counts the real commits of the journal, and can hold the disk."""

    def __init__(self) -> None:
        self.newest: list[int] = []
        self.seen = threading.Condition()

    def __call__(self, seq: int) -> None:
        with self.seen:
            self.newest.append(seq)
            self.seen.notify_all()

    def wait_for(self, seq: int) -> bool:
        with self.seen:
            return self.seen.wait_for(lambda: bool(self.newest) and self.newest[-1] >= seq, DEADLINE)


class HeldDisk:
    """Somebody else writes, for as long as the test wants."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._held = threading.Event()
        self._free = threading.Event()
        self._thread = threading.Thread(target=self._hold)

    def _hold(self) -> None:
        with self._database.begin(HOLD):
            self._held.set()
            self._free.wait(DEADLINE)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._held.wait(DEADLINE)
        return self

    def __exit__(self, *_: object) -> None:
        self.free()

    def free(self) -> None:
        self._free.set()
        self._thread.join()


def until(condition: Callable[[], bool]) -> bool:
    """Whether it becomes true before the deadline."""
    pause = threading.Event()
    for _ in range(DEADLINE * 100):
        if condition():
            return True
        pause.wait(0.01)
    return False


def test_entries_get_their_places_in_the_order_they_came(
    database: Database, make: Callable[..., Journal]
) -> None:
    journal = make()
    journal.start()
    first = journal.put([event("a", 1), event("a", 2)])
    second = journal.put([event("b", 1)])

    assert first == [Ack(1, duplicate=False), Ack(2, duplicate=False)]
    assert second == [Ack(3, duplicate=False)]
    assert [(entry.seq, entry.source, entry.id) for entry in on_disk(database)] == [
        (1, "a", "1"),
        (2, "a", "2"),
        (3, "b", "1"),
    ]


def test_an_entry_comes_back_as_it_went(database: Database, make: Callable[..., Journal], clock) -> None:
    journal = make()
    journal.start()
    entry = Entry(EntryKind.OUTCOME, "hands", "ä/1", "c1", bytes(range(256)))
    journal.put([entry])

    (stored,) = on_disk(database)
    assert stored == Entry(
        EntryKind.OUTCOME, "hands", "ä/1", "c1", bytes(range(256)), received=clock.now, seq=1
    )


def test_a_duplicate_is_acknowledged_and_not_stored_again(
    database: Database, make: Callable[..., Journal]
) -> None:
    journal = make()
    journal.start()
    journal.put([event("a", 1, b"first")])
    acks = journal.put([event("a", 1, b"second"), event("a", 2), event("a", 2), event("b", 1)])

    assert [ack.duplicate for ack in acks] == [True, False, True, False]
    assert [ack.seq == 0 for ack in acks] == [True, False, True, False]
    assert [(entry.source, entry.id, entry.body) for entry in on_disk(database)] == [
        ("a", "1", b"first"),
        ("a", "2", b"{}"),
        ("b", "1", b"{}"),
    ]


def test_nothing_is_an_answer_to_nothing(make: Callable[..., Journal]) -> None:
    journal = make()
    journal.start()

    assert journal.put([]) == []


def test_received_never_goes_back(database: Database, make: Callable[..., Journal], clock) -> None:
    journal = make()
    journal.start()
    for now in (5000, 4000, 6000, 1, 7000):
        clock.now = 1_700_000_000_000 + now
        journal.put([event("a", now)])

    assert [entry.received - 1_700_000_000_000 for entry in on_disk(database)] == [
        5000,
        5000,
        6000,
        6000,
        7000,
    ]


def test_received_never_goes_back_over_a_restart(
    database: Database, make: Callable[..., Journal], clock
) -> None:
    before = make()
    before.start()
    before.put([event("a", 1)])
    before.stop()
    clock.now -= 3_600_000
    after = make()
    after.start()
    after.put([event("a", 2)])

    first, second = on_disk(database)
    assert second.received == first.received


def test_all_who_wait_share_one_commit(database: Database, make: Callable[..., Journal]) -> None:
    commits = Commits()
    journal = make(on_commit=commits)
    journal.start()
    with HeldDisk(database) as disk:
        futures = [journal.append([event("a", 0)])]
        assert until(lambda: not journal._waiting)
        futures += [journal.append([event("a", number), event("b", number)]) for number in range(1, 100)]
        disk.free()
        acks = [future.result(DEADLINE) for future in futures]

    assert commits.wait_for(199)
    assert commits.newest == [1, 199]
    assert [ack.seq for group in acks for ack in group] == list(range(1, 200))


def test_nothing_is_acknowledged_before_it_is_on_disk(
    database: Database, make: Callable[..., Journal]
) -> None:
    journal = make()
    journal.start()
    with HeldDisk(database) as disk:
        future = journal.append([event("a", 1)])
        assert until(lambda: not journal._waiting)
        early, seen_early = future.done(), on_disk(database)
        disk.free()
        future.result(DEADLINE)

    assert not early
    assert seen_early == []
    assert len(on_disk(database)) == 1


def test_whoever_is_told_of_a_commit_finds_it_on_disk(
    database: Database, make: Callable[..., Journal]
) -> None:
    found: list[tuple[int, int]] = []

    def look(seq: int) -> None:
        found.append((seq, len(on_disk(database))))

    journal = make(on_commit=look)
    journal.start()
    journal.put([event("a", 1), event("a", 2)])
    journal.put([event("a", 2)])
    journal.put([event("a", 3)])
    journal.stop()

    assert found == [(2, 2), (3, 3)]


def test_an_error_of_whoever_is_told_stops_nothing(database: Database, make: Callable[..., Journal]) -> None:
    def fail(seq: int) -> None:
        raise RuntimeError(f"not interested in {seq}")

    journal = make(on_commit=fail)
    journal.start()
    journal.put([event("a", 1)])
    journal.put([event("a", 2)])

    assert len(on_disk(database)) == 2


def test_eight_threads_and_their_duplicates_make_one_order(
    database: Database, make: Callable[..., Journal]
) -> None:
    journal = make()
    journal.start()
    barrier = threading.Barrier(8)

    def work(worker: int) -> list[list[Ack]]:
        barrier.wait(DEADLINE)
        return [
            journal.put([event("shared", number), event(f"own{worker}", number)]) for number in range(100)
        ]

    with ThreadPoolExecutor(8) as pool:
        everything = list(pool.map(work, range(8)))

    winners = [[group[0] for group in one if not group[0].duplicate] for one in everything]
    stored = on_disk(database)
    own = {f"own{worker}": [group[1].seq for group in one] for worker, one in enumerate(everything)}
    assert sum(len(one) for one in winners) == 100
    assert [entry.seq for entry in stored] == list(range(1, 901))
    for source, seqs in own.items():
        assert seqs == sorted(seqs)
        assert [entry.seq for entry in stored if entry.source == source] == seqs
        assert [entry.id for entry in stored if entry.source == source] == [
            str(number) for number in range(100)
        ]


def test_a_full_queue_refuses_one_source_first_and_then_all(
    database: Database, make: Callable[..., Journal]
) -> None:
    journal = make(max_waiting=40)
    journal.start()
    with HeldDisk(database) as disk:
        futures = [journal.append([event("noisy", number)]) for number in range(10)]
        with pytest.raises(SourceFull):
            journal.append([event("noisy", 10)])
        futures += [journal.append([event(f"s{number}", 0)]) for number in range(30)]
        with pytest.raises(Overloaded, match="40 entries wait"):
            journal.append([event("late", 0), event("late", 1)])
        reserve = journal.append([Entry(EntryKind.OUTCOME, "hands", "1", "c0", b"{}")])
        waiting = journal.waiting()
        disk.free()
        for future in (*futures, reserve):
            future.result(DEADLINE)

    assert waiting == 41
    assert journal.refused() == {"noisy": 1, "late": 2}
    assert journal.waiting() == 0
    assert journal.put([event("noisy", 10)])[0].seq == 42


def test_a_disk_that_fails_acknowledges_nothing_and_is_tried_again(
    database: Database, make: Callable[..., Journal]
) -> None:
    commits = Commits()
    journal = make(on_commit=commits)
    journal.start()
    journal.put([event("a", 1)])
    with database.begin(HOLD) as tx:
        pages = int(tx.exec_driver_sql("PRAGMA page_count").scalar())
        tx.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    big = [event("a", f"big{number}", b"x" * 100_000) for number in range(20)]
    with pytest.raises(StoreError, match="disk is full"):
        journal.put(big)
    with pytest.raises(StoreError, match="disk is full"):
        journal.put(big)
    with database.begin(HOLD) as tx:
        tx.exec_driver_sql("PRAGMA max_page_count = 1000000")
    acks = journal.put(big)

    assert not any(ack.duplicate for ack in acks)
    assert [entry.id for entry in on_disk(database)] == ["1", *(f"big{number}" for number in range(20))]
    assert commits.newest == [1, 21]


def test_an_entry_that_cannot_be_written_takes_nobody_with_it(
    database: Database, make: Callable[..., Journal]
) -> None:
    journal = make()
    journal.start()
    with HeldDisk(database) as disk:
        first = journal.append([event("a", 0)])
        assert until(lambda: not journal._waiting)
        good, poison, also = (journal.append([event("a", name)]) for name in ("good", "bad\ud800", "also"))
        disk.free()
        first.result(DEADLINE)
        with pytest.raises(StoreError, match="cannot be stored"):
            poison.result(DEADLINE)
        assert good.result(DEADLINE)[0].seq
        assert also.result(DEADLINE)[0].seq

    assert [entry.id for entry in on_disk(database)] == ["0", "good", "also"]
    assert journal.put([event("a", 1)])[0].seq


def test_stopping_writes_what_waits_and_takes_nothing_more(
    database: Database, make: Callable[..., Journal]
) -> None:
    journal = make()
    journal.start()
    with HeldDisk(database) as disk:
        futures = [journal.append([event("a", 0)])]
        assert until(lambda: not journal._waiting)
        futures += [journal.append([event("a", number)]) for number in range(1, 50)]
        stopping = threading.Thread(target=journal.stop)
        stopping.start()
        assert until(lambda: not journal._open)
        with pytest.raises(Overloaded, match="starting or stopping"):
            journal.append([event("a", 50)])
        disk.free()
        stopping.join(DEADLINE)

    assert not stopping.is_alive()
    assert [future.result(0)[0].seq for future in futures] == list(range(1, 51))
    assert len(on_disk(database)) == 50


def test_a_journal_that_was_not_started_takes_nothing(make: Callable[..., Journal]) -> None:
    with pytest.raises(Overloaded, match="starting or stopping"):
        make().append([event("a", 1)])


def test_nobody_can_take_back_what_was_handed_over(database: Database, make: Callable[..., Journal]) -> None:
    journal = make()
    journal.start()
    with HeldDisk(database):
        future: Future[list[Ack]] = journal.append([event("a", 1)])

        assert not future.cancel()
    assert future.result(DEADLINE)[0].seq == 1


async def _many(journal: Journal, count: int) -> list[list[Ack]]:
    return await asyncio.gather(*(journal.append_async([event("a", number)]) for number in range(count)))


class Woken:
    """Counts how often another thread told an event loop of commits."""

    def __init__(self) -> None:
        self.calls = 0
        loop = asyncio.get_running_loop()
        wake = loop.call_soon_threadsafe

        def count(callback: Callable[..., object], *arguments: object, **more: object) -> asyncio.Handle:
            self.calls += callback.__name__ in {"_resolve_all", "_turn"}
            return wake(callback, *arguments, **more)

        loop.call_soon_threadsafe = count


def test_an_event_loop_is_woken_once_for_a_commit(database: Database, make: Callable[..., Journal]) -> None:
    commits = Commits()
    journal = make(on_commit=commits)
    journal.start()

    async def main() -> tuple[list[list[Ack]], int]:
        woken = Woken()
        with HeldDisk(database) as disk:
            many = asyncio.ensure_future(_many(journal, 200))
            await asyncio.to_thread(until, lambda: journal.waiting() == 200 and bool(database._freed))
            disk.free()
            return await asyncio.wait_for(many, DEADLINE), woken.calls

    acks, calls = asyncio.run(main())

    assert [ack.seq for group in acks for ack in group] == list(range(1, 201))
    assert commits.newest == [200]
    assert calls == 1


def test_an_event_loop_commits_what_its_callers_brought_without_a_change_of_threads(
    database: Database, make: Callable[..., Journal]
) -> None:
    committed: list[tuple[int, str]] = []
    journal = make(on_commit=lambda seq: committed.append((seq, threading.current_thread().name)))
    journal.start()

    async def main() -> tuple[list[list[Ack]], int]:
        woken = Woken()
        return await asyncio.wait_for(_many(journal, 200), DEADLINE), woken.calls

    acks, calls = asyncio.run(main())

    assert [ack.seq for group in acks for ack in group] == list(range(1, 201))
    assert committed == [(200, "MainThread")]
    assert calls == 0


def test_an_event_loop_is_not_kept_waiting_by_whoever_else_writes(
    database: Database, make: Callable[..., Journal]
) -> None:
    journal = make()
    journal.start()

    async def main() -> tuple[bool, list[Ack]]:
        with HeldDisk(database) as disk:
            future = journal.append_async([event("a", 1)])
            await asyncio.to_thread(until, lambda: bool(database._freed))
            early = future.done()
            disk.free()
            return early, await asyncio.wait_for(future, DEADLINE)

    assert asyncio.run(main()) == (False, [Ack(1, duplicate=False)])


def test_after_a_few_tries_an_event_loop_lets_the_thread_wait_for_its_turn(
    database: Database, make: Callable[..., Journal], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("holdfast.journal.writer.TRIES", 0)
    journal = make()
    journal.start()

    async def main() -> tuple[bool, list[Ack]]:
        with HeldDisk(database) as disk:
            future = journal.append_async([event("a", 1)])
            taken = await asyncio.to_thread(until, lambda: not journal._waiting)
            disk.free()
            return taken, await asyncio.wait_for(future, DEADLINE)

    assert asyncio.run(main()) == (True, [Ack(1, duplicate=False)])


def test_whoever_keeps_the_loop_from_its_turn_is_served_by_the_thread(
    database: Database, make: Callable[..., Journal]
) -> None:
    journal = make()
    journal.start()

    async def main() -> tuple[list[Ack], list[Ack]]:
        promised = journal.append_async([event("a", 1)])
        # the loop was about to commit both, and now nothing runs on it
        second = journal.append([event("a", 2)]).result(DEADLINE)
        return await asyncio.wait_for(promised, DEADLINE), second

    assert asyncio.run(main()) == ([Ack(1, duplicate=False)], [Ack(2, duplicate=False)])


def test_much_at_once_and_a_slow_disk_are_left_to_the_thread(
    database: Database, make: Callable[..., Journal], monkeypatch: pytest.MonkeyPatch
) -> None:
    names: list[str] = []
    journal = make(on_commit=lambda _: names.append(threading.current_thread().name))
    journal.start()

    async def one(number: int) -> None:
        await asyncio.wait_for(journal.append_async([event("a", number)]), DEADLINE)

    async def main() -> None:
        await one(1)
        monkeypatch.setattr(writer, "SLOW", 0.0)
        await one(2)
        await one(3)
        monkeypatch.setattr(writer, "SLOW", 1e9)
        journal._not_here_before = 0.0
        await one(4)
        many = [event("b", number) for number in range(writer.HERE_ENTRIES + 1)]
        await asyncio.wait_for(journal.append_async(many), DEADLINE)

    asyncio.run(main())
    journal.stop()

    assert names == ["MainThread", "MainThread", "journal", "MainThread", "journal"]


def test_a_loop_that_ends_and_one_that_begins_share_the_journal(
    database: Database, make: Callable[..., Journal]
) -> None:
    journal = make()
    journal.start()

    async def hand_over(count: int) -> None:
        for number in range(count):
            journal.append_async([event("left", number)])

    async def main() -> list[Ack]:
        return await asyncio.wait_for(journal.append_async([event("a", 1)]), DEADLINE)

    asyncio.run(hand_over(3))
    acks = asyncio.run(main())
    journal.stop()

    assert not acks[0].duplicate
    assert sorted(entry.source for entry in on_disk(database)) == ["a", "left", "left", "left"]


def test_a_waiter_that_gave_up_is_no_matter(database: Database, make: Callable[..., Journal]) -> None:
    journal = make()
    journal.start()

    async def main() -> list[Ack]:
        with HeldDisk(database) as disk:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(journal.append_async([event("a", 1)]), 0.05)
            patient = journal.append_async([event("a", 2)])
            disk.free()
        return await asyncio.wait_for(patient, DEADLINE)

    assert asyncio.run(main())[0].seq == 2
    assert [entry.id for entry in on_disk(database)] == ["1", "2"]


def test_a_loop_that_was_closed_is_no_matter(database: Database, make: Callable[..., Journal]) -> None:
    journal = make()
    journal.start()

    async def hand_over() -> None:
        journal.append_async([event("a", 1)])

    with HeldDisk(database):
        asyncio.run(hand_over())

    assert journal.put([event("a", 2)])[0].seq == 2


def test_the_disk_fails_an_awaiting_caller_too(database: Database, make: Callable[..., Journal]) -> None:
    journal = make()
    journal.start()

    async def main() -> None:
        await asyncio.wait_for(journal.append_async([event("a", "\ud800")]), DEADLINE)

    with pytest.raises(StoreError):
        asyncio.run(main())


@settings(max_examples=15)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 10_000), st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 9)), max_size=5)
        ),
        max_size=12,
    )
)
def test_any_history_has_one_order_without_gaps_or_repetitions(tmp_path_factory, history) -> None:
    directory: Path = tmp_path_factory.mktemp("history")
    database = Database.open(directory / "h.db")
    now = 0
    journal = Journal(database, lambda: now, on_commit=Commits())
    journal.start()
    known: dict[tuple[str, str], int] = {}
    for now, group in history:  # noqa: B007 - the clock reads it
        entries = [event(source, number) for source, number in group]
        for entry, ack in zip(entries, journal.put(entries), strict=True):
            assert ack.duplicate == ((entry.source, entry.id) in known)
            known.setdefault((entry.source, entry.id), ack.seq)
    journal.stop()
    stored = on_disk(database)
    database.close()

    assert {(entry.source, entry.id): entry.seq for entry in stored} == known
    assert [entry.received for entry in stored] == sorted(entry.received for entry in stored)


def test_every_commit_of_the_journal_passes_its_crash_point(
    database: Database, make: Callable[..., Journal]
) -> None:
    seen: list[tuple[str, str]] = []
    database._driver.set_trace_callback(lambda sql: seen.append((threading.current_thread().name, sql)))
    journal = make()
    journal.start()
    journal.put([event("a", 1)])

    assert [sql for thread, sql in seen if thread == "journal"].count("BEGIN IMMEDIATE") == 1
    assert [sql for _, sql in seen].count("COMMIT") == 1


def test_whoever_follows_the_journal_gets_entries_from_memory_as_they_are_on_disk(
    database: Database, make: Callable[..., Journal], clock
) -> None:
    followed: list[Entry] = []
    journal = make(on_commit=lambda seq: followed.extend(journal.take(seq - 1, 100) or ()))
    journal.start()
    early = journal.take(0, 10)
    for number in range(5):
        clock.now += 1
        journal.put([event("a", number), event("a", number)])
    rest = journal.take(5, 10)

    assert early is None
    assert followed == on_disk(database)
    assert len(followed) == 5
    assert rest == ()


def paced(make: Callable[..., Journal]) -> Journal:
    """A journal whose bound a first source has used up, at a time that stands still."""
    journal = make(pace=Pace(), elapsed=lambda: 0.0)
    journal.start()

    def fill() -> None:
        for number in range(10_000):
            journal.put([event("noisy", f"{number}.{part}") for part in range(100)])

    with pytest.raises(SourceFull):
        fill()
    return journal


def test_what_is_held_back_is_taken_when_decisions_were_made(
    database: Database, make: Callable[..., Journal]
) -> None:
    journal = paced(make)
    head = len(on_disk(database))

    async def main() -> tuple[bool, list[Ack]]:
        future = journal.append_async([event("noisy", "late")])
        quiet = journal.append_async([event("quiet", 1)])
        await asyncio.wait_for(quiet, DEADLINE)
        early = future.done()
        await asyncio.to_thread(journal.decided, head)
        return early, await asyncio.wait_for(future, DEADLINE)

    early, acks = asyncio.run(main())

    assert not early
    assert acks == [Ack(head + 2, duplicate=False)]


def test_what_is_held_back_for_too_long_is_refused(
    database: Database, make: Callable[..., Journal], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "PATIENCE", 0.01)
    monkeypatch.setattr(entrance, "PATIENCE", 0.0)
    journal = paced(make)
    head, before = len(on_disk(database)), journal.refused()["noisy"]

    async def main() -> None:
        await asyncio.wait_for(journal.append_async([event("noisy", "late")]), DEADLINE)

    with pytest.raises(SourceFull, match="source noisy are not decided on"):
        asyncio.run(main())

    assert journal.refused() == {"noisy": before + 1}
    assert len(on_disk(database)) == head


def test_what_is_held_back_is_told_when_the_journal_stops(make: Callable[..., Journal]) -> None:
    journal = paced(make)

    async def main() -> None:
        future = journal.append_async([event("noisy", "late")])
        await asyncio.to_thread(journal.stop)
        await asyncio.wait_for(future, DEADLINE)

    with pytest.raises(Overloaded, match="starting or stopping"):
        asyncio.run(main())


def test_what_the_last_life_left_undecided_bounds_the_next(
    database: Database, make: Callable[..., Journal]
) -> None:
    before = make()
    before.start()
    before.put([event("a", number) for number in range(4_000)])
    before.stop()
    after = make(pace=Pace(), elapsed=lambda: 0.0)
    after.start()
    after.put([event("a", f"again {number}") for number in range(40)])
    with pytest.raises(SourceFull):
        after.put([event("a", f"more {number}") for number in range(2_000)])
    after.decided(4_040)

    assert len(after.put([event("a", f"more {number}") for number in range(1_500)])) == 1_500


def test_what_a_thread_brings_goes_along_with_a_loop_that_is_at_it(
    database: Database, make: Callable[..., Journal], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "AT_IT", DEADLINE)
    committed: list[tuple[int, str]] = []
    journal = make(on_commit=lambda seq: committed.append((seq, threading.current_thread().name)))
    journal.start()

    async def main() -> list[Ack]:
        await asyncio.wait_for(journal.append_async([event("a", 1)]), DEADLINE)
        return await asyncio.to_thread(journal.put, [event("a", 2)])

    assert asyncio.run(main()) == [Ack(2, duplicate=False)]
    assert committed == [(1, "MainThread"), (2, "MainThread")]
    # and when that loop has gone, the thread serves
    assert journal.put([event("a", 3)]) == [Ack(3, duplicate=False)]
    assert committed[2:] == [(3, "journal")]


def test_what_a_loop_comes_back_for_is_not_taken_by_a_thread_that_was_busy(
    make: Callable[..., Journal],
) -> None:
    committed: list[tuple[int, str]] = []
    begun, go_on = threading.Event(), threading.Event()

    def on_commit(seq: int) -> None:
        committed.append((seq, threading.current_thread().name))
        if seq == 1:
            begun.set()
            go_on.wait(DEADLINE)

    journal = make(on_commit=on_commit)
    journal.start()
    journal.append([event("a", 1)])
    assert begun.wait(DEADLINE)

    async def second() -> list[Ack]:
        future = journal.append_async([event("a", 2)])
        asyncio.get_running_loop().call_soon(
            go_on.set
        )  # after the loop had its turn, and found the thread busy
        return await asyncio.wait_for(future, DEADLINE)

    assert asyncio.run(second()) == [Ack(2, duplicate=False)]
    assert committed == [(1, "journal"), (2, "MainThread")]


@pytest.mark.parametrize("on_a_loop", [False, True])
def test_whoever_follows_the_journal_goes_on_while_the_disk_takes_its_time_and_nothing_is_acknowledged(
    make: Callable[..., Journal], monkeypatch: pytest.MonkeyPatch, on_a_loop: bool
) -> None:
    commits = Commits()
    journal = make(on_commit=commits)
    journal.start()
    early: list[bool] = []
    futures: list[Any] = []

    def slow(_: int) -> None:
        early.append(commits.newest == [1] and not any(future.done() for future in futures))

    monkeypatch.setattr(os, "fdatasync", slow)

    async def main() -> list[Ack]:
        futures.append(journal.append_async([event("a", 1)]))
        return await asyncio.wait_for(futures[0], DEADLINE)

    acks = asyncio.run(main()) if on_a_loop else journal.put([event("a", 1)])

    assert acks == [Ack(1, duplicate=False)]
    assert early == [True]


def test_what_the_disk_does_not_keep_is_not_acknowledged_and_is_a_duplicate_when_it_comes_again(
    database: Database, make: Callable[..., Journal], monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = make()
    journal.start()
    refuse = iter([True])

    def flush(_: int) -> None:
        if next(refuse, False):
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fdatasync", flush)
    with pytest.raises(StoreError, match="Input/output"):
        journal.put([event("a", 1)])
    assert journal.put([event("a", 1)]) == [Ack(0, duplicate=True)]
    assert [entry.id for entry in on_disk(database)] == ["1"]


def test_a_loop_that_was_at_it_some_time_ago_is_left_alone(
    database: Database, make: Callable[..., Journal], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "AT_IT", -1.0)
    by: list[str] = []
    journal = make(on_commit=lambda _: by.append(threading.current_thread().name))
    journal.start()

    async def main() -> None:
        await journal.append_async([event("a", 1)])
        await asyncio.to_thread(journal.put, [event("a", 2)])

    asyncio.run(main())

    assert by == ["MainThread", "journal"]


def test_what_goes_along_with_a_loop_that_has_ended_is_not_waited_for(
    database: Database, make: Callable[..., Journal], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "PROMISED", 3600.0)
    monkeypatch.setattr(writer, "AT_IT", 3600.0)
    journal = make()
    journal.start()

    async def main() -> None:
        await journal.append_async([event("a", 1)])

    asyncio.run(main())

    assert journal.append([event("a", 2)]).result(DEADLINE) == [Ack(2, duplicate=False)]


def test_what_a_loop_would_have_come_back_for_is_written_though_it_has_ended(
    database: Database, make: Callable[..., Journal], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "PROMISED", 3600.0)
    commits = Commits()
    journal = make(on_commit=commits)
    journal.start()

    async def main() -> None:
        journal.append_async([event("a", 1)])
        await asyncio.to_thread(until, lambda: bool(database._freed))

    with HeldDisk(database):
        asyncio.run(main())

    assert commits.wait_for(1)
