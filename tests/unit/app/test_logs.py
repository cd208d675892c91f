"""Log lines: one JSON object each, and no secret in any of them."""

from __future__ import annotations

import io
import logging
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog

from holdfast.app.logs import configure, silenced
from holdfast.redact import Redactor

SECRET = 'hunter2-äöü"quoted\\'


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What goes to standard error."""
    stderr = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    yield stderr
    structlog.reset_defaults()


@pytest.fixture
def lines(said: io.StringIO) -> Callable[[], list[dict[str, Any]]]:
    configure(Redactor([SECRET]).text, human=False)
    return lambda: [msgspec.json.decode(line) for line in said.getvalue().splitlines()]


def fail() -> None:
    raise RuntimeError(f"it said {SECRET}")


def test_a_line_is_one_json_object_with_level_and_time(lines: Callable[[], list[dict[str, Any]]]) -> None:
    structlog.get_logger().info("daemon.ready", rules=3, words="two\nlines")
    (line,) = lines()

    assert (line["event"], line["level"], line["rules"], line["words"]) == (
        "daemon.ready",
        "info",
        3,
        "two\nlines",
    )
    assert line["timestamp"].endswith("Z")


@pytest.fixture(params=["buffered", "unbuffered"])
def pieces(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """Each write to standard error is a datagram here; `PYTHONUNBUFFERED` makes it the unbuffered one."""
    buffered = request.param == "buffered"
    reader, writer = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    raw = writer.makefile("wb", buffering=-1 if buffered else 0)
    with reader, writer, io.TextIOWrapper(raw, line_buffering=buffered, write_through=not buffered) as stderr:
        reader.settimeout(10)
        monkeypatch.setattr(sys, "stderr", stderr)
        configure(Redactor([SECRET]).text, human=False)
        monkeypatch.undo()
        yield reader
        structlog.reset_defaults()


def test_a_line_leaves_with_its_end_so_that_a_kill_runs_no_two_together(pieces: socket.socket) -> None:
    structlog.get_logger().info("mail.reply")
    first = pieces.recv(10_000)

    assert msgspec.json.decode(first)["event"] == "mail.reply"
    assert first.endswith(b"}\n")


@pytest.mark.parametrize(
    "fields",
    [
        {"event": SECRET},
        {"why": f"told {SECRET} twice {SECRET}"},
        {"names": ["a", SECRET]},
        {"names": ("a", {"deep": [SECRET]})},
        {"by": {SECRET: 1}},
        {"error": RuntimeError(SECRET)},
        {"path": Path("/tmp") / SECRET.replace("/", "")},
    ],
)
def test_a_secret_is_nowhere_in_a_line(
    lines: Callable[[], list[dict[str, Any]]], fields: dict[str, Any]
) -> None:
    structlog.get_logger().warning(fields.pop("event", "something"), **fields)
    (line,) = lines()

    assert SECRET not in str(line)
    assert "hunter2" not in str(line)
    assert "[redacted]" in str(line)


def test_a_secret_is_not_in_a_traceback(lines: Callable[[], list[dict[str, Any]]]) -> None:
    try:
        fail()
    except RuntimeError:
        structlog.get_logger().exception("it failed")
    (line,) = lines()

    assert "RuntimeError: it said [redacted]" in line["exception"]
    assert "hunter2" not in str(line)


def test_numbers_and_truth_stay_what_they_are(lines: Callable[[], list[dict[str, Any]]]) -> None:
    structlog.get_logger().info("x", count=3, share=0.5, well=True, none=None)
    (line,) = lines()

    assert (line["count"], line["share"], line["well"], line["none"]) == (3, 0.5, True, None)


@pytest.fixture
def terminal(said: io.StringIO) -> io.StringIO:
    configure(Redactor([SECRET]).text, human=True)
    return said


def test_a_terminal_gets_words(terminal: io.StringIO) -> None:
    structlog.get_logger().info("daemon.ready", token=SECRET)

    assert "daemon.ready" in terminal.getvalue()
    assert "hunter2" not in terminal.getvalue()


def test_what_is_no_trouble_of_the_daemon_is_not_logged_and_everything_after_it_is(
    lines: Callable[[], list[dict[str, Any]]],
) -> None:
    with silenced():
        structlog.get_logger().error("of a test")
    structlog.get_logger().info("of the daemon")

    assert [line["event"] for line in lines()] == ["of the daemon"]


def test_libraries_say_nothing_of_their_own(lines: Callable[[], list[dict[str, Any]]]) -> None:
    logging.getLogger("urllib3").warning("GET https://host/?token=%s", SECRET)

    assert lines() == []
