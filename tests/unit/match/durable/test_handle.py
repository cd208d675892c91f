from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cases import rules

from holdfast.match.durable import handle as module
from holdfast.match.durable.facts import Asked
from holdfast.match.durable.handle import (
    ARGV,
    CHUNK,
    CHUNK_TEXT,
    Failed,
    Handle,
    Unavailable,
    missing,
    started,
)
from holdfast.match.durable.program import TYPE, Program, compile_rules
from holdfast.model.conditions import Compare, Op
from holdfast.model.events import EngineTrouble

DOUBLE = str(Path(__file__).with_name("double.py"))
PROGRAM = compile_rules(rules([Compare("data.a", Op.GT, 5), Compare("data.a", Op.EQ, "x")]))
HIT, MISS = Asked.about(0, {TYPE: "lab.x", "n0": 6}), Asked.about(0, {TYPE: "lab.x", "n0": 5})
Begin = Callable[..., Handle]


def double(mode: str, after: int = 0) -> list[str]:
    return [sys.executable, "-P", DOUBLE, mode, str(after)]


@pytest.fixture
def begin() -> Iterator[Begin]:
    """Starts a process and gives it its program."""
    begun: list[Handle] = []

    def make(
        mode: str | None = None, after: int = 0, *, program: Program = PROGRAM, answer_s: float = 20.0
    ) -> Handle:
        argv = ARGV if mode is None else double(mode, after)
        begun.append(Handle(program, argv=argv, answer_s=answer_s))
        return begun[-1]

    yield make
    for one in begun:
        one.kill()


def is_gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def test_facts_are_answered_in_order(begin: Begin) -> None:
    handle = begin()
    handle.load()

    answers = handle.ask([HIT, MISS, HIT])

    assert len(answers[0]) == 1
    assert answers[0] == answers[2] != answers[1]
    assert handle.facts == 3
    assert handle.peak > 5_000


def test_many_chunks_are_answered_in_order(begin: Begin) -> None:
    handle = begin()
    handle.load()
    asked = [HIT if n % 7 == 0 else MISS for n in range(3 * CHUNK + 1)]

    answers = handle.ask(asked)

    hit = answers[0]
    assert [answer == hit for answer in answers] == [one is HIT for one in asked]


@pytest.mark.parametrize("count", [0, 1, CHUNK, CHUNK + 1, 2 * CHUNK])
def test_any_number_of_facts_has_as_many_answers(begin: Begin, count: int) -> None:
    handle = begin()
    handle.load()

    assert len(handle.ask([HIT] * count)) == count


def test_a_question_is_bounded_in_characters_too() -> None:
    long = [Asked(0, "x" * (CHUNK_TEXT // 2)) for _ in range(5)] + [Asked(0, "x" * CHUNK_TEXT)] * 2

    chunks = list(module._chunks([*long, *[HIT] * 600]))

    assert [one for chunk in chunks for one in chunk] == [*long, *[HIT] * 600]
    assert all(len(chunk) <= CHUNK for chunk in chunks)
    assert all(len(chunk) == 1 or sum(len(one.text) for one in chunk) <= CHUNK_TEXT for chunk in chunks)


def test_the_smoke_facts_pass_and_tell_what_the_program_itself_takes(begin: Begin) -> None:
    handle = begin()
    handle.load()
    handle.smoke()

    assert handle.base == handle.peak > 0
    assert handle.facts == len(PROGRAM.smoke)


@pytest.mark.parametrize("mode", ["nothing", "everything"])
def test_one_that_answers_its_smoke_facts_wrongly_does_not_pass(begin: Begin, mode: str) -> None:
    handle = begin(mode)
    handle.load()

    with pytest.raises(Failed, match=r"ruleset 0 fires .* instead of") as caught:
        handle.smoke()
    assert caught.value.trouble is EngineTrouble.NONSENSE
    assert is_gone(handle.pid)


FAILURES = [
    ("die", EngineTrouble.DEATH, "SIGKILL"),
    ("truncated", EngineTrouble.DEATH, "exit code 0"),
    ("stop", EngineTrouble.LATE, "no answer"),
    ("silent", EngineTrouble.LATE, "no answer"),
    ("promised", EngineTrouble.LATE, "no answer"),
    ("trickle", EngineTrouble.LATE, "no answer"),
    ("garbage", EngineTrouble.NONSENSE, "cannot be read"),
    ("noise", EngineTrouble.NONSENSE, "cannot be read"),
    ("nested", EngineTrouble.NONSENSE, "cannot be read"),
    ("huge", EngineTrouble.NONSENSE, "4,294,967,295 bytes"),
    ("number", EngineTrouble.NONSENSE, "answers to question"),
    ("fewer", EngineTrouble.NONSENSE, "0 answers to question"),
    ("beyond", EngineTrouble.NONSENSE, "fired"),
    ("negative", EngineTrouble.NONSENSE, "fired"),
]


@pytest.mark.parametrize(("mode", "trouble", "why"), FAILURES, ids=[mode for mode, _, _ in FAILURES])
def test_each_way_to_fail_has_its_name_and_ends_the_process(
    begin: Begin, mode: str, trouble: EngineTrouble, why: str
) -> None:
    handle = begin(mode, 1, answer_s=1.0 if trouble is EngineTrouble.LATE else 20.0)
    handle.load()
    handle.ask([HIT])
    cpu = time.process_time()

    with pytest.raises(Failed, match=why) as caught:
        handle.ask([HIT])
    assert caught.value.trouble is trouble
    assert is_gone(handle.pid)
    assert time.process_time() - cpu < 5


def test_all_answers_together_have_to_come_in_time(begin: Begin) -> None:
    """Not each of them: a process that is only just in time with every one would hold up for ever."""
    handle = begin("slow", answer_s=1.0)
    handle.load()

    with pytest.raises(Failed, match="no answer"):
        handle.ask([HIT] * (CHUNK * 5))
    assert is_gone(handle.pid)


@pytest.mark.parametrize(
    ("mode", "why"), [("exit", "exit code 7"), ("starved", "exit code"), ("miscounted", "compiled")]
)
def test_one_that_cannot_take_its_program_has_failed(begin: Begin, mode: str, why: str) -> None:
    handle = begin(mode)

    with pytest.raises(Failed, match=why):
        handle.load()
    assert is_gone(handle.pid)


def test_one_that_never_gets_ready_is_late(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "COMPILE_S", 1.0)
    handle = begin("unready")

    with pytest.raises(Failed, match="no answer") as caught:
        handle.load()
    assert caught.value.trouble is EngineTrouble.LATE
    assert is_gone(handle.pid)


def test_a_program_that_does_not_fit_its_memory_has_failed() -> None:
    large = compile_rules(rules([Compare(f"data.f{n}", Op.GT, n) for n in range(500)]))
    handle = Handle(large, memory=16 * 1024 * 1024)

    with pytest.raises(Failed) as caught:
        handle.load()
    assert caught.value.trouble is EngineTrouble.DEATH
    assert is_gone(handle.pid)


def test_a_command_that_cannot_be_run_has_failed_and_leaves_no_socket() -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))

    with pytest.raises(Failed, match="cannot be started") as caught:
        Handle(PROGRAM, argv=["/nonexistent/python"])
    assert caught.value.trouble is EngineTrouble.DEATH
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_another_thread_may_end_it_while_it_is_asked(begin: Begin) -> None:
    handle = begin("silent")
    handle.load()
    ender = threading.Timer(0.2, handle.end)
    ender.start()

    with pytest.raises(Failed, match="SIGKILL"):
        handle.ask([HIT])
    ender.join()


def test_it_may_be_killed_twice_and_leaves_nothing(begin: Begin) -> None:
    handle = begin()
    handle.load()
    handle.kill()
    handle.kill()

    assert is_gone(handle.pid)
    with pytest.raises(Failed):
        handle.ask([HIT])


def test_it_is_in_a_session_of_its_own_and_knows_little_of_ours(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOLDFAST_SECRET_THING", "x")
    handle = begin()
    handle.load()
    environ = Path(f"/proc/{handle.pid}/environ").read_bytes()

    assert os.getsid(handle.pid) == handle.pid
    assert b"HOLDFAST_SECRET_THING" not in environ
    assert os.readlink(f"/proc/{handle.pid}/cwd") == "/"  # noqa: PTH115
    sockets = [fd for fd in Path(f"/proc/{handle.pid}/fd").iterdir() if "socket" in os.readlink(fd)]  # noqa: PTH115
    assert len(sockets) == 2, "its end of our socket, twice, and no other socket of ours"


def test_a_signal_to_our_terminal_does_not_reach_it(begin: Begin) -> None:
    handle = begin()
    handle.load()

    assert os.getpgid(handle.pid) != os.getpgid(0)
    assert handle.ask([HIT])


def test_rules_can_be_tried_out_on_a_process_that_is_ended_again(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[Handle] = []

    def start(program: Program) -> Handle:
        begun.append(Handle(program))
        return begun[-1]

    monkeypatch.setattr(module, "started", start)
    module.try_out(rules([Compare("data.a", Op.GT, 5)]))

    assert begun[0].facts > 0
    assert is_gone(begun[0].pid)


def test_without_durable_rules_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert missing() is None
    monkeypatch.setattr(module, "find_spec", lambda _: None)

    with pytest.raises(Unavailable, match="apt-get install gcc python3-dev"):
        started(PROGRAM)
