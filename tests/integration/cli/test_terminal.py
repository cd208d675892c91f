"""What a person sees: the program on a real pseudo-terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from holdfast.model.records import InboundReply
from holdfast.store import journal
from holdfast.store.database import Database

DEADLINE = 60.0
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class Terminal:
    """One command on a terminal of its own."""

    def __init__(self, state: Path, arguments: list[str], width: int, **environment: str) -> None:
        self.shown = ""
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))
        passed_on = {
            name: value
            for name, value in os.environ.items()
            if name not in {"NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "HOLDFAST_OPERATOR"}
        }
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "holdfast",
                "--state",
                str(state),
                "--config",
                str(state / "config"),
                *arguments,
            ],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=passed_on | {"TERM": "xterm-256color"} | environment,
        )
        os.close(theirs)

    def until(self, text: str) -> None:
        """Read until it shows this."""
        self._read(lambda: text in self.shown)

    def type(self, text: str) -> None:
        """What the person types."""
        os.write(self._ours, text.encode())

    def end(self) -> int:
        """Read until the command ends; its exit code."""
        self._read(lambda: False)
        os.close(self._ours)
        return self._process.wait(DEADLINE)

    def _read(self, enough: Callable[[], bool]) -> None:
        deadline = time.monotonic() + DEADLINE
        while not enough():
            ready, _, _ = select.select([self._ours], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                self._process.kill()
                raise AssertionError(f"waited in vain; it shows {self.shown!r}")
            try:
                read = os.read(self._ours, 65_536)
            except OSError:  # it ended, and the terminal with it
                return
            if not read:
                return
            self.shown += read.decode(errors="replace").replace("\r\n", "\n")


@pytest.fixture
def terminal(state: Path) -> Callable[..., Terminal]:
    def start(*arguments: str, width: int = 80, **environment: str) -> Terminal:
        return Terminal(state, list(arguments), width, **environment)

    return start


def test_a_terminal_gets_colours_and_nothing_but_colours(terminal: Any, filling: Any) -> None:
    with filling(1000) as fill:
        fill.outage(1, "\x1b[2Jevil \u009b2J \x1b]0;x\x07")
    shown = terminal("show", "i1")
    code = shown.end()

    assert code == 0
    assert "\x1b[1;31mcritical\x1b[0m" in shown.shown
    assert "\x1b" not in COLOUR.sub("", shown.shown)
    assert "\u009b" not in shown.shown
    assert "\x07" not in shown.shown


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}, {"TERM": ""}])
def test_who_wants_no_colours_gets_none(terminal: Any, outage: int, environment: dict[str, str]) -> None:
    shown = terminal("show", "i41", **environment)
    code = shown.end()

    assert code == 0
    assert "\x1b" not in shown.shown
    assert "critical" in shown.shown


def test_a_pipe_gets_no_colours_and_no_wrapping(
    holdfast: Any, filling: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "40")
    with filling(1000) as fill:
        fill.outage(1, "a word and " * 25)
    shown = holdfast("incidents").out

    assert "\x1b" not in shown
    assert ("a word and " * 25).strip() in shown


@pytest.mark.parametrize(
    "command", [["show", "i41"], ["incidents"], ["status"], ["runs"], ["approve"], ["events"]]
)
@pytest.mark.parametrize("width", [40, 80])
def test_no_line_is_wider_than_the_terminal(
    terminal: Any, outage: int, command: list[str], width: int
) -> None:
    shown = terminal(*command, width=width)
    if command == ["approve"]:
        shown.until("[y/N]")
        shown.type("n\n")
    shown.end()
    lines = COLOUR.sub("", shown.shown).splitlines()

    assert max(map(len, lines)) <= width


def test_the_only_question_is_asked_and_yes_answers_it(
    terminal: Any, control: Any, outage: int, database: Database
) -> None:
    control.decide = lambda _: {"kind": "accepted", "receipt": "it starts now"}
    shown = terminal("approve", NO_COLOR="1")
    shown.until("Answer roll-back? [y/N]")
    before = replies(database)
    shown.type("y\n")

    assert shown.end() == 0
    assert before == []
    assert "web1: sudo -n /usr/local/bin/roll-back shop" in shown.shown
    assert shown.shown.endswith("it starts now\n")
    assert replies(database) == [("g44-abcdefgh", "roll-back")]


@pytest.mark.parametrize("typed", ["n\n", "\n"])
def test_anything_but_yes_answers_nothing(
    terminal: Any, control: Any, outage: int, database: Database, typed: str
) -> None:
    shown = terminal("approve", NO_COLOR="1")
    shown.until("[y/N]")
    shown.type(typed)

    assert shown.end() == 0
    assert shown.shown.endswith("Nothing was answered.\n")
    assert replies(database) == []


def test_several_questions_are_listed_and_none_is_asked(
    terminal: Any, control: Any, outage: int, filling: Any, database: Database
) -> None:
    with filling(outage) as fill:
        fill.gate(fill.outage(50), 51, outage + 10_000_000)
    shown = terminal("approve", NO_COLOR="1")

    assert shown.end() == 0
    assert "[y/N]" not in shown.shown
    assert replies(database) == []


def replies(database: Database) -> list[tuple[str, str]]:
    """What was answered to which question over the control socket."""
    with database.read() as tx:
        entries = [entry for entry in journal.latest(tx, 100) if entry.source == "cli"]
    found = [msgspec.json.decode(entry.body, type=InboundReply) for entry in entries]
    return [(reply.thread_ref, reply.text) for reply in found]
