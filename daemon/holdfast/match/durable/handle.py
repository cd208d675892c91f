"""The daemon's hold on one engine process: start it, ask it in time, end it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from importlib.util import find_spec
from typing import Final

from holdfast.errors import EngineError
from holdfast.match.durable.facts import Asked
from holdfast.match.durable.program import Program, compile_rules
from holdfast.match.durable.wire import Ask, Fired, Load, Reader, Ready, send
from holdfast.model.events import EngineTrouble
from holdfast.model.rules import Rule

ARGV: Final = (sys.executable, "-P", "-m", "holdfast.match.durable.child")
#: What the child may know of our environment.
_PASSED_ON: Final = ("PATH", "PYTHONPATH", "LANG", "LC_ALL")
#: Bytes of address space; a megabyte or so is used for each ruleset.
MEMORY: Final = 768 * 1024 * 1024
#: Seconds that a process may take to compile its rules.
COMPILE_S: Final = 10.0
#: Seconds from the first of some facts that are asked about together to the last answer.
ANSWER_S: Final = 0.4
#: An orphan whose C code loops ends itself after so many seconds.
ORPHAN_S: Final = 20
#: A process whose socket has closed is given so long to say why it ended.
_LAST_BREATH_S: Final = 0.1
#: Facts and characters in one question, and questions that are on their way at once.
CHUNK: Final = 256
CHUNK_TEXT: Final = 1024 * 1024
AHEAD: Final = 2


class Failed(EngineError):
    """The process failed, and was ended."""

    def __init__(self, trouble: EngineTrouble, message: str) -> None:
        self.trouble = trouble
        super().__init__(message)


class Unavailable(Failed):
    """No process can be started on this machine: to try again would not help."""


def missing() -> str | None:
    """Why no engine process can be started on this machine, or None."""
    if find_spec("durable_rules_engine") is None:
        return "durable-rules is not installed: it is built from source (apt-get install gcc python3-dev)"
    return None


def started(program: Program) -> Handle:
    """A process for a program. Raises Failed."""
    lacking = missing()
    if lacking is not None:
        raise Unavailable(EngineTrouble.DEATH, lacking)
    return Handle(program)


def try_out(rules: Iterable[Rule]) -> None:
    """Start a process with these rules, show it its smoke facts, and end it. Raises Failed."""
    handle = started(compile_rules(rules))
    try:
        handle.load()
        handle.smoke()
    finally:
        handle.kill()


class Handle:
    """One engine process for a program, which it is given by `load`. Raises Failed where it does not start.

    All but `end` is for one thread at a time.
    """

    def __init__(
        self,
        program: Program,
        *,
        argv: Sequence[str] = ARGV,
        memory: int = MEMORY,
        answer_s: float = ANSWER_S,
    ) -> None:
        self.program = program
        self._answer_s = answer_s
        self._memory = memory
        self._number = 0
        self._until = 0.0
        self.peak = 0
        self.facts = 0
        #: The peak when it had passed its smoke facts: what the program itself takes.
        self.base = 0
        self._sock, theirs = socket.socketpair()
        self._reader = Reader(self._sock)
        try:
            with theirs:
                self._process = subprocess.Popen(
                    argv,
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,  # what it would say could hold what an event holds
                    env={name: os.environ[name] for name in _PASSED_ON if name in os.environ},
                    cwd="/",
                    start_new_session=True,  # Ctrl-C in the daemon's terminal is not for it
                )
        except OSError as error:
            self._sock.close()
            raise Failed(EngineTrouble.DEATH, f"it cannot be started: {error}") from error

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def load(self) -> None:
        """Give it its program. Raises Failed where that takes too long or does not work; it is ended then."""
        with self._failing(COMPILE_S):
            self._sock.settimeout(COMPILE_S)
            send(self._sock, Load([list(rules) for rules in self.program.rulesets], self._memory, ORPHAN_S))
            ready = self._reader.read(Ready)
            if ready is None:
                raise self._death()
            if ready.rules != sum(map(len, self.program.rulesets)):
                raise EngineError(f"{ready.rules} rules were compiled")

    def ask(self, asked: Sequence[Asked], seconds: float | None = None) -> list[list[int]]:
        """The places of the rules that each fact fires in its ruleset; all together in so many seconds.

        Raises Failed when the process dies, is late or answers nonsense; it is ended then.
        """
        chunks = list(_chunks(asked))
        answers: list[list[int]] = []
        with self._failing(self._answer_s if seconds is None else seconds):
            for place, chunk in enumerate(chunks):
                self._send(chunk)
                if place + 1 >= AHEAD:
                    answers += self._receive(chunks[place + 1 - AHEAD], AHEAD - 1)
            for behind in range(min(AHEAD - 1, len(chunks)), 0, -1):
                answers += self._receive(chunks[-behind], behind - 1)
        self.facts += len(asked)
        return answers

    def smoke(self) -> None:
        """Ask about facts whose answers are known. Raises Failed where one is another."""
        facts = self.program.smoke
        answers = self.ask([Asked.about(ruleset, fact) for ruleset, fact, _ in facts], COMPILE_S)
        for (ruleset, fact, expected), fired in zip(facts, answers, strict=True):
            if frozenset(fired) != expected:
                self.kill()
                raise Failed(
                    EngineTrouble.NONSENSE,
                    f"ruleset {ruleset} fires {sorted(fired)} instead of {sorted(expected)} for {fact}",
                )
        self.base = self.peak

    def end(self) -> None:
        """Have the process end; for every thread. Whoever waits for it sees it die."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGKILL)

    def kill(self) -> None:
        """End the process now."""
        self.end()
        self._process.wait()
        self._sock.close()

    @contextlib.contextmanager
    def _failing(self, seconds: float) -> Iterator[None]:
        begun = time.monotonic()
        self._until = self._reader.until = begun + seconds
        try:
            yield
        except Failed:
            self.kill()
            raise
        except TimeoutError as error:
            self.kill()
            waited = time.monotonic() - begun
            raise Failed(EngineTrouble.LATE, f"no answer in {waited:.1f} s") from error
        except OSError as error:
            raise self._death() from error
        except EngineError as error:
            self.kill()
            raise Failed(EngineTrouble.NONSENSE, str(error)) from error

    def _death(self) -> Failed:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_LAST_BREATH_S)
        self.kill()
        code = self._process.returncode
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return Failed(EngineTrouble.DEATH, f"it ended by itself: {how}")

    def _send(self, chunk: Sequence[Asked]) -> None:
        self._number += 1
        self._sock.settimeout(max(0.001, self._until - time.monotonic()))
        send(self._sock, Ask(self._number, [(one.ruleset, one.text) for one in chunk]))

    def _receive(self, chunk: Sequence[Asked], behind: int) -> list[list[int]]:
        """The answer to a chunk, `behind` questions before the newest one."""
        answer = self._reader.read(Fired)
        if answer is None:
            raise self._death()
        wanted = self._number - behind
        if answer.number != wanted or len(answer.fired) != len(chunk):
            raise EngineError(f"{len(answer.fired)} answers to question {answer.number} came for {wanted}")
        for one, fired in zip(chunk, answer.fired, strict=True):
            rules = len(self.program.answers[one.ruleset])
            if fired and not 0 <= min(fired) <= max(fired) < rules:
                raise EngineError(f"rules {fired} of {rules} fired")
        self.peak = answer.peak
        return answer.fired


def _chunks(asked: Sequence[Asked]) -> Iterator[Sequence[Asked]]:
    """Questions of a bounded number of facts and of characters."""
    begin = text = 0
    for at, one in enumerate(asked):
        if at - begin == CHUNK or (text + len(one.text) > CHUNK_TEXT and at > begin):
            yield asked[begin:at]
            begin, text = at, 0
        text += len(one.text)
    if begin < len(asked):
        yield asked[begin:]
