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
#: Seconds from a question to its answer; then the process is ended.
ANSWER_S: Final = 0.4
#: An orphan whose C code loops ends itself after so many seconds.
ORPHAN_S: Final = 20
#: A process whose socket has closed is given so long to say why it ended.
_LAST_BREATH_S: Final = 0.1
#: Facts in one question, and questions that are on their way at once.
CHUNK: Final = 256
AHEAD: Final = 2


class Failed(EngineError):
    """The process failed, and was ended."""

    def __init__(self, trouble: EngineTrouble, message: str) -> None:
        self.trouble = trouble
        super().__init__(message)


def missing() -> str | None:
    """Why no engine process can be started on this machine, or None."""
    if find_spec("durable_rules_engine") is None:
        return "durable-rules is not installed: it is built from source (apt-get install gcc python3-dev)"
    return None


def started(program: Program) -> Handle:
    """A process with a program. Raises Failed."""
    lacking = missing()
    if lacking is not None:
        raise Failed(EngineTrouble.DEATH, lacking)
    return Handle(program)


def try_out(rules: Iterable[Rule]) -> None:
    """Start a process with these rules, show it its smoke facts, and end it. Raises Failed."""
    handle = started(compile_rules(rules))
    try:
        handle.smoke()
    finally:
        handle.kill()


class Handle:
    """One engine process with a program. Raises Failed where it does not start; it is ended then."""

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
        self._number = 0
        self.peak = 0
        self.facts = 0
        ours, theirs = socket.socketpair()
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
        self._sock = ours
        self._reader = Reader(ours)
        try:
            self._load(memory)
        except BaseException:
            self.kill()
            raise

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def ask(self, asked: Sequence[Asked]) -> list[list[int]]:
        """The places of the rules that each fact fires in its ruleset.

        Raises Failed when the process dies, is late or answers nonsense; it is ended then.
        """
        chunks = [asked[at : at + CHUNK] for at in range(0, len(asked), CHUNK)]
        answers: list[list[int]] = []
        with self._failing():
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
        answers = self.ask([Asked.about(ruleset, fact) for ruleset, fact, _ in facts])
        for (ruleset, fact, expected), fired in zip(facts, answers, strict=True):
            if frozenset(fired) != expected:
                self.kill()
                raise Failed(
                    EngineTrouble.NONSENSE,
                    f"ruleset {ruleset} fires {sorted(fired)} instead of {sorted(expected)} for {fact}",
                )

    def kill(self) -> None:
        """End the process now."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGKILL)
        self._sock.close()
        self._process.wait()

    def _load(self, memory: int) -> None:
        with self._failing():
            self._sock.settimeout(COMPILE_S)
            self._reader.until = time.monotonic() + COMPILE_S
            send(self._sock, Load([list(rules) for rules in self.program.rulesets], memory, ORPHAN_S))
            ready = self._reader.read(Ready)
            if ready is None:
                raise self._death()
            if ready.rules != sum(map(len, self.program.rulesets)):
                raise EngineError(f"{ready.rules} rules were compiled")

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        begun = time.monotonic()
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
        self._sock.settimeout(self._answer_s)
        send(self._sock, Ask(self._number, [(one.ruleset, one.text) for one in chunk]))

    def _receive(self, chunk: Sequence[Asked], behind: int) -> list[list[int]]:
        """The answer to a chunk, `behind` questions before the newest one."""
        self._reader.until = time.monotonic() + self._answer_s
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
