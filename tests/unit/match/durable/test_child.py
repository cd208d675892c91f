from __future__ import annotations

import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import durable_rules_engine as core
import msgspec
import pytest
from cases import CONDITIONS, PLAINS, facts_of, fired, rules
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.errors import EngineError
from holdfast.match.durable import child
from holdfast.match.durable.facts import Asked, Projection
from holdfast.match.durable.handle import ARGV
from holdfast.match.durable.program import TYPE, compile_rules
from holdfast.match.durable.wire import Ask, Fired, Load, Reader, Ready, send
from holdfast.match.native import NativeEngine
from holdfast.model.conditions import Condition

MEMORY = 768 * 1024 * 1024
Rulesets = list[list[tuple[str, dict[str, object]]]]
Begun = tuple[socket.socket, subprocess.Popen[bytes]]


@pytest.fixture
def begin() -> Iterator[Callable[[], Begun]]:
    """Starts the program as the daemon does."""
    begun: list[Begun] = []

    def start() -> Begun:
        ours, theirs = socket.socketpair()
        with theirs:
            process = subprocess.Popen(ARGV, stdin=theirs, stdout=subprocess.DEVNULL)
        begun.append((ours, process))
        return ours, process

    yield start
    for sock, process in begun:
        sock.close()
        process.kill()
        process.wait()


RULES: Rulesets = [
    [
        ("0", {"$and": [{TYPE: "lab.x"}, {"$gt": {"n0": 5}}]}),
        ("1", {"$and": [{TYPE: "lab.x"}, {"$nex": {"x0": 1}}]}),
    ]
]


def text(**shown: Any) -> str:
    return Asked.about(0, {TYPE: "lab.x", **shown}).text


def test_every_rule_that_a_fact_satisfies_fires_and_nothing_stays_behind() -> None:
    [ruleset] = child.compiled([RULES[0]])

    for _ in range(3):
        assert sorted(child.fired(ruleset._handle, text(n0=6))) == [0, 1]
        assert child.fired(ruleset._handle, text(n0=6, x0=1)) == [0]
        assert child.fired(ruleset._handle, text(n0=5, x0=1)) == []
        assert ruleset.get_facts("0") == []


def test_a_fact_that_was_left_behind_is_an_error() -> None:
    [ruleset] = child.compiled([RULES[0]])
    core.assert_fact(ruleset._handle, text(n0=6))

    with pytest.raises(EngineError, match="durable_rules answers 2"):
        child.fired(ruleset._handle, text(n0=7))


def test_a_fact_that_cannot_be_read_raises_and_leaves_nothing_behind() -> None:
    [ruleset] = child.compiled([RULES[0]])

    with pytest.raises(Exception, match="error code"):
        child.fired(ruleset._handle, '{"id":"1","k":"lab.x","n0":1e-07}')
    assert child.fired(ruleset._handle, text(n0=6, x0=1)) == [0]


@given(st.lists(CONDITIONS, min_size=1, max_size=6), st.lists(facts_of(PLAINS), max_size=8))
@settings(max_examples=50)
def test_durable_rules_fires_what_the_tests_mean(
    conditions: list[Condition], facts: list[dict[str, Any]]
) -> None:
    made = rules(conditions)
    program, native = compile_rules(made), NativeEngine(made)
    rulesets = child.compiled([list(ruleset) for ruleset in program.rulesets])

    for unit in program.units:
        for fact in facts:
            asked = Projection(unit, native.test).ask(fact)
            found = child.fired(rulesets[asked.ruleset]._handle, asked.text)
            assert len(found) == len(set(found))
            assert set(found) == fired(program, asked.ruleset, msgspec.json.decode(asked.text))


def test_a_full_ruleset_of_which_every_rule_fires_at_once_does() -> None:
    """48 paths at once; with 65 durable_rules would answer with an error."""
    lines = [
        (str(n), {"$and": [{TYPE: "lab.x"}, *({"$lt": {f"n{i}": 100 + n}} for i in range(16))]})
        for n in range(48)
    ]
    [ruleset] = child.compiled([lines])

    assert sorted(child.fired(ruleset._handle, text(**{f"n{i}": 1 for i in range(16)}))) == list(range(48))


def test_the_largest_fact_that_can_be_shown_is_read() -> None:
    shown = {f"{letter}{n}": "é" * 2048 if letter == "s" else 1 for letter in "sxnb" for n in range(39)}
    [ruleset] = child.compiled([RULES[0]])

    assert child.fired(ruleset._handle, text(**{**shown, "n0": 6})) == [0]


def test_the_process_answers_until_its_socket_closes(begin: Callable[[], Begun]) -> None:
    sock, process = begin()
    reader = Reader(sock)
    sock.settimeout(30)
    send(sock, Load(RULES, MEMORY, 20))
    assert reader.read(Ready) == Ready(2)

    send(sock, Ask(7, [(0, text(n0=6)), (0, text(n0=1, x0=1))]))
    answer = reader.read(Fired)
    sock.close()

    assert answer is not None
    assert (answer.number, [sorted(one) for one in answer.fired]) == (7, [[0, 1], []])
    assert answer.peak > 5_000
    assert process.wait(10) == child.GONE


def test_one_that_is_never_asked_ends_as_well(begin: Callable[[], Begun]) -> None:
    sock, process = begin()
    sock.close()

    assert process.wait(10) == child.GONE


def test_the_bound_on_its_memory_is_kept(begin: Callable[[], Begun]) -> None:
    sock, process = begin()
    sock.settimeout(30)
    send(sock, Load(RULES, MEMORY, 20))
    Reader(sock).read(Ready)

    assert resource.prlimit(process.pid, resource.RLIMIT_AS) == (MEMORY, MEMORY)
    assert resource.prlimit(process.pid, resource.RLIMIT_CORE) == (0, 0)


@pytest.mark.parametrize("ask", [(0, "{"), (5, text()), (-9, text()), (0, '{"id":"1","n0":1e400}')], ids=str)
def test_a_question_that_makes_no_sense_ends_it(begin: Callable[[], Begun], ask: tuple[int, str]) -> None:
    sock, process = begin()
    sock.settimeout(30)
    send(sock, Load(RULES, MEMORY, 20))
    reader = Reader(sock)
    reader.read(Ready)
    send(sock, Ask(1, [ask]))

    assert reader.read(Fired) is None
    assert process.wait(10) != 0


def test_a_frame_that_cannot_be_read_ends_it(begin: Callable[[], Begun]) -> None:
    sock, process = begin()
    sock.sendall(b"\x00\x00\x00\x01\xc1")

    assert process.wait(10) == child.BROKEN


@pytest.mark.parametrize("siblings", [512, 600])
def test_a_livelock_in_the_c_code_ends_by_the_alarm(begin: Callable[[], Begun], siblings: int) -> None:
    """With so many conditions beside each other durable_rules loops for ever, asked or compiling."""
    sock, process = begin()
    sock.settimeout(30)
    send(sock, Load([[(str(n), {f"n{n}": 1}) for n in range(siblings)]], MEMORY, 1))
    reader = Reader(sock)
    if reader.read(Ready) is not None:
        send(sock, Ask(1, [(0, text())]))
        assert reader.read(Fired) is None

    assert process.wait(20) == -signal.SIGALRM


def test_it_starts_quickly_enough_to_be_replaced_often(
    begin: Callable[[], Begun], record_property: Callable[[str, object], None]
) -> None:
    begun = time.monotonic()
    sock, process = begin()
    sock.settimeout(30)
    send(sock, Load(RULES, MEMORY, 20))
    Reader(sock).read(Ready)
    took = time.monotonic() - begun
    with open(f"/proc/{process.pid}/status") as status:  # noqa: PTH123
        threads = next(line for line in status if line.startswith("Threads:"))
    record_property("proof", f"engine process ready after {took:.2f} s")

    assert took < 20
    assert threads.split() == ["Threads:", "1"]
    assert sys.executable in ARGV
