"""Whatever the engine process does in mid-stream, every event has its one answer, in order and at once.

The processes are real: durable_rules itself, or `double.py`, which is durable_rules up to the answer from
which on it misbehaves. Each test streams events through the engine and holds every answer against native.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cases
import pytest

from holdfast.match.durable import keeper as keeping
from holdfast.match.durable.engine import DurableEngine
from holdfast.match.durable.handle import ARGV, Failed, Handle
from holdfast.match.durable.keeper import FAILURES
from holdfast.match.durable.program import Program
from holdfast.match.native import NativeEngine
from holdfast.model.conditions import AllOf, AnyOf, Compare, Not, Op
from holdfast.model.events import EngineMode, EngineNews, EngineTrouble, Event
from holdfast.model.values import Severity

DOUBLE = Path(cases.__file__).with_name("double.py")
PATIENCE = 60.0
BATCH = 50
#: No answer may take longer, in seconds. What is asked for is one second; the machine may be busy.
GENEROUS = 15.0

RULES = cases.rules(
    [
        Compare("data.n", Op.GT, 500),
        AllOf((Compare("data.n", Op.LT, 700), Compare("data.word", Op.IN, ("even", "odd")))),
        AnyOf((Compare("data.word", Op.EQ, "odd"), Compare("data.word", Op.STARTSWITH, "poi"))),
        Not(Compare("data.missing", Op.EXISTS, True)),
        Compare("data.word", Op.REGEX, "^e"),
        Compare("severity", Op.GTE, "error"),
        Compare("data.missing", Op.EQ, 1),
    ]
)
NATIVE = NativeEngine(RULES)


def events(begin: int, count: int = BATCH, word: str = "") -> list[Event]:
    return [
        cases.event(
            {"n": n % 1000, "word": word or ("odd" if n % 2 else "even")},
            number=n,
            severity=list(Severity)[n % 4],
        )
        for n in range(begin, begin + count)
    ]


class Stream:
    """An engine whose processes are what `modes` says one after the other, the last for ever."""

    def __init__(self, *modes: str, answer_s: float = 0.4) -> None:
        self.modes = list(modes)
        self.answer_s = answer_s
        self.pids: list[int] = []
        self.news: list[EngineNews] = []
        self.longest = 0.0
        self.sent = 0
        self.engine = DurableEngine(RULES, self.report, start=self.start)

    def report(self, news: EngineNews) -> bool:
        self.news.append(news)
        return True

    def start(self, program: Program, /) -> Handle:
        mode = self.modes.pop(0) if len(self.modes) > 1 else self.modes[0]
        name, _, after = mode.partition(":")
        argv = ARGV if mode == "well" else [sys.executable, "-P", str(DOUBLE), name, after or "0"]
        handle = Handle(program, argv=argv, answer_s=self.answer_s)
        self.pids.append(handle.pid)
        return handle

    def pass_on(self, batch: Sequence[Event] | None = None) -> None:
        """One batch: every event has exactly the answer that native gives, in order."""
        given = events(self.sent) if batch is None else batch
        begun = time.monotonic()
        found = self.engine.match(given)
        self.longest = max(self.longest, time.monotonic() - begun)
        self.sent += len(given)
        assert found == [NATIVE.match_one(event) for event in given]

    def until(self, done: Callable[[], object], batch: Sequence[Event] | None = None) -> None:
        """Stream until something has happened."""
        deadline = time.monotonic() + PATIENCE
        while not done():
            self.pass_on(batch)
            assert time.monotonic() < deadline, self.news

    def told(self) -> list[tuple[EngineMode, EngineTrouble | None]]:
        return [(one.mode, one.trouble) for one in self.news]

    def is_through_it(self) -> bool:
        """Whether the engine goes on after having asked at least one more event."""
        figures = self.engine.figures()
        return figures.mode is EngineMode.DURABLE and figures.asked > self.asked

    def note(self) -> None:
        self.asked = self.engine.figures().asked


@pytest.fixture
def begin(
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, object], None],
    request: pytest.FixtureRequest,
) -> Iterator[Callable[..., Stream]]:
    monkeypatch.setattr(keeping, "PAUSE_S", 0.001)
    begun: list[Stream] = []

    def make(*modes: str, answer_s: float = 0.4) -> Stream:
        stream = Stream(*modes, answer_s=answer_s)
        begun.append(stream)
        stream.engine.start(PATIENCE)
        stream.engine.announce()
        return stream

    yield make
    for stream in begun:
        stream.engine.close()
        assert [pid for pid in stream.pids if alive(pid)] == []
        assert stream.longest < GENEROUS
        told = f"{request.node.name}: {stream.sent:,} events, the longest match took {stream.longest:.3f} s"
        record_property("proof", told)
    assert not [thread for thread in threading.enumerate() if thread.name == "engine"]


def alive(pid: int) -> bool:
    with contextlib.suppress(FileNotFoundError):
        status = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
        return status.rpartition(")")[2].split()[0] != "Z"
    return False


def until_gone(pid: int, seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while alive(pid):
        assert time.monotonic() < deadline, f"{pid} still runs"
        pause.wait(0.01)


@pytest.mark.parametrize(
    ("number", "trouble"), [(signal.SIGKILL, EngineTrouble.DEATH), (signal.SIGSTOP, EngineTrouble.LATE)]
)
def test_a_signal_from_outside_costs_no_event(
    begin: Callable[..., Stream], number: signal.Signals, trouble: EngineTrouble
) -> None:
    stream = begin("well")
    for _ in range(10):
        stream.pass_on()
    os.kill(stream.engine.figures().pid, number)
    stream.note()
    stream.until(lambda: (EngineMode.RECOVERING, trouble) in stream.told())
    stream.until(stream.is_through_it)

    assert stream.told()[1:] == [(EngineMode.RECOVERING, trouble), (EngineMode.DURABLE, None)]
    assert len(set(stream.pids)) == 2
    assert stream.engine.figures().differences == 0


def test_a_kill_while_it_is_asked_costs_no_event(begin: Callable[..., Stream]) -> None:
    """The signal comes from another thread, wherever the question is."""
    stream = begin("well")
    struck = threading.Event()

    def strike() -> None:
        for _ in range(3):
            struck.wait(0.15)
            pid = stream.engine.figures().pid
            if pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    striker = threading.Thread(target=strike)
    striker.start()
    stream.until(lambda: not striker.is_alive())
    stream.note()
    stream.until(stream.is_through_it)

    assert stream.engine.figures().deaths >= 1


def test_memory_that_is_taken_away_costs_no_event(begin: Callable[..., Stream]) -> None:
    stream = begin("well")
    for _ in range(5):
        stream.pass_on()
    pid = stream.engine.figures().pid
    stream.note()
    resource.prlimit(pid, resource.RLIMIT_AS, (1024 * 1024, 1024 * 1024))
    long = [
        cases.event({"n": n, "word": "é" * 2000}, number=n, severity=Severity.ERROR) for n in range(BATCH)
    ]
    stream.until(lambda: not alive(pid), long)
    stream.until(stream.is_through_it)

    assert (EngineMode.RECOVERING, EngineTrouble.DEATH) in stream.told()


@pytest.mark.parametrize(
    ("mode", "trouble"),
    [
        ("die", EngineTrouble.DEATH),
        ("truncated", EngineTrouble.DEATH),
        ("stop", EngineTrouble.LATE),
        ("silent", EngineTrouble.LATE),
        ("promised", EngineTrouble.LATE),
        ("trickle", EngineTrouble.LATE),
        ("garbage", EngineTrouble.NONSENSE),
        ("noise", EngineTrouble.NONSENSE),
        ("nested", EngineTrouble.NONSENSE),
        ("huge", EngineTrouble.NONSENSE),
        ("number", EngineTrouble.NONSENSE),
        ("fewer", EngineTrouble.NONSENSE),
        ("beyond", EngineTrouble.NONSENSE),
        ("negative", EngineTrouble.NONSENSE),
    ],
)
def test_each_misbehaviour_costs_no_event_and_the_next_process_goes_on(
    begin: Callable[..., Stream], mode: str, trouble: EngineTrouble
) -> None:
    stream = begin(f"{mode}:4", "well")
    stream.until(lambda: (EngineMode.RECOVERING, trouble) in stream.told())
    stream.note()
    stream.until(stream.is_through_it)

    assert stream.told() == [
        (EngineMode.DURABLE, None),
        (EngineMode.RECOVERING, trouble),
        (EngineMode.DURABLE, None),
    ]
    assert stream.engine.figures().differences == 0
    assert not alive(stream.pids[0])


@pytest.mark.parametrize("mode", ["nothing", "everything"])
def test_a_process_that_lies_is_found_out_and_given_up(begin: Callable[..., Stream], mode: str) -> None:
    stream = begin(f"{mode}:3", "well")
    stream.until(lambda: stream.news[-1].mode is EngineMode.NATIVE)
    for _ in range(5):
        stream.pass_on()

    assert stream.told()[-1] == (EngineMode.NATIVE, EngineTrouble.DIFFERENCE)
    assert len(stream.pids) == 1
    assert not alive(stream.pids[0])


def test_one_that_never_gets_ready_holds_nobody_up(
    begin: Callable[..., Stream], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("holdfast.match.durable.handle.COMPILE_S", 0.5)
    stream = begin("unready", "unready", "well")
    stream.note()
    stream.until(stream.is_through_it)

    assert stream.engine.figures().late == 2


def test_one_that_fails_its_smoke_facts_is_never_used(begin: Callable[..., Stream]) -> None:
    stream = begin("nothing", "everything", "well")
    stream.note()
    stream.until(stream.is_through_it)

    assert stream.engine.figures().nonsense == 2
    assert stream.told() == [(EngineMode.DURABLE, None)]


def test_a_poison_fact_is_matched_natively_ever_after_and_others_are_not(
    begin: Callable[..., Stream],
) -> None:
    stream = begin("poison", answer_s=10.0)
    stream.pass_on()
    poison = events(3, 1, "poison")
    stream.pass_on([*events(0, 20), *poison, *events(20, 20)])
    stream.note()
    stream.until(stream.is_through_it)
    before = stream.engine.figures()
    for _ in range(5):
        stream.pass_on([*events(0, 20), *poison, *events(20, 20)])
    after = stream.engine.figures()

    assert (before.quarantined, before.deaths, after.deaths) == (1, 2, 2)
    assert (after.native - before.native, after.asked - before.asked) == (5, 200)
    assert stream.told()[1:] == [
        (EngineMode.RECOVERING, EngineTrouble.DEATH),
        (EngineMode.RECOVERING, EngineTrouble.QUARANTINE),
        (EngineMode.DURABLE, None),
    ]


def test_one_failure_too_many_and_native_matches_for_good(begin: Callable[..., Stream]) -> None:
    stream = begin("die:2", answer_s=10.0)
    stream.until(lambda: stream.news and stream.news[-1].mode is EngineMode.NATIVE)
    started = len(stream.pids)
    for _ in range(20):
        stream.pass_on()

    assert stream.engine.figures().deaths == FAILURES + 1
    assert len(stream.pids) == started
    assert stream.told()[-1] == (EngineMode.NATIVE, EngineTrouble.DEATH)


def test_a_process_is_replaced_in_mid_stream_without_a_gap(
    begin: Callable[..., Stream], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "FACTS", 300)
    stream = begin("well", answer_s=10.0)
    stream.until(lambda: len(stream.pids) > 3)

    assert stream.engine.figures().native == 0, "the old one answers until the new one is there"
    assert stream.told() == [(EngineMode.DURABLE, None)]


@pytest.mark.parametrize("modes", [["unready"], ["die:3", "unready"], ["stop:3"]], ids=" ".join)
def test_closing_at_a_bad_moment_leaves_no_process_and_no_thread(
    begin: Callable[..., Stream], modes: list[str]
) -> None:
    stream = Stream(*modes, answer_s=10.0)
    starter = threading.Thread(target=stream.engine.start, args=(PATIENCE,))
    starter.start()
    if len(modes) > 1:
        starter.join()
        stream.until(lambda: stream.engine.figures().deaths)
    else:
        pause = threading.Event()
        deadline = time.monotonic() + PATIENCE
        while not stream.pids:
            assert time.monotonic() < deadline
            pause.wait(0.005)
    begun = time.monotonic()
    stream.engine.close()
    took = time.monotonic() - begun
    starter.join(PATIENCE)

    assert took < GENEROUS / 3
    assert not starter.is_alive()
    assert [pid for pid in stream.pids if alive(pid)] == []
    assert not [thread for thread in threading.enumerate() if thread.name == "engine"]


PARENT = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever started the tests may ignore it
sys.path.append(sys.argv[1])
import threading
import cases
from holdfast.match.durable.engine import DurableEngine
from holdfast.model.conditions import Compare, Op
engine = DurableEngine(cases.rules([Compare("data.n", Op.GT, 5)]), lambda news: True)
engine.start(60)
engine.match([cases.event({"n": 9})])
print(engine.figures().pid, flush=True)
threading.Event().wait(60)
"""


@pytest.fixture
def parent() -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A process that stands for the daemon, with an engine process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(DOUBLE.parent)],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    child = int(process.stdout.readline())
    yield process, child
    process.kill()
    process.wait()
    process.stdout.close()


def test_an_orphan_ends_by_itself(parent: tuple[subprocess.Popen[str], int]) -> None:
    process, child = parent
    assert alive(child)

    process.kill()
    process.wait()

    until_gone(child)


def test_a_signal_to_the_terminal_of_the_daemon_does_not_hit_it(
    parent: tuple[subprocess.Popen[str], int],
) -> None:
    process, child = parent
    os.killpg(process.pid, signal.SIGINT)
    process.wait(PATIENCE)
    # it was not hit itself: it ends because nobody is there any more, and says so by its exit code
    until_gone(child)

    assert os.getpgid(os.getpid()) != child


def test_an_orphan_whose_c_code_loops_ends_itself_by_the_alarm(tmp_path: Path) -> None:
    """512 conditions beside each other: durable_rules never comes back, and no Python runs any more."""
    script = """
import socket, subprocess, sys
from holdfast.match.durable.handle import ARGV
from holdfast.match.durable.wire import Load, Reader, Ready, send, Ask
ours, theirs = socket.socketpair()
process = subprocess.Popen(ARGV, stdin=theirs.fileno())
send(ours, Load([[(str(n), {f"n{n}": 1}) for n in range(512)]], 768 * 2**20, 1))
reader = Reader(ours)
reader.read(Ready)
send(ours, Ask(1, [(0, '{"id":"1","k":"x"}')]))
print(process.pid, flush=True)
import os, signal
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == -signal.SIGKILL, done.stderr

    until_gone(int(done.stdout))


def test_a_process_that_ends_between_two_questions_is_noticed_with_the_next(
    begin: Callable[..., Stream],
) -> None:
    stream = begin("well")
    stream.pass_on()
    pid = stream.engine.figures().pid
    os.kill(pid, signal.SIGKILL)
    until_gone(pid)
    stream.note()
    stream.pass_on()
    stream.until(stream.is_through_it)

    assert stream.engine.figures().deaths == 1


def test_no_descriptor_is_left_after_many_deaths(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "PAUSE_S", 0.0)
    monkeypatch.setattr(keeping, "FAILURE_SPAN_S", 0.0)
    before = len(list(Path("/proc/self/fd").iterdir()))
    program = DurableEngine(RULES, bool)
    for _ in range(20):
        with pytest.raises(Failed):
            Handle(program._keeper._program, argv=["/bin/false"]).load()

    assert len(list(Path("/proc/self/fd").iterdir())) == before
