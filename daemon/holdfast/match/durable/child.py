"""The engine process: durable_rules, one thread, and nothing else. `python -m holdfast.match.durable.child`.

It is meant to be killed. It has a bound on its memory, ends when the daemon's side of the socket closes, and
ends itself when one answer takes too long, even where the C code holds everything else up.
"""

from __future__ import annotations

import os
import resource
import signal
import socket
import sys
from typing import Final

import durable_rules_engine as core
from durable.engine import Host, Ruleset

from holdfast.errors import EngineError
from holdfast.match.durable.wire import Ask, Fired, Load, Reader, Ready, send

#: Exit codes, for whoever reads the journal of a bad night.
GONE: Final = 0
BROKEN: Final = 3

_NOT_HANDLED: Final = 1


class _QuietHost(Host):  # type: ignore[misc]
    """Without the two threads that a Host starts for timers."""

    def _run(self) -> None:
        """Nothing runs beside the answers."""


def compiled(rulesets: list[list[tuple[str, dict[str, object]]]]) -> list[Ruleset]:
    """The rulesets, each under its place as its name."""

    def fired(context: object) -> None:
        """Never called: which rules fire is read from the agenda itself."""

    definitions = {
        str(place): {name: {"all": [{"m": condition}], "pri": 1, "run": fired} for name, condition in rules}
        for place, rules in enumerate(rulesets)
    }
    host = _QuietHost(definitions)
    return [host.get_ruleset(name) for name in definitions]


def fired(handle: object, text: str) -> list[int]:
    """The places of the rules that a fact fires. The fact is taken back, whatever happens.

    Raises EngineError for a fact that the engine refuses, as where one of the same id was left behind.
    """
    found: list[int] = []
    code, state = core.assert_fact(handle, text)
    try:
        if code == 0:
            started = core.start_action_for_state(handle, state)
            message = started[1] if started else None
            while message:
                found.append(int(message[2 : message.index('"', 2)]))
                message = core.complete_and_start_action(handle, state)
        elif code != _NOT_HANDLED:
            raise EngineError(f"durable_rules answers {code}")
    finally:
        core.retract_fact(handle, text)
    return found


def serve(sock: socket.socket) -> int:
    """Answer until the daemon closes; the exit code."""
    reader = Reader(sock)
    load = reader.read(Load)
    if load is None:
        return GONE
    resource.setrlimit(resource.RLIMIT_AS, (load.memory, load.memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # SIGALRM without a handler ends the process, also while C code loops and no Python runs any more
    signal.alarm(load.seconds)
    handles = [ruleset._handle for ruleset in compiled(load.rulesets)]  # noqa: SLF001 - the core takes it
    signal.alarm(0)
    send(sock, Ready(sum(map(len, load.rulesets))))
    while (ask := reader.read(Ask)) is not None:
        signal.alarm(load.seconds)
        found = [fired(handles[place], text) for place, text in ask.facts]
        send(sock, Fired(ask.number, found, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss))
        signal.alarm(0)
    return GONE


def main() -> None:
    """Run as a process of its own, on the socket that is its standard input."""
    sock = socket.socket(fileno=os.dup(sys.stdin.fileno()))
    try:
        code = serve(sock)
    except (EngineError, OSError):
        code = BROKEN
    os._exit(code)  # what the C code would do while the interpreter is taken apart is nobody's business


if __name__ == "__main__":
    main()
