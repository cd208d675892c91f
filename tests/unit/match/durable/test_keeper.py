from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from cases import rules

from holdfast.match.durable import keeper as module
from holdfast.match.durable.facts import Asked
from holdfast.match.durable.handle import ARGV, Failed, Handle, Unavailable
from holdfast.match.durable.keeper import FAILURES, QUARANTINE, Keeper
from holdfast.match.durable.program import TYPE, Program, compile_rules
from holdfast.model.conditions import Compare, Op
from holdfast.model.events import EngineMode, EngineNews, EngineTrouble

DOUBLE = str(Path(__file__).with_name("double.py"))
PROGRAM = compile_rules(rules([Compare("data.a", Op.GT, 5), Compare("data.a", Op.EQ, "x")]))
HIT = Asked.about(0, {TYPE: "lab.x", "n0": 6})
POISON = Asked.about(0, {TYPE: "lab.x", "s0": "poison"})
WELL = (EngineMode.DURABLE, None)
PATIENCE = 60.0


class Kept:
    """A keeper whose processes are, one after the other, what `modes` says; the last for ever."""

    def __init__(self, modes: Sequence[str]) -> None:
        self.modes = list(modes)
        self.handles: list[Handle] = []
        self.news: list[EngineNews] = []
        self.takes = True
        self.changed = threading.Condition()
        self.keeper = Keeper(PROGRAM, self.report, self.start)

    def report(self, news: EngineNews) -> bool:
        with self.changed:
            if self.takes:
                self.news.append(news)
            self.changed.notify_all()
            return self.takes

    def start(self, program: Program, /) -> Handle:
        mode = self.modes.pop(0) if len(self.modes) > 1 else self.modes[0]
        if mode == "unavailable":
            raise Unavailable(EngineTrouble.DEATH, "there is no such thing")
        if mode == "defect":
            raise ValueError("a defect")
        name, _, after = mode.partition(":")
        argv = ARGV if mode == "well" else [sys.executable, "-P", DOUBLE, name, after or "0"]
        self.handles.append(Handle(program, argv=argv, answer_s=20.0))
        return self.handles[-1]

    def told(self) -> list[tuple[EngineMode, EngineTrouble | None]]:
        return [(one.mode, one.trouble) for one in self.news]

    def until(self, wanted: tuple[EngineMode, EngineTrouble | None], times: int = 1) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: self.told().count(wanted) >= times, PATIENCE), self.news

    def take(self) -> Handle:
        """The next process that is there."""
        deadline = time.monotonic() + PATIENCE
        pause = threading.Event()
        while (handle := self.keeper.take()) is None:
            assert time.monotonic() < deadline, self.news
            pause.wait(0.01)
        return handle

    def ask(self, asked: Asked = HIT) -> bool:
        """What the engine does with a question; False when the process failed."""
        handle = self.take()
        try:
            handle.ask([asked])
        except Failed as failure:
            self.keeper.failed(handle, failure, [asked])
            return False
        return True


@pytest.fixture
def keep(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Kept]]:
    monkeypatch.setattr(module, "PAUSE_S", 0.001)
    kept: list[Kept] = []

    def make(*modes: str, announced: bool = True) -> Kept:
        kept.append(Kept(modes))
        if announced:
            kept[-1].keeper.announce()
        return kept[-1]

    yield make
    for one in kept:
        one.keeper.close()
        assert all(not Path(f"/proc/{handle.pid}").exists() for handle in one.handles)
    assert not [thread for thread in threading.enumerate() if thread.name == "engine"]


def test_a_process_that_passed_is_there_after_the_start(keep: Callable[..., Kept]) -> None:
    kept = keep("well")
    assert kept.keeper.take() is None

    kept.keeper.start(PATIENCE)

    assert kept.keeper.take() is kept.handles[0]
    assert kept.told() == [WELL]
    figures = kept.keeper.figures(asked=3)
    assert (figures.mode, figures.pid, figures.started, figures.asked) == (
        EngineMode.DURABLE,
        kept.handles[0].pid,
        1,
        3,
    )


def test_nothing_is_told_before_it_matches_and_then_how_it_is(keep: Callable[..., Kept]) -> None:
    kept = keep("well", announced=False)
    kept.keeper.start(PATIENCE)
    assert kept.news == []

    kept.keeper.announce()

    assert kept.told() == [WELL]


def test_what_failed_before_it_matched_is_told_then(keep: Callable[..., Kept]) -> None:
    kept = keep("unavailable", announced=False)
    kept.keeper.start(PATIENCE)

    kept.keeper.announce()

    assert kept.told() == [(EngineMode.NATIVE, EngineTrouble.DEATH)]


def test_news_that_could_not_be_told_are_told_at_the_next_occasion(keep: Callable[..., Kept]) -> None:
    kept = keep("well")
    kept.takes = False
    kept.keeper.start(PATIENCE)
    kept.keeper.remind()
    assert kept.news == []

    kept.takes = True
    kept.keeper.remind()
    kept.keeper.remind()

    assert kept.told() == [WELL]


def test_a_process_that_fails_is_replaced(keep: Callable[..., Kept]) -> None:
    kept = keep("die:9", "well")
    kept.keeper.start(PATIENCE)
    while kept.ask():
        pass
    kept.until(WELL, 2)

    assert kept.ask()
    assert kept.told() == [WELL, (EngineMode.RECOVERING, EngineTrouble.DEATH), WELL]
    assert (kept.keeper.figures().deaths, kept.keeper.figures().started) == (1, 2)


def test_native_stands_in_while_the_next_one_comes(keep: Callable[..., Kept]) -> None:
    kept = keep("die:2", "unready", "well")
    kept.keeper.start(PATIENCE)
    while kept.ask():
        pass

    assert kept.keeper.take() is None
    assert kept.keeper.figures().mode is EngineMode.RECOVERING


def test_one_that_fails_at_its_start_is_followed_by_the_next(keep: Callable[..., Kept]) -> None:
    kept = keep("exit", "nothing", "well")
    kept.keeper.start(PATIENCE)

    assert kept.keeper.take() is kept.handles[2]
    assert kept.told() == [WELL]
    assert (kept.keeper.figures().deaths, kept.keeper.figures().nonsense) == (1, 1)


def test_a_fact_that_ends_two_processes_is_set_aside_and_the_others_are_not(
    keep: Callable[..., Kept],
) -> None:
    kept = keep("poison")
    kept.keeper.start(PATIENCE)
    handle = kept.take()
    with pytest.raises(Failed) as caught:
        handle.ask([HIT, POISON, HIT])
    kept.keeper.failed(handle, caught.value, [HIT, POISON, HIT])
    kept.until(WELL, 2)

    assert kept.keeper.is_quarantined([HIT, POISON])
    assert not kept.keeper.is_quarantined([HIT])
    assert kept.told()[1:] == [
        (EngineMode.RECOVERING, EngineTrouble.DEATH),
        (EngineMode.RECOVERING, EngineTrouble.QUARANTINE),
        WELL,
    ]
    assert not any("poison" in one.why for one in kept.news)
    assert kept.keeper.figures().quarantined == 1


def test_with_too_many_facts_set_aside_native_takes_over(
    keep: Callable[..., Kept], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FAILURES", 1000)
    monkeypatch.setattr(module, "QUARANTINE", 2)
    kept = keep("poison")
    kept.keeper._failures = type(kept.keeper._failures)(maxlen=1001)
    kept.keeper.start(PATIENCE)
    suspects = [Asked.about(0, {TYPE: "lab.x", "s0": f"poison {n}"}) for n in range(4)]
    handle = kept.take()
    with pytest.raises(Failed) as caught:
        handle.ask(suspects)
    kept.keeper.failed(handle, caught.value, suspects)

    kept.until((EngineMode.NATIVE, EngineTrouble.QUARANTINE))
    assert QUARANTINE == 64


def test_one_failure_too_many_and_native_takes_over_for_good(keep: Callable[..., Kept]) -> None:
    kept = keep("die:3")
    kept.keeper.start(PATIENCE)
    for _ in range(FAILURES * 20):
        if kept.keeper.figures().mode is EngineMode.NATIVE:
            break
        while kept.keeper.figures().mode is not EngineMode.NATIVE and kept.ask():
            pass

    kept.until((EngineMode.NATIVE, EngineTrouble.DEATH))
    assert kept.keeper.take() is None
    assert kept.keeper.figures().deaths == FAILURES + 1
    assert f"{FAILURES + 1} times" in kept.news[-1].why
    assert kept.told().count((EngineMode.NATIVE, EngineTrouble.DEATH)) == 1


def test_failures_that_lie_far_apart_are_forgiven(
    keep: Callable[..., Kept], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FAILURE_SPAN_S", 0.0)
    kept = keep(*["exit"] * (FAILURES * 2), "well")
    kept.keeper.start(PATIENCE)

    assert kept.take() is kept.handles[-1]


def test_what_is_not_installed_is_not_tried_again(keep: Callable[..., Kept]) -> None:
    kept = keep("unavailable")
    kept.keeper.start(PATIENCE)

    assert kept.told() == [(EngineMode.NATIVE, EngineTrouble.DEATH)]
    assert kept.news[0].why == "there is no such thing"
    assert kept.keeper.figures().started == 0


def test_a_defect_in_the_start_does_not_go_unsaid(keep: Callable[..., Kept]) -> None:
    kept = keep("defect")
    kept.keeper.start(PATIENCE)

    assert kept.told() == [(EngineMode.NATIVE, EngineTrouble.DEATH)]


def test_one_that_answered_other_than_native_is_not_asked_again(keep: Callable[..., Kept]) -> None:
    kept = keep("well")
    kept.keeper.start(PATIENCE)
    handle = kept.take()

    kept.keeper.differed(["r1/e", "r2/e", "r3/e", "r4/e"])

    assert kept.keeper.take() is None
    assert kept.told() == [WELL, (EngineMode.NATIVE, EngineTrouble.DIFFERENCE)]
    assert kept.news[-1].why == "it was wrong about r1/e, r2/e, r3/e"
    assert not Path(f"/proc/{handle.pid}").exists()


def test_a_process_is_replaced_after_so_many_facts_without_a_word(
    keep: Callable[..., Kept], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FACTS", 20)
    kept = keep("well")
    kept.keeper.start(PATIENCE)
    deadline = time.monotonic() + PATIENCE
    while len(kept.handles) < 3 or kept.take() is not kept.handles[2]:
        assert kept.ask()
        assert time.monotonic() < deadline

    assert kept.told() == [WELL]
    assert kept.keeper.figures().mode is EngineMode.DURABLE
    assert kept.keeper.figures().facts > 40


def test_a_process_that_has_grown_is_replaced(keep: Callable[..., Kept]) -> None:
    kept = keep("large:5", "well")
    kept.keeper.start(PATIENCE)
    deadline = time.monotonic() + PATIENCE
    while kept.take() is kept.handles[0]:
        assert kept.ask()
        assert time.monotonic() < deadline

    assert kept.take() is kept.handles[1]
    assert kept.keeper.figures().peak > 10_000_000


def test_one_that_is_large_from_the_start_is_kept(keep: Callable[..., Kept]) -> None:
    """A large config takes what it takes: the next process would be as large."""
    kept = keep("large")
    kept.keeper.start(PATIENCE)
    for _ in range(20):
        assert kept.ask()

    assert len(kept.handles) == 1


def test_the_old_one_stays_where_its_successors_fail_until_it_is_given_up(
    keep: Callable[..., Kept], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FACTS", 10)
    kept = keep("well", "exit")
    kept.keeper.start(PATIENCE)
    while kept.keeper.take() is not None:
        kept.ask()

    kept.until((EngineMode.NATIVE, EngineTrouble.DEATH))
    assert kept.told() == [WELL, (EngineMode.NATIVE, EngineTrouble.DEATH)]


@pytest.mark.parametrize("mode", ["unready", "silent", "stop"])
def test_it_closes_at_once_while_a_process_starts(keep: Callable[..., Kept], mode: str) -> None:
    kept = keep(mode)
    kept.keeper.start(0.3)
    begun = time.monotonic()

    kept.keeper.close()

    assert time.monotonic() - begun < 5
    assert kept.news == []
    assert kept.keeper.take() is None


def test_it_closes_at_once_while_it_recovers(keep: Callable[..., Kept]) -> None:
    kept = keep("die:2", "unready")
    kept.keeper.start(PATIENCE)
    while kept.ask():
        pass
    begun = time.monotonic()

    kept.keeper.close()

    assert time.monotonic() - begun < 5
    assert kept.told() == [WELL, (EngineMode.RECOVERING, EngineTrouble.DEATH)]


def test_closing_under_somebody_who_asks_is_no_trouble_of_the_engine(keep: Callable[..., Kept]) -> None:
    kept = keep("silent:2")
    kept.keeper.start(PATIENCE)
    kept.ask()
    asker = threading.Thread(target=kept.ask)
    asker.start()
    kept.keeper.close()
    asker.join(PATIENCE)

    assert not asker.is_alive()
    assert kept.told() == [WELL]
    assert kept.keeper.figures().deaths == 0


def test_one_that_is_closed_does_not_start_again(keep: Callable[..., Kept]) -> None:
    kept = keep("well")
    kept.keeper.close()
    kept.keeper.start(PATIENCE)

    assert kept.keeper.take() is None
    assert kept.handles == []


def test_no_thread_to_be_had_is_no_reason_to_stop_matching(
    keep: Callable[..., Kept], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    kept = keep("well")
    monkeypatch.setattr(threading.Thread, "start", full)
    kept.keeper.start(PATIENCE)

    assert kept.told() == [(EngineMode.NATIVE, EngineTrouble.DEATH)]
    assert kept.keeper.take() is None


def test_giving_up_under_somebody_who_asks_is_one_failure_and_told_once(
    keep: Callable[..., Kept], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its successors fail while the old process hangs: it is ended with them, and not counted again."""
    monkeypatch.setattr(module, "FACTS", 3)
    kept = keep("silent:5", "exit")
    kept.keeper.start(PATIENCE)
    while kept.ask():
        pass

    assert kept.told() == [WELL, (EngineMode.NATIVE, EngineTrouble.DEATH)]
    assert kept.keeper.figures().deaths == FAILURES + 1
